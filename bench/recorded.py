"""A recording in the place of a scenario's arrivals, and what it says of the service that it was made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import ValidationError

from bench.arrivals import Span, trace
from bench.errors import InputError, UnknownName
from bench.record import Estimate, Record
from bench.scenario import Choice, ResolvedScenario, Scenario, Workload
from bench.stats import queued_quantile
from bench.units import WRITTEN_BY_HAND

MOST_DAYS = 31
"""That are simulated for a recording, unless the scenario itself says more."""
PERCENTILES = (50, 90, 99)


class Recorded(Record):
    """What a recording says, beside what is simulated of it."""

    description: str
    """What the file was taken for."""
    days: int
    """That are simulated."""
    needed: int | None
    """In so many days all of it comes; ``None`` where it is resampled, to any number of them."""
    response_s: dict[str, Estimate]
    """Of the service that was recorded, whatever it ran on; empty where the file does not say."""
    missing: list[str]
    """What the file does not say."""

    @property
    def in_words(self) -> str:
        days = f"{self.days} day{'s' * (self.days > 1)}"
        if self.needed is None:
            days += ", resampled"
        elif self.needed > self.days:
            days += f" of {self.needed} (simulate: {{days: {self.needed}}} is for all)"
        said = [f"recorded: {self.description}", f"simulated: {days}"]
        if self.missing:
            said.insert(1, f"not in it: {'; '.join(self.missing)}")
        return "\n".join(said)


def replaying(scenario: Scenario, written: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a scenario that a recording changes: the arrivals, and the days to hold it.

    Args:
        written: options of a trace, as they stand in a scenario.

    Raises:
        InputError: the recording cannot be used.
    """
    options = _options(written)
    changed: dict[str, Any] = {"arrivals": Choice.model_validate({"name": "trace", **written})}
    if len(trace.sizes(options)):
        changed["sizes"] = None
    needed = trace.days(options, _one_day(scenario.workload))
    asked = scenario.simulate.days
    days = asked if needed is None else min(needed, max(asked, MOST_DAYS))
    return {
        "workload": scenario.workload.model_copy(update=changed),
        "simulate": scenario.simulate.model_copy(update={"days": days}),
    }


def recorded(scenario: ResolvedScenario) -> Recorded:
    """Of a scenario whose arrivals are a recording."""
    workload = scenario.scenario.workload
    options = trace.Options.model_validate(workload.arrivals.options)
    took = trace.responses(options)
    took = took[np.isfinite(took)]
    return Recorded(
        description=trace.description(options),
        days=scenario.scenario.simulate.days,
        needed=trace.days(options, _one_day(workload)),
        response_s={f"p{q}": queued_quantile(took, q / 100) for q in PERCENTILES if len(took)},
        missing=trace.missing(options),
    )


def only(scenario: ResolvedScenario, deployment: str | None) -> ResolvedScenario:
    """With one deployment, if it is named.

    Raises:
        UnknownName: there is no such deployment.
    """
    names = {one.name for one in scenario.scenario.deployments}
    if deployment is None:
        return scenario
    if deployment not in names:
        raise UnknownName("deployment", deployment, names, where="--deployment")
    return scenario.without(names - {deployment})


def _options(written: Mapping[str, Any]) -> trace.Options:
    try:
        return trace.Options.model_validate(dict(written), context=WRITTEN_BY_HAND)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        raise InputError(
            fault["msg"].removeprefix("Value error, ").removesuffix("."),
            where="--" + str(fault["loc"][0]).replace("_", "-"),
        ) from error


def _one_day(workload: Workload) -> Span:
    active = workload.active
    return Span(workload.sources, active.length_s, active.start, active.length_s)
