"""What if an input is another than it is taken to be, or the traffic another than it is asked for?"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from bench.compare.break_even import BreakEven, PointCost, TrafficPoint, break_even
from bench.compare.comparison import Comparison, placed
from bench.compare.objective import keeps, lasting
from bench.compare.sensitivity import Sensitivity, sensitivity
from bench.cost import Costs, cost_simulation
from bench.errors import InputError
from bench.profile import Profile
from bench.record import SCHEMA_VERSION, Record
from bench.scenario import ResolvedScenario, scaled
from bench.simulate import Simulation, expected_requests, grown

FACTORS = (1 / 8, 1 / 4, 1 / 2, 2.0, 4.0, 8.0)
"""Times the sources of the scenario; the traffic that it asks for is simulated already."""
REPLICATIONS = 2
MOST_REQUESTS = {"fast": 5e7, "reference": 5e5}
"""Of one point, in all deployments and replications: seconds of work."""

Play = Callable[[Sequence[ResolvedScenario]], list[Simulation]]
"""Simulates several scenarios."""


class WhatIf(Record):
    """``what_if.json``."""

    schema_version: int = SCHEMA_VERSION
    sensitivity: Sensitivity
    break_even: BreakEven


def what_if(
    scenario: ResolvedScenario,
    profiles: Mapping[str, Profile],
    simulation: Simulation,
    costs: Costs,
    comparison: Comparison,
    play: Play,
) -> WhatIf:
    """Move every input, then the traffic; ``profiles`` by arm."""
    others, left_out = other_traffic(scenario, simulation.method)
    feasible = {entry.deployment for entry in comparison.ranking if entry.feasible}
    points = [_point(scenario, scenario, costs, simulation, feasible)]
    for other, played in zip(others, play(others) if others else [], strict=True):
        kept = _that_keep(other, profiles, played)
        points.append(
            _point(scenario, other, cost_simulation(other, profiles, played), played, kept)
        )
    return WhatIf(
        sensitivity=sensitivity(scenario, profiles, simulation, costs, comparison),
        break_even=break_even(points, left_out),
    )


def other_traffic(
    scenario: ResolvedScenario, method: str
) -> tuple[list[ResolvedScenario], list[str]]:
    """The scenario with less and with more traffic, and what is left out, with the reason."""
    others: dict[int, ResolvedScenario] = {}
    left_out = []
    for factor in FACTORS:
        try:
            other = _fewer_replications(scaled(scenario, factor, grown))
        except InputError as error:
            left_out.append(f"{factor:g} times the traffic: {error}")
            continue
        sources = other.scenario.workload.sources
        if sources in (scenario.scenario.workload.sources, *others):
            continue
        requests = _requests(other)
        if requests > MOST_REQUESTS[method]:
            left_out.append(
                f"{factor:g} times the traffic: {requests:,.0f} requests would have to be "
                f"simulated, and {MOST_REQUESTS[method]:,.0f} are the most for this"
            )
            continue
        others[sources] = other
    return list(others.values()), left_out


def _fewer_replications(scenario: ResolvedScenario) -> ResolvedScenario:
    asked = scenario.scenario
    options = asked.simulate.model_copy(update={"replications": REPLICATIONS})
    return scenario.model_copy(
        update={"scenario": asked.model_copy(update={"simulate": options, "sweep": {}})}
    )


def _requests(scenario: ResolvedScenario) -> float:
    asked = scenario.scenario
    days = asked.simulate.days * asked.simulate.replications * len(asked.deployments)
    return _requests_per_day(scenario) * days


def _requests_per_day(scenario: ResolvedScenario) -> float:
    days = scenario.scenario.simulate.days
    return expected_requests(scenario.scenario.workload, days) / days


def _that_keep(
    scenario: ResolvedScenario, profiles: Mapping[str, Profile], simulation: Simulation
) -> set[str]:
    """Deployments that keep the objective in every replication: two are too few for an interval."""
    objective = scenario.scenario.objective
    asked = {deployment.name: deployment for deployment in scenario.scenario.deployments}
    return {
        result.deployment
        for result in simulation.deployments
        if result.impossible is None
        and not lasting(objective, placed(scenario, profiles, asked[result.deployment]))
        and all(keeps(objective, day) for day in result.replications)
    }


def _point(
    base: ResolvedScenario,
    scenario: ResolvedScenario,
    costs: Costs,
    simulation: Simulation,
    feasible: Collection[str],
) -> TrafficPoint:
    usd = {
        costed.deployment: costed.usd_per_million.value
        for costed in costs.deployments
        if costed.usd_per_million.value is not None
    }
    sources = scenario.scenario.workload.sources
    return TrafficPoint(
        factor=sources / base.scenario.workload.sources,
        sources=sources,
        requests_per_day=_requests_per_day(scenario),
        deployments=[
            PointCost(
                deployment=result.deployment,
                usd_per_million=usd.get(result.deployment),
                feasible=result.deployment in feasible,
            )
            for result in simulation.deployments
        ],
    )
