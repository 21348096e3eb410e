"""What replications show of a deployment, and what they cannot."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from bench.record import Caveat
from bench.scenario import MOST_DAYS, Deployment, Scenario
from bench.simulate.cloud import all_wait
from bench.simulate.demand import expected_requests, repeats
from bench.simulate.results import PERCENTILES, Replication
from bench.stats import sample_floor
from bench.units import format_percent

CARRIED, NEVER_AT_REST = 0.01, 0.99
"""Overload: a larger share of the requests waits for the next day, and a larger load than this."""
FEWEST_S = 3.0
"""Standard deviations by which a day may bring fewer requests than on average."""


def growing(deployment: Deployment, days: Sequence[Replication]) -> str | None:
    """Overload that only the simulation shows: more work than servers, and requests left over.

    Where requests are turned away or give up, a queue is long and does not grow.
    """
    load = min((day.load for day in days), default=0.0)
    waits = all(all_wait(part) for part in deployment.parts.values())
    if waits and _carried(days) > CARRIED and load > NEVER_AT_REST:
        return (
            f"overload: {format_percent(_carried(days))} of the requests were still waiting when "
            "those of the next day would come"
        )
    return None


def carried_over(days: Sequence[Replication]) -> Iterator[Caveat]:
    """Work of the last day that the next one would find."""
    if _carried(days) > CARRIED:
        yield Caveat(
            kind="carried-over",
            text=f"{format_percent(_carried(days))} of the requests were still waiting when those of "
            "the next day would come, which are not simulated: simulate more days",
        )


def _carried(days: Sequence[Replication]) -> float:
    return max((day.carried / max(day.requests, 1) for day in days), default=0.0)


def too_few(days: Sequence[Replication], name: str) -> str | None:
    """Why a percentile, ``p99``, is not given."""
    floor, fewest = sample_floor(float(name[1:]) / 100), _fewest(days)
    if fewest >= floor:
        return None
    return f"{name} needs {floor} requests, a replication has {fewest}"


def unjudged(asked: Scenario, days: Sequence[Replication]) -> str | None:
    """Why these replications cannot show whether the objective is kept, and what would."""
    response = asked.objective.response
    if response is None:
        return None if any(day.requests for day in days) else "no request came"
    name = f"p{response.percentile:g}"
    few = too_few(days, name)
    if few is None:
        return None
    return f"{few}: {_remedy(asked, days, sample_floor(response.percentile / 100))}"


def _fewest(days: Sequence[Replication]) -> int:
    return min((day.requests for day in days), default=0)


def _remedy(asked: Scenario, days: Sequence[Replication], floor: int) -> str:
    if not repeats(asked.workload):
        return "a rate resamples the trace to more of them"
    a_day = expected_requests(asked.workload, 1)
    if asked.simulate.start == "steady" or not a_day:
        a_day = _fewest(days) / asked.simulate.days or a_day
    needed = math.ceil(_mean_for(floor) / a_day)
    if needed <= MOST_DAYS:
        return f"simulate: {{days: {needed}}} would do"
    said = f"about {needed:,} days would, and {MOST_DAYS} are the most"
    lower = [q for q in PERCENTILES if _mean_for(sample_floor(q / 100)) <= a_day * MOST_DAYS]
    return f"{said}; of a lower percentile, p{lower[-1]:g}, they show enough" if lower else said


def _mean_for(floor: int) -> float:
    """The mean of a number, by chance, of requests that is hardly ever below the floor (Poisson)."""
    return (FEWEST_S / 2 + math.sqrt(FEWEST_S**2 / 4 + floor)) ** 2
