"""The planner: the same answers as judging everything, from bounds that hold."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pytest

from bench.executor import Inline
from bench.gather import load_profiles, runs_of
from bench.hardware import Catalogue
from bench.pipeline import measure_only
from bench.plan import Candidate, Plan, candidates, search
from bench.plan.bounds import Floors
from bench.prepare import Settings, prepare
from bench.profile import Profile
from bench.scenario import ResolvedScenario

pytestmark = pytest.mark.slow

SPACE = """
plan:
  offers: ["civo/standard-*", "aws/c7i.xlarge/*", "edge/mini-pc", "google-cloud/n2d*us-central1*"]
  batching: [none, {name: greedy, max_batch: 4}, {name: dynamic, max_batch: 8, max_wait: 5 ms}]
  scaling:
    - {name: fixed, replicas: 1}
    - {name: fixed, replicas: 3}
    - {name: hpa, min_replicas: 1, max_replicas: 4, period: 1 min}
  nodes: [1, 2]
  share_devices: [1, 2, 4]
"""


@pytest.fixture(scope="module")
def profiles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Profile]:
    from tests.conftest import FAKE_SCENARIO

    folder = tmp_path_factory.mktemp("plan")
    path = folder / "fake.yaml"
    path.write_text(FAKE_SCENARIO)
    run, _ = measure_only(path, folder / "run", Settings(engine="inline"))
    return load_profiles(run.path)


def prepared(path: Path, more: str = SPACE, **changes: str) -> ResolvedScenario:
    text = path.read_text() + more
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    return prepare(path, Settings())


def found_in(
    asked: ResolvedScenario, profiles: dict[str, Profile]
) -> tuple[list[Candidate], dict[str, Profile]]:
    runs, known, _ = runs_of(asked, profiles, Catalogue())
    return list(candidates(asked, runs, known)), known


def planned(asked: ResolvedScenario, profiles: dict[str, Profile], *, prune: bool = True) -> Plan:
    found, known = found_in(asked, profiles)
    return search(asked, found, known, 1, Inline(), prune=prune)


@pytest.mark.parametrize("within", ["1", "1.5", "3"])
def test_pruning_loses_neither_the_optimum_nor_the_front(
    fake_scenario: Path, profiles: dict[str, Profile], within: str
) -> None:
    asked = prepared(fake_scenario, SPACE + f"  within: {within}\n")
    quick, exhaustive = (planned(asked, profiles, prune=prune) for prune in (True, False))
    assert quick.candidates == exhaustive.candidates > 100
    assert quick.simulated < exhaustive.simulated
    assert quick.too_dear > 0
    assert exhaustive.too_dear == 0
    assert quick.cheapest[0].deployment == exhaustive.cheapest[0].deployment
    assert quick.cheapest[0].entry == exhaustive.cheapest[0].entry
    # How sure the choice is can be told of what was simulated only.
    verdicts = {plan.verdict.partition(" Over ")[0] for plan in (quick, exhaustive)}
    assert len(verdicts) == 1
    most = float(within) * (quick.cheapest[0].entry.usd_per_million.value or math.nan)
    for plan in (quick, exhaustive):
        assert plan.front
    assert affordable(quick, most) == affordable(exhaustive, most)
    assert quick.near_misses == exhaustive.near_misses


def affordable(plan: Plan, most: float) -> list[tuple[float | None, float | None, float | None]]:
    return [
        figures
        for planned in plan.front
        for entry in [planned.entry]
        for figures in [
            (
                entry.usd_per_million.value,
                entry.p99_s.value,
                entry.carbon_kg_per_million.value,
            )
        ]
        if (figures[0] or 0.0) <= most
    ]


def test_no_candidate_is_better_than_its_bounds(
    fake_scenario: Path, profiles: dict[str, Profile]
) -> None:
    from bench.cost import cost_simulation
    from bench.simulate import simulate_all

    asked = prepared(fake_scenario)
    found, known = found_in(asked, profiles)
    floors, checked = Floors(known), 0
    for candidate in found[::5]:
        one = only(asked, candidate)
        bound = floors.of(one, candidate, 0.0)
        simulation = simulate_all([one], known, 1, Inline())[0]
        for costed in cost_simulation(one, known, simulation).deployments:
            result = simulation.deployments[0]
            assert costed.usd_per_day.low is not None
            totals = [
                usd * day.done / 1e6 / day.days
                for usd, day in zip(costed.usd_per_million_days, result.replications, strict=True)
            ]
            assert bound.usd_per_day <= min(totals) * (1 + 1e-9)
            assert (bound.carbon_kg_per_day or 0.0) <= (costed.carbon_kg_per_day.value or math.inf)
            for day in result.replications:
                p50 = day.percentiles_s["p50"]
                assert p50 is None or bound.response_s <= p50
            checked += 1
    assert checked > 20


def test_no_million_costs_less_than_what_it_sends(
    fake_scenario: Path, profiles: dict[str, Profile]
) -> None:
    """Over an uplink at $4 a GB, 5 kB a request are $20 a million before any machine."""
    from bench.cost import cost_simulation
    from bench.simulate import requests_of, simulate_all

    asked = prepared(fake_scenario, **{"rtt: 40 ms}": "rtt: 40 ms, price: $4/GB}"})
    requests = requests_of(asked.scenario, 1, "fast")
    found, known = found_in(asked, profiles)
    floors, share = Floors(known, min(requests)), fmean(1e6 / count for count in requests)
    for candidate in found[::11]:
        one = only(asked, candidate)
        bound = floors.of(one, candidate, 0.0)
        if candidate.deployment.kind != "edge":
            assert bound.usd_per_day >= min(requests) * 5000 / 1e9 * 4
        simulation = simulate_all([one], known, 1, Inline())[0]
        for costed in cost_simulation(one, known, simulation).deployments:
            days = simulation.deployments[0].replications
            assert [day.requests for day in days] == requests
            usd, kg = costed.usd_per_million.value, costed.carbon_kg_per_million.value
            assert usd is not None
            assert bound.usd_per_day * share <= usd * (1 + 1e-9)
            assert (bound.carbon_kg_per_day is None) == (kg is None)
            if bound.carbon_kg_per_day is not None and kg is not None:
                assert bound.carbon_kg_per_day * share <= kg * (1 + 1e-9)


def only(asked: ResolvedScenario, candidate: Candidate) -> ResolvedScenario:
    scenario = asked.scenario.model_copy(update={"deployments": [candidate.deployment]})
    return asked.model_copy(
        update={
            "scenario": scenario, "offers": dict(candidate.offers), "arms": dict(candidate.arms),
            "regions": dict(candidate.regions),
        }
    )  # fmt: skip


def test_a_false_bound_would_be_noticed(
    fake_scenario: Path, profiles: dict[str, Profile], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = prepared(fake_scenario)
    right = planned(asked, profiles)
    honest = Floors.of
    monkeypatch.setattr(
        Floors,
        "of",
        lambda self, one, candidate, least: replace(
            honest(self, one, candidate, least),
            usd_per_day=0.0 if "hpa" in candidate.deployment.name else 1e6,
        ),
    )
    assert planned(asked, profiles).cheapest[0] != right.cheapest[0]


def test_residency_and_accuracy_rule_out_whatever_it_costs(
    fake_scenario: Path, profiles: dict[str, Profile]
) -> None:
    asked = prepared(
        fake_scenario,
        SPACE,
        **{"  accuracy: {metric": "  residency: device\n  accuracy: {metric"},
    )
    plan = planned(asked, profiles)
    assert {entry.entry.kind for entry in plan.cheapest} == {"edge"}
    assert any("data must stay on the device" in reason for reason in plan.dismissed)


def test_nothing_feasible_is_said_with_the_reasons(
    fake_scenario: Path, profiles: dict[str, Profile]
) -> None:
    asked = prepared(fake_scenario, SPACE, **{"limit: 200 ms": "limit: 9 ms"})
    plan = planned(asked, profiles)
    assert not plan.objective_met
    assert plan.cheapest == plan.front == []
    assert plan.verdict.startswith("None of")
    assert any("no answer of a batch comes sooner" in reason for reason in plan.dismissed)
    assert sum(plan.dismissed.values()) + plan.judged == plan.candidates


def test_every_candidate_is_accounted_for(
    fake_scenario: Path, profiles: dict[str, Profile]
) -> None:
    plan = planned(prepared(fake_scenario, SPACE + "  within: 3\n"), profiles)
    assert plan.judged + sum(plan.dismissed.values()) + plan.too_dear == plan.candidates
    assert plan.simulated < plan.judged  # offers share simulations
    dearest = [entry.entry.usd_per_million.value or 0.0 for entry in plan.cheapest]
    assert dearest == sorted(dearest)
    assert {e.deployment for e in (p.entry for p in plan.front)}


def test_a_spot_node_is_never_planned_without_evictions(
    fake_scenario: Path, profiles: dict[str, Profile]
) -> None:
    found, _ = found_in(prepared(fake_scenario), profiles)
    spot = [c for c in found if any("/spot" in offer.name for offer in c.offers.values())]
    assert spot
    assert all(part.spot for c in spot for part in c.deployment.parts.values())  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("own", "asked", "hours"), [("", "", 24), ("5 h", "", 5), ("5 h", "7 h", 7), ("", "7 h", 7)]
)
def test_spot_nodes_live_as_long_as_is_said(
    fake_scenario: Path, profiles: dict[str, Profile], own: str, asked: str, hours: float
) -> None:
    """In the plan, or else in a deployment of the scenario, or else a day."""
    text = fake_scenario.read_text()
    if own:
        text = text.replace("    scaling:", f"    spot: {{mean_life: {own}}}\n    scaling:", 1)
    fake_scenario.write_text(text)
    more = SPACE + (f"  spot: {{mean_life: {asked}}}\n" if asked else "")
    found, _ = found_in(prepared(fake_scenario, more), profiles)
    lives = {
        part.spot.mean_life  # type: ignore[union-attr]
        for one in found
        for name, part in one.deployment.parts.items()
        if "/spot" in one.offers[name].name
    }
    assert lives == {hours * 3600}


def test_a_closed_loop_is_searched_without_bounds_on_cost(
    fake_scenario: Path, profiles: dict[str, Profile]
) -> None:
    text = fake_scenario.read_text()
    start, end = text.index("  - name: night"), text.index("  - name: cloud")
    fake_scenario.write_text(text[:start] + text[end:])
    asked = prepared(
        fake_scenario,
        SPACE,
        **{"{name: poisson, rate: 6/min}": "{name: closed-loop, think: 10 s}"},
    )
    plan = planned(asked, profiles)
    assert plan.too_dear == 0
    assert plan.cheapest
