"""Failures too rare, or repairs too long, for the days that were simulated.

The replications of a deployment show what they saw. What happens once in a hundred of them is in no
interval of six, so that luck, and not the deployment, would decide the verdict.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from scipy import special

from bench.compare.objective import keeps
from bench.record import Caveat
from bench.scenario import (
    Deployment,
    MeanTimes,
    Part,
    Scenario,
)
from bench.simulate import DeploymentResult
from bench.units import DAY_S, format_percent, format_seconds

UNSEEN = 0.05
"""The chance that a verdict may rest on not having seen what can happen."""
ENOUGH = -math.log(UNSEEN)
"""So many of a rare kind are to be expected, 3.0, for none to be seen with that chance (Poisson)."""
MOST_DAYS, MOST_REPLICATIONS = 366, 1000
"""That a scenario may ask for."""


@dataclass(frozen=True)
class _Failing:
    """Things of one kind, and how many of their failures all replications together expect."""

    what: str
    times: MeanTimes | None
    """``None`` where there is no repair: a spot node that is taken back."""
    expected: float
    things: int = 0
    """Each of which has its own equal share of the requests; 0: others stand in for them."""


def rare_events(
    scenario: Scenario, deployment: Deployment, result: DeploymentResult
) -> Iterator[Caveat]:
    """What a longer simulation may show of failures, outages and evictions."""
    if not result.replications:
        return
    days = scenario.simulate.days
    for one in _all_failing(scenario, deployment, result):
        if one.expected < ENOUGH:
            yield _too_few(one, days * len(result.replications))
        elif one.things and one.times is not None:
            yield from _uneven(one, one.times, scenario, result)
        if one.times is not None and one.times.mttr > days * DAY_S / 2:
            yield _too_long(one.what, one.times, days)


def _all_failing(
    scenario: Scenario, deployment: Deployment, result: DeploymentResult
) -> Iterator[_Failing]:
    sources = scenario.workload.sources
    simulated_s = scenario.simulate.days * DAY_S * len(result.replications)
    for name, part in deployment.parts.items():
        if part.at_sources:
            if part.failures:
                used = min(part.number or 1, sources)
                alone = used if len(deployment.line) == 1 else 0
                yield _of_each("failures of its devices", part.failures, used, simulated_s, alone)
            continue
        if part.network is not None and part.network.outages:
            used = min(part.network.sites, sources)
            answers = len(deployment.line) == 1 and part.window is None
            alone = used if answers else 0
            yield _of_each("outages of its links", part.network.outages, used, simulated_s, alone)
        yield from _of_nodes(name, part, result)


def _of_each(what: str, times: MeanTimes, used: int, simulated_s: float, alone: int) -> _Failing:
    return _Failing(what, times, used * simulated_s / (times.mtbf + times.mttr), alone)


def _of_nodes(name: str, part: Part, result: DeploymentResult) -> Iterator[_Failing]:
    held_s = sum(
        holding.end_s - holding.start_s
        for day in result.replications
        for holding in day.usage[name].holdings
    )
    if part.failures:
        cycle_s = part.failures.mtbf + part.failures.mttr
        yield _Failing("failures of its nodes", part.failures, held_s / cycle_s)
    if part.spot:
        yield _Failing("evictions of its nodes", None, held_s / part.spot.mean_life)


def _too_few(one: _Failing, days: int) -> Caveat:
    needed = math.ceil(days * ENOUGH / one.expected) if one.expected else math.inf
    todo = (
        f"one is seen with {format_percent(1 - UNSEEN, 0)} certainty in {needed:,} days "
        "(simulate: replications × days)"
        if needed < MOST_REPLICATIONS * MOST_DAYS
        else "no simulation is long enough to see one"
    )
    return Caveat(
        kind="rare-failures",
        text=f"{one.what} are hardly in these figures: {one.expected:.2g} are to be expected in the "
        f"{days:,} days simulated; {todo}",
    )


def _uneven(
    one: _Failing, times: MeanTimes, scenario: Scenario, result: DeploymentResult
) -> Iterator[Caveat]:
    """Whether the replications may all have been among the lucky ones."""
    objective, days, count = scenario.objective, scenario.simulate.days, len(result.replications)
    if objective.response is None or not all(keeps(objective, day) for day in result.replications):
        return
    percentile = objective.response.percentile
    left = 1 - percentile / 100
    bad = share_of_bad_replications(times, one.things, days * DAY_S, left)
    seen = 1 - (1 - bad) ** count
    if bad < max(days / MOST_DAYS, ENOUGH / MOST_REPLICATIONS) or seen >= 1 - UNSEEN:
        return
    needed = math.ceil(math.log(UNSEEN) / math.log(1 - bad))
    spans = "days" if days == 1 else f"spans of {days} days"
    yield Caveat(
        kind="uneven-failures",
        text=f"in about {format_percent(bad)} of all {spans}, {one.what} hit more than the "
        f"{format_percent(left)} that p{percentile:g} leaves, and {count} replications show such a "
        f"one with a chance of {format_percent(seen, 0)}: simulate: {{replications: {needed}}} for "
        f"{format_percent(1 - UNSEEN, 0)}",
    )


def share_of_bad_replications(
    times: MeanTimes, things: int, length_s: float, limit: float
) -> float:
    """How often things that fail on their own are out of order for more than a share of a time.

    The share has a mean of D = mttr / (mtbf + mttr) and, with τ = 1 / (1/mtbf + 1/mttr) and
    r = τ / length, a variance of 2 D (1 - D) r (1 - r (1 - exp(-1/r))) / things; it is 0 with
    probability ((1 - D) exp(-length / mtbf)) ** things. Where it is not, it is taken to follow a
    gamma distribution of these moments.
    """
    down = times.mttr / (times.mtbf + times.mttr)
    ratio = 1 / (1 / times.mtbf + 1 / times.mttr) / length_s
    variance = 2 * down * (1 - down) * ratio * (1 - ratio * -math.expm1(-1 / ratio)) / things
    whole = math.log(times.mtbf / (times.mtbf + times.mttr)) - length_s / times.mtbf
    some = -math.expm1(things * whole)
    mean = down / some
    spread = (variance + down**2) / some - mean**2
    if spread <= 0:
        return float(mean > limit) * some
    return some * float(special.gammaincc(mean**2 / spread, limit * mean / spread))


def _too_long(what: str, times: MeanTimes, days: int) -> Caveat:
    needed = min(math.ceil(10 * times.mttr / DAY_S), MOST_DAYS)
    return Caveat(
        kind="long-repairs",
        text=f"{what} take {format_seconds(times.mttr)} to mend on average, and only "
        f"{'one day is' if days == 1 else f'{days} days are'} simulated: who still waits at the end "
        f"counts as not answered; simulate: {{days: {needed}}} shows most answers",
    )
