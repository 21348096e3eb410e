"""A scenario with more or less traffic, and deployments that grow with it."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from pydantic import ValidationError

from bench import extensions
from bench.errors import InputError
from bench.scenario.deployments import Deployment
from bench.scenario.parts import Choice
from bench.scenario.schema import ResolvedScenario, Scenario, Workload

ARRIVALS = "bench.arrivals"
Grown = Callable[[Choice, float], Choice]
"""A scaling policy for so many times the traffic."""


def scaled(scenario: ResolvedScenario, factor: float, grown: Grown) -> ResolvedScenario:
    """``factor`` times the sources, at least one, and limits that keep pace.

    The fleet keeps its sources per device; batch nodes, sites with a link of their own and the most
    replicas are multiplied and rounded up. Queue limits, uplinks and other work stay. Where all
    sources together follow the arrival process (a trace), its rate is multiplied too.

    Args:
        factor: the sources are rounded, so that the true one is what they came to.
        grown: the scaling policy for so many times the traffic.

    Raises:
        InputError: a field would go beyond what a scenario may ask for, or the traffic does not
            follow the sources.
    """
    asked = scenario.scenario
    sources = max(round(asked.workload.sources * factor), 1)
    true = Fraction(sources, asked.workload.sources)
    try:
        changed = asked.model_copy(
            update={
                "workload": _workload(asked.workload, sources, true),
                "deployments": [_deployment(d, true, grown) for d in asked.deployments],
            }
        )
        # What was copied has not been held to the limits of the schema.
        checked = Scenario.model_validate(changed.model_dump())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise InputError(
            f"{float(true):g} times the traffic is beyond a limit: {place}: {first['msg']}"
        ) from error
    return scenario.model_copy(update={"scenario": checked})


def _workload(workload: Workload, sources: int, factor: Fraction) -> Workload:
    arrivals = workload.arrivals
    if not _follows_sources(arrivals):
        rate = arrivals.options.get("rate")
        if rate is None:
            raise InputError(
                f"{arrivals.name} is played as it was recorded, whatever the sources",
                where="workload.arrivals", todo="Give a rate, to which it is resampled",
            )  # fmt: skip
        options = {**arrivals.options, "rate": rate * float(factor)}
        arrivals = Choice.model_validate({"name": arrivals.name, **options})
    sites = None if workload.sites is None else _times(workload.sites, factor)
    return workload.model_copy(update={"sources": sources, "sites": sites, "arrivals": arrivals})


def _follows_sources(arrivals: Choice) -> bool:
    module = extensions.load(ARRIVALS, arrivals.name)
    options = module.Options.model_validate(arrivals.options)
    return bool(module.mean_rate(options, 2) != module.mean_rate(options, 1))


def _deployment(deployment: Deployment, factor: Fraction, grown: Grown) -> Deployment:
    return deployment.with_parts([_part(stage.part, factor, grown) for stage in deployment.line])


def _part(part: Any, factor: Fraction, grown: Grown) -> Any:
    changes: dict[str, Any] = {}
    if part.network is not None:
        sites = _times(part.network.sites, factor)
        changes["network"] = part.network.model_copy(update={"sites": sites})
    if part.COUNT is not None:
        changes[part.COUNT] = _times(part.number, factor)
    if part.scaling is not None:
        changes["scaling"] = grown(part.scaling, float(factor))
    return part.model_copy(update=changes)


def _times(number: int, factor: Fraction) -> int:
    """Rounded up."""
    return math.ceil(number * factor)
