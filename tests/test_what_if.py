"""Other inputs and other traffic: the tornado, break-even, and deployments that keep pace."""

from __future__ import annotations

import math
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import at_once, extensions, pages, pipeline
from bench.compare import WhatIf, what_if
from bench.compare.break_even import PointCost, TrafficPoint, break_even
from bench.compare.inputs import UNITS
from bench.compare.sensitivity import Sensitivity, sensitivity
from bench.compare.what_if import FACTORS, other_traffic
from bench.errors import InputError
from bench.executor import Inline
from bench.gather import load_profiles
from bench.hardware import Assumptions
from bench.prepare import Settings, prepare
from bench.report import View, render_html
from bench.report.quantities import format_input
from bench.scenario import Choice, ResolvedScenario, scaled
from bench.simulate import grown, mean_rate, simulate_all
from bench.simulate.scaling import SCALING, fixed, hpa, queue, scale_to_zero, schedule
from bench.store import Run, to_json

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
PROFILES = ROOT / "reports" / "example"
SETTINGS = Settings(engine="inline")
NETWORK = "network: {uplink: 40 Mbit/s, downlink: 40 Mbit/s, rtt: 40 ms, sites: 2}"
SCENARIO = f"""
schema_version: 1
name: what-if
task: {{name: text-recognition, labels: 48}}
workload:
  sources: 12
  arrivals: {{name: poisson, rate: 20/min}}
  active: {{start: "06:00", end: "07:00"}}
objective:
  response: {{percentile: 99, limit: 250 ms}}
simulate: {{replications: 3}}
deployments:
  - name: cloud
    kind: real_time
    backend: onnxruntime-cpu
    device: this-host
    offer: civo/standard-2c-4g/any/on-demand
    scaling: {{name: fixed, replicas: 2}}
    start_up: {{node: 60 s}}
    {NETWORK}
  - name: edge
    kind: edge
    backend: onnxruntime-cpu
    device: this-host-one-thread
    offer: edge/raspberry-pi-5
    fleet: 5
  - name: night
    kind: batch
    backend: onnxruntime-cpu
    device: this-host
    offer: aws/c7i.xlarge/us-east-1/spot
    nodes: 3
    window: {{opens: "22:00"}}
    start_up: {{node: 60 s}}
    {NETWORK}
"""


def prepared(folder: Path, text: str = SCENARIO) -> ResolvedScenario:
    path = folder / "what-if.yaml"
    path.write_text(text)
    return prepare(path, SETTINGS)


def simulated(folder: Path, text: str = SCENARIO) -> tuple[Any, ...]:
    """Scenario, profiles, simulation, costs and comparison."""
    path = folder / "what-if.yaml"
    path.write_text(text)
    profiles = load_profiles(PROFILES)
    asked, *found = at_once.simulate_only(path, profiles, SETTINGS)
    return asked, profiles, *found


# --- the tornado ---------------------------------------------------------------------------------


def tornado(folder: Path, text: str = SCENARIO) -> Sensitivity:
    return sensitivity(*simulated(folder, text))


def test_an_input_moves_what_it_is_in(tmp_path: Path) -> None:
    found = tornado(tmp_path)
    inputs = {moved.name: moved for moved in found.inputs}
    moved = inputs["electricity"]
    assert (moved.low, moved.value, moved.high, moved.unit) == (0.08, 0.2, 0.4, "$/kWh")
    edge = next(reading for reading in moved.readings if reading.deployment == "edge")
    # Five devices of 8 W for a day, 12 x 20 x 60 requests.
    per_dollar = 5 * 8 * 24 / 1000 / 14_400 * 1e6
    assert edge.base is not None
    assert edge.low is not None
    assert edge.high is not None
    assert edge.base - edge.low == pytest.approx(0.12 * per_dollar, rel=0.03)
    assert edge.high - edge.base == pytest.approx(0.20 * per_dollar, rel=0.03)
    assert {r.deployment for r in moved.readings if r.swing} == {"edge"}
    assert moved.swing == pytest.approx(edge.high - edge.low)
    # Prices have bounds too: of the device, and of the spot machine.
    assert {"price of edge/raspberry-pi-5", "price of aws/c7i.xlarge/us-east-1/spot"} <= set(inputs)
    assert inputs["price of aws/c7i.xlarge/us-east-1/spot"].unit == "$/h"
    assert "colocation" in found.still
    assert not {moved.name for moved in found.inputs} & set(found.still)


def test_the_strongest_comes_first_and_the_rest_stays(tmp_path: Path) -> None:
    asked, profiles, simulation, costs, comparison = simulated(tmp_path)
    before = to_json(asked), to_json(costs)
    found = sensitivity(asked, profiles, simulation, costs, comparison)
    swings = [moved.swing for moved in found.inputs]
    assert swings == sorted(swings, reverse=True)
    assert min(swings) > 0
    assert (to_json(asked), to_json(costs)) == before
    for moved in found.inputs:
        for reading in moved.readings:
            costed = next(c for c in costs.deployments if c.deployment == reading.deployment)
            assert reading.base == costed.usd_per_million.value


def test_a_planted_input_changes_the_cheapest(tmp_path: Path) -> None:
    asked, profiles, simulation, costs, comparison = simulated(tmp_path)
    assert comparison.ranking[0].deployment == "cloud"
    staff = asked.assumptions.staff
    planted = asked.assumptions.model_copy(
        update={"staff": staff.model_copy(update={"low": Decimal(0)})}
    )
    without = asked.model_copy(update={"assumptions": planted})
    found = sensitivity(without, profiles, simulation, costs, comparison)
    moved = next(moved for moved in found.inputs if moved.name == "staff")
    assert moved.changes_winner
    assert (moved.winner_at_low, moved.winner_at_high) == ("edge", "cloud")
    others = [moved for moved in found.inputs if moved.name != "staff"]
    assert found.subject == "cloud"
    for moved in others:
        assert moved.changes_winner == (
            len({moved.winner_at_low, moved.winner_at_high, "cloud"}) > 1
        )


def test_an_infeasible_deployment_wins_nothing(tmp_path: Path) -> None:
    """The batch is the cheapest by far, and late."""
    found = tornado(tmp_path)
    winners = {w for moved in found.inputs for w in (moved.winner_at_low, moved.winner_at_high)}
    assert "night" not in winners


def test_where_nothing_is_feasible_there_is_no_winner(tmp_path: Path) -> None:
    found = tornado(tmp_path, SCENARIO.replace("limit: 250 ms", "limit: 24 ms"))
    assert {moved.winner_at_low for moved in found.inputs} == {None}
    assert not any(moved.changes_winner for moved in found.inputs)


def test_the_kind_of_intensity_is_a_choice(tmp_path: Path) -> None:
    found = {choice.kind: choice for choice in tornado(tmp_path).carbon}
    assert [choice.chosen for choice in found.values()] == [True, False, False]
    average = found["average"].carbon_kg_per_million["edge"]
    assert average == pytest.approx(5 * 8 * 24 / 1000 * 369.5 / 1000 / 14_400 * 1e6, rel=0.03)
    # The region of edge machines has an average alone; nobody knows what the cloud draws.
    assert found["marginal"].carbon_kg_per_million["edge"] is None
    assert found["average"].carbon_kg_per_million["cloud"] is None


def test_every_assumption_has_its_unit() -> None:
    plain = {
        "pue",
        "servers_per_person",
        "devices_per_person",
        "carbon_intensity",
        "schema_version",
    }
    assert set(Assumptions.model_fields) == set(UNITS) | plain


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (4 * 365 * 86_400.0, "s", "4 years"), (0.05, "share", "5 %"), (0.125, "share", "12.5 %"),
        (0.2, "$/kWh", "$0.2/kWh"), (10_000, "$/month", "$10000/month"), (300, "$", "$300"),
        (0.05, "a year", "0.05 a year"), (1.58, "", "1.58"),
    ],
)  # fmt: skip
def test_inputs_as_people_write_them(value: float, unit: str, said: str) -> None:
    assert format_input(value, unit) == said


# --- break-even ----------------------------------------------------------------------------------


def curve(
    traffic: list[float], feasible: str = "", **usd: list[float | None]
) -> list[TrafficPoint]:
    """``feasible``: those that are not, as ``name@index``."""
    missed = set(feasible.split())
    return [
        TrafficPoint(
            factor=x, sources=1, requests_per_day=x,
            deployments=[
                PointCost(
                    deployment=name, usd_per_million=values[i],
                    feasible=values[i] is not None and f"{name}@{i}" not in missed,
                )
                for name, values in usd.items()
            ],
        )
        for i, x in enumerate(traffic)
    ]  # fmt: skip


def ranges(points: list[TrafficPoint]) -> list[tuple[str | None, float, float]]:
    return [
        (r.deployment, r.from_requests_per_day, r.to_requests_per_day)
        for r in break_even(points).cheapest
    ]


def test_curves_cross_where_it_can_be_worked_out() -> None:
    """A fixed cost of $100 a day against $1,000 a million: they meet at 100,000 requests a day."""
    traffic = [1e4, 1e6]
    points = curve(traffic, fixed=[100 / x * 1e6 for x in traffic], each=[1000, 1000])
    (crossing,) = break_even(points).crossings
    assert (crossing.below, crossing.above) == ("each", "fixed")
    assert crossing.requests_per_day == pytest.approx(1e5)
    (low, high) = break_even(list(reversed(points))).cheapest
    assert (low.deployment, high.deployment) == ("each", "fixed")
    assert low.to_requests_per_day == high.from_requests_per_day == crossing.requests_per_day
    assert (
        "each from 10,000 to 100,000, fixed from 100,000 to 1,000,000"
        in break_even(points).sentence
    )


def test_there_is_no_crossing_where_nothing_was_simulated() -> None:
    # One is overloaded between the two points at which the order differs.
    points = curve([1, 2, 4], a=[1.0, None, 4.0], b=[2.0, 2.0, 2.0])
    assert break_even(points).crossings == []
    assert ranges(points) == [("a", 1, 1), ("b", 2, 4)]
    assert break_even(curve([1, 2], a=[1.0, 2.0], b=[3.0, 3.0])).crossings == []
    assert break_even(curve([1], a=[1.0], b=[3.0])).crossings == []


def test_curves_that_touch_do_not_cross() -> None:
    assert break_even(curve([1, 2, 4], a=[1, 2, 1], b=[2, 2, 2])).crossings == []
    through = break_even(curve([1, 2, 4], a=[1, 2, 3], b=[2, 2, 2])).crossings
    assert [(c.below, c.above, c.requests_per_day) for c in through] == [("a", "b", 2.0)]
    along = break_even(curve([1, 2, 4, 8], a=[1, 2, 2, 3], b=[2, 2, 2, 2])).crossings
    assert [c.requests_per_day for c in along] == [2.0]
    assert break_even(curve([1, 2], a=[5, 5], b=[5, 5])).crossings == []


def test_they_may_cross_twice() -> None:
    found = break_even(curve([1, 10, 100], a=[1, 4, 1], b=[2, 2, 2])).crossings
    assert [(c.below, c.above) for c in found] == [("a", "b"), ("b", "a")]
    assert found[0].requests_per_day == pytest.approx(math.sqrt(10))
    assert found[1].requests_per_day == pytest.approx(10 * math.sqrt(10))


def test_a_third_may_be_the_cheapest_in_between() -> None:
    found = ranges(curve([1, 100], a=[1, 100], b=[100, 1], c=[5, 5]))
    assert [name for name, _, _ in found] == ["a", "c", "b"]
    assert found[0][2] == pytest.approx(5)
    assert found[1][2] == pytest.approx(20)


def test_who_ceases_to_be_feasible_leaves_a_gap() -> None:
    """Nobody knows where between the points the objective is missed."""
    points = curve([1, 2, 4], "a@2", a=[1, 1, 1], b=[3, 3, 3])
    assert ranges(points) == [("a", 1, 2), ("b", 4, 4)]
    assert break_even(points).crossings == []
    nobody = curve([1, 2, 4], "a@1 a@2 b@1 b@2", a=[1, 1, 1], b=[3, 3, 3])
    assert ranges(nobody) == [("a", 1, 1), (None, 2, 4)]
    assert "none from 2 to 4" in break_even(nobody).sentence


def test_what_is_free_is_the_cheapest() -> None:
    assert ranges(curve([1, 2], a=[0.0, 0.0], b=[1.0, 1.0])) == [("a", 1, 2)]


USD = st.one_of(st.none(), st.floats(0.01, 1e4))


@given(
    rows=st.lists(st.tuples(USD, USD, USD), min_size=1, max_size=6),
    missed=st.sets(st.tuples(st.sampled_from("abc"), st.integers(0, 5))),
)
@settings(deadline=None)
def test_ranges_lie_in_order_and_agree_with_the_points(
    rows: list[tuple[float | None, ...]], missed: set[tuple[str, int]]
) -> None:
    traffic = [10.0 * 2**i for i in range(len(rows))]
    columns = {name: [row[i] for row in rows] for i, name in enumerate("abc")}
    points = curve(traffic, " ".join(f"{n}@{i}" for n, i in missed), **columns)
    found = break_even(points)
    spans = [(r.from_requests_per_day, r.to_requests_per_day) for r in found.cheapest]
    assert all(begin <= end for begin, end in spans)
    assert all(end <= begin for (_, end), (begin, _) in pairwise(spans))
    assert (spans[0][0], spans[-1][1]) == (traffic[0], traffic[-1])
    for point in points:
        able = {c.deployment: c.usd_per_million for c in point.deployments if c.feasible}
        least = min(able, key=lambda name: able[name] or 0.0, default=None)
        here = [
            r.deployment for r in found.cheapest
            if r.from_requests_per_day <= point.requests_per_day <= r.to_requests_per_day
        ]  # fmt: skip
        assert least in here
    assert all(traffic[0] <= c.requests_per_day <= traffic[-1] for c in found.crossings)


# --- more and less traffic -----------------------------------------------------------------------


@pytest.mark.parametrize("factor", [1 / 8, 1 / 4, 1 / 2, 1.0, 2.0, 4.0, 8.0])
def test_deployments_keep_pace(tmp_path: Path, factor: float) -> None:
    asked = prepared(tmp_path)
    other = scaled(asked, factor, grown).scenario
    sources = max(round(12 * factor), 1)
    true = sources / 12
    assert other.workload.sources == sources
    assert mean_rate(other.workload) == pytest.approx(4 * true)
    cloud, edge, night = other.deployments
    assert cloud.scaling.options["replicas"] == math.ceil(2 * true)  # type: ignore[union-attr]
    assert edge.fleet == math.ceil(5 * true)  # type: ignore[union-attr]
    assert night.nodes == math.ceil(3 * true)  # type: ignore[union-attr]
    assert cloud.network.sites == math.ceil(2 * true)  # type: ignore[union-attr]
    # No device has more sources than before.
    assert math.ceil(sources / edge.fleet) <= math.ceil(12 / 5)  # type: ignore[union-attr]
    if factor == 1:
        assert other == asked.scenario


GROWN = [
    (fixed.Options(replicas=3), 2.0, {"replicas": 6}),
    (fixed.Options(replicas=3), 0.5, {"replicas": 2}),
    (fixed.Options(replicas=1), 0.125, {"replicas": 1}),
    (hpa.Options(min_replicas=2, max_replicas=6), 4.0, {"min_replicas": 2, "max_replicas": 24}),
    (hpa.Options(min_replicas=2, max_replicas=6), 0.125, {"min_replicas": 2, "max_replicas": 2}),
    (queue.Options(min_replicas=0, max_replicas=3, per_replica=2), 1.5, {"min_replicas": 0, "max_replicas": 5}),
    (scale_to_zero.Options(max_replicas=4), 8.0, {"max_replicas": 32}),
    (scale_to_zero.Options(max_replicas=4), 0.125, {"max_replicas": 1}),
    (
        schedule.Options(steps=[schedule.Step(at=0.0, replicas=0), schedule.Step(at=60.0, replicas=3)]),
        0.5,
        {"steps": [{"at": 0.0, "replicas": 0}, {"at": 60.0, "replicas": 2}]},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("options", "factor", "expected"), GROWN)
def test_policies_for_other_traffic(options: Any, factor: float, expected: dict[str, Any]) -> None:
    name = type(options).__module__.rpartition(".")[2].replace("_", "-")
    part = Choice.model_validate({"name": name, **options.model_dump()})
    found = grown(part, factor)
    assert found.name == name
    assert found.options == options.model_dump() | expected


@pytest.mark.parametrize("name", extensions.names(SCALING))
@given(factor=st.floats(0.01, 8))
@settings(deadline=None, max_examples=20)
def test_capacity_never_falls_behind_the_traffic(name: str, factor: float) -> None:
    module = extensions.load(SCALING, name)
    options = next(o for o, _, _ in GROWN if type(o) is module.Options)
    most = module.bounds(module.grown(options, factor))[1]
    assert most >= module.bounds(options)[1] * factor - 1e-9


def test_a_policy_of_ones_own_without_it_is_said(tmp_path: Path) -> None:
    own = tmp_path / "own.py"
    own.write_text(
        "from bench.record import Record\n\n\nclass Options(Record):\n    pass\n\n\n"
        + "".join(
            f"def {name}(*_):\n    return None\n" for name in extensions.contract_of(SCALING)[1:]
        )
    )
    with pytest.raises(InputError, match="does not say what it is for other traffic"):
        grown(Choice(name=str(own)), 2.0)


def test_what_a_scenario_may_not_ask_for_is_left_out(tmp_path: Path) -> None:
    asked = prepared(tmp_path, SCENARIO.replace("replicas: 2}", "replicas: 200}"))
    others, left_out = other_traffic(asked, "fast")
    assert [o.scenario.workload.sources for o in others] == [2, 3, 6, 24, 48]
    assert len(left_out) == 1
    assert "8 times the traffic" in left_out[0]
    assert "replicas" in left_out[0]


def test_so_many_requests_are_left_out(tmp_path: Path) -> None:
    asked = prepared(tmp_path, SCENARIO.replace("rate: 20/min", "rate: 100/s"))
    others, left_out = other_traffic(asked, "fast")
    # 12 x 100 x 3,600 requests, in 3 deployments and 2 replications, are 25.9 million.
    assert [o.scenario.workload.sources for o in others] == [2, 3, 6]
    assert [said.split(":")[0] for said in left_out] == [
        f"{factor} times the traffic" for factor in (2, 4, 8)
    ]
    assert len(other_traffic(prepared(tmp_path), "reference")[1]) == 1


def test_sources_that_round_to_the_same_are_one_point(tmp_path: Path) -> None:
    asked = prepared(tmp_path, SCENARIO.replace("sources: 12", "sources: 1"))
    others, left_out = other_traffic(asked, "fast")
    assert [o.scenario.workload.sources for o in others] == [2, 4, 8]
    assert left_out == []
    assert all(o.scenario.simulate.replications == 2 for o in others)


TRACE = "{{name: trace, file: trace.csv{more}}}"


def test_a_trace_follows_its_rate_and_not_its_sources(tmp_path: Path) -> None:
    (tmp_path / "trace.csv").write_text("time_s\n" + "\n".join(map(str, range(100))))
    text = SCENARIO.replace("{name: poisson, rate: 20/min}", TRACE.format(more=", rate: 4/s"))
    other = scaled(prepared(tmp_path, text), 0.5, grown).scenario
    assert (other.workload.sources, mean_rate(other.workload)) == (6, 2.0)
    text = SCENARIO.replace("{name: poisson, rate: 20/min}", TRACE.format(more=""))
    others, left_out = other_traffic(prepared(tmp_path, text), "fast")
    assert others == []
    assert len(left_out) == len(FACTORS)
    assert "played as it was recorded" in left_out[0]


@pytest.mark.parametrize(
    "arrivals", ["{name: backlog, count: 50}", "{name: closed-loop, think: 3 s}"]
)
def test_a_backlog_and_users_follow_their_sources(tmp_path: Path, arrivals: str) -> None:
    text = SCENARIO.replace("{name: poisson, rate: 20/min}", arrivals)
    asked = prepared(tmp_path, text)
    other = scaled(asked, 4, grown).scenario
    assert mean_rate(other.workload) == pytest.approx(4 * mean_rate(asked.scenario.workload))


# --- a real scenario -----------------------------------------------------------------------------


def played(folder: Path, text: str = SCENARIO) -> WhatIf:
    asked, profiles, simulation, costs, comparison = simulated(folder, text)
    return what_if(
        asked, profiles, simulation, costs, comparison,
        lambda others: simulate_all(others, profiles, 1, Inline()),
    )  # fmt: skip


def test_devices_win_with_little_traffic_and_a_service_with_much(tmp_path: Path) -> None:
    """What a device costs, it costs for each source; a service is shared by all."""
    found = played(tmp_path).break_even
    assert [point.sources for point in found.points] == [2, 3, 6, 12, 24, 48, 96]
    (crossing,) = [c for c in found.crossings if {c.below, c.above} == {"cloud", "edge"}]
    assert (crossing.below, crossing.above) == ("edge", "cloud")
    first, last = found.cheapest[0], found.cheapest[-1]
    assert (first.deployment, last.deployment) == ("edge", "cloud")
    assert first.to_requests_per_day == pytest.approx(crossing.requests_per_day)
    # It is where it really is: one device against the service, in dollars a day.
    left, right = (p.requests_per_day for p in found.points[:2])
    assert left < crossing.requests_per_day < 14_400
    assert right < 14_400
    night = [c for point in found.points for c in point.deployments if c.deployment == "night"]
    assert not any(cost.feasible for cost in night)
    assert all(cost.usd_per_million for cost in night)


def test_the_traffic_asked_for_is_the_ranking(tmp_path: Path) -> None:
    asked, profiles, simulation, costs, comparison = simulated(tmp_path)
    found = what_if(
        asked, profiles, simulation, costs, comparison,
        lambda others: simulate_all(others, profiles, 1, Inline()),
    )  # fmt: skip
    point = next(p for p in found.break_even.points if p.factor == 1)
    assert point.requests_per_day == 14_400
    ranked = {e.deployment: (e.usd_per_million.value, e.feasible) for e in comparison.ranking}
    assert {c.deployment: (c.usd_per_million, c.feasible) for c in point.deployments} == ranked


def test_a_run_has_it_and_a_resumed_one_does_not_repeat_it(tmp_path: Path) -> None:
    path = tmp_path / "what-if.yaml"
    path.write_text(SCENARIO)
    seen: list[str] = []
    profiles = load_profiles(PROFILES)
    notify = lambda stage, *_: seen.append(stage)  # noqa: E731
    done = pipeline.simulate_into(path, profiles, tmp_path / "run", SETTINGS, notify)
    assert "what-if" in seen
    first = (done.path / "what_if.json").read_bytes()
    assert played(tmp_path) == Run.open(done.path).load("what_if.json", WhatIf)
    header = done.header.model_copy(update={"status": "incomplete"})
    done.save("run.json", header)
    (done.path / "report.html").unlink()
    seen.clear()
    again = pipeline.resume(done.path, SETTINGS, notify)
    assert "what-if" not in seen
    assert (again.path / "what_if.json").read_bytes() == first
    page = (again.path / "report.html").read_text()
    for heading in ("What if an input is another?", "What if the traffic is another?", "Capacity"):
        assert f"<h2>{heading}</h2>" in page
    assert "bears no date" in page  # the age of the prices
    assert page.count("<svg") == 6  # nothing was measured; how times follow sizes is in the profile


def test_a_run_of_before_has_no_what_if_and_a_report_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "what-if.yaml"
    path.write_text(SCENARIO)
    done = pipeline.simulate_into(path, load_profiles(PROFILES), tmp_path / "run", SETTINGS)
    (done.path / "what_if.json").unlink()
    page = render_html(pages.report(done))
    assert "What if" not in page
    assert page.count("<svg") == 4
    view = View.model_validate_json((done.path / "report.json").read_bytes())
    assert view.what_if is None


def test_names_in_the_new_charts_are_text(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script> $x^2$"
    path = tmp_path / "what-if.yaml"
    path.write_text(SCENARIO.replace("name: edge\n", f'name: "{evil}"\n'))
    done = pipeline.simulate_into(path, load_profiles(PROFILES), tmp_path / "run", SETTINGS)
    page = (done.path / "report.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "http://" not in page
