"""The whole way on the fake backend: exact, because its times are scripted."""

from __future__ import annotations

import json
import math
import re
from decimal import Decimal
from pathlib import Path
from statistics import fmean

import pytest

import bench
from bench.at_once import simulate_only
from bench.compare import Comparison
from bench.cost import Costs
from bench.errors import InputError
from bench.gather import load_profiles
from bench.measure import STEPS, Measurement, PowerReading
from bench.pipeline import run
from bench.prepare import Settings
from bench.record import Estimate
from bench.report import View, render_html
from bench.simulate import Replication, Simulation
from bench.store import Run, to_json
from bench.units import format_percent, format_seconds, format_usd

pytestmark = pytest.mark.slow

INLINE = Settings(engine="inline")


@pytest.fixture
def done(finished_run: Run) -> Run:
    return finished_run


def test_scripted_times_come_back_exactly(done: Run) -> None:
    measured = done.load("measurement.json", Measurement)
    fast = next(arm for arm in measured.arms if arm.device == "this-host")
    assert fast.load.value == 0.5
    assert fast.first_call.value == pytest.approx(0.1 + 0.005)
    for row in fast.steps:
        assert row.service.value == pytest.approx(0.004 + 0.001 * row.batch_size)
        assert row.steps["execute"] == pytest.approx(row.service.value)
    assert {a.value for a in fast.accuracy} == {0.0}


def test_batch_sizes_come_in_shuffled_order(done: Run) -> None:
    sizes = done.table("batches.parquet").query("phase == 'profile'").batch_size.tolist()
    assert sizes != sorted(sizes)


def test_edge_requests_wait_for_nothing_but_each_other(done: Run) -> None:
    simulation = done.load("simulation.json", Simulation)
    edge = next(d for d in simulation.deployments if d.deployment == "edge")
    assert edge.response_s["p50"].value == pytest.approx(0.010)


def test_requests_are_conserved(done: Run) -> None:
    for deployment in done.load("simulation.json", Simulation).deployments:
        for day in deployment.replications:
            assert day.requests == day.done + day.in_flight
            assert day.done == day.requests
            assert math.isfinite(day.utilisation)


def test_every_deployment_meets_the_same_requests(done: Run) -> None:
    deployments = done.load("simulation.json", Simulation).deployments
    counts = [[day.requests for day in d.replications] for d in deployments]
    assert counts[0] == counts[1] == counts[2]


def test_a_ledger_sums_to_its_total(done: Run) -> None:
    for costed in done.load("costs.json", Costs).deployments:
        lines = costed.ledger.lines
        assert sum((line.amount_usd for line in lines), Decimal(0)) == costed.ledger.total_usd


def test_civo_bills_two_nodes_all_day(done: Run) -> None:
    costs = {c.deployment: c for c in done.load("costs.json", Costs).deployments}
    compute = costs["cloud"].ledger.lines[0]
    assert compute.quantity == 48
    assert float(compute.amount_usd) == pytest.approx(48 * 21.73 / 730, abs=1e-8)


def test_batch_is_cheapest_and_too_late(done: Run) -> None:
    comparison = done.load("comparison.json", Comparison)
    by_name = {entry.deployment: entry for entry in comparison.ranking}
    assert not by_name["night"].feasible
    assert by_name["night"].rank is None
    cost = {name: entry.usd_per_million.value or 0 for name, entry in by_name.items()}
    assert cost["night"] < min(cost["cloud"], cost["edge"])
    assert by_name["cloud"].feasible
    assert by_name["cloud"].provenance == "assumed"


def test_what_costs_nothing_is_the_cheapest(done: Run, fake_scenario: Path, tmp_path: Path) -> None:
    free = ["electricity: $0/kWh", "staff: $0/month", "visit: $0"]
    lines = "".join(
        f"  {name}: {{value: {price}, source: a gift}}\n"
        for name, _, price in (line.partition(": ") for line in free)
    )
    path = tmp_path / "mine.yaml"
    path.write_text(
        "schema_version: 1\npurchases:\n  edge/mini-pc: {price: $0, provenance: assumed, "
        f"source: a gift}}\nassumptions:\n{lines}"
    )
    settings = Settings(engine="inline", overrides=path)
    comparison = simulate_only(fake_scenario, load_profiles(done.path), settings)[3]
    assert comparison.ranking[0].deployment == "edge"
    assert comparison.ranking[0].usd_per_million.value == 0


def test_the_same_profiles_and_seed_give_the_same_bytes(done: Run, fake_scenario: Path) -> None:
    profiles = load_profiles(done.path)
    first, second = (
        [to_json(record) for record in simulate_only(fake_scenario, profiles, INLINE)]
        for _ in range(2)
    )
    assert first == second
    other = simulate_only(fake_scenario, profiles, Settings(engine="inline", seed=2))
    assert to_json(other[1]) != first[1]


def test_a_missing_profile_is_named(done: Run, fake_scenario: Path) -> None:
    profiles = {k: v for k, v in load_profiles(done.path).items() if "one-thread" in k}
    with pytest.raises(InputError, match="no profile of 'fake"):
        simulate_only(fake_scenario, profiles, INLINE)


def test_overload_has_no_latency(done: Run, fake_scenario: Path) -> None:
    text = fake_scenario.read_text().replace("rate: 6/min", "rate: 40/s")
    fake_scenario.write_text(text.replace("10:00", "08:02"))
    comparison = simulate_only(fake_scenario, load_profiles(done.path), INLINE)[3]
    cloud = next(entry for entry in comparison.ranking if entry.deployment == "cloud")
    assert not cloud.feasible
    assert cloud.p99_s.value is None
    assert cloud.reasons[0].startswith("overload")


def test_the_report_says_what_the_json_says(done: Run) -> None:
    html = (done.path / "report.html").read_text()
    view = json.loads((done.path / "report.json").read_text())
    assert view["comparison"]["verdict"].replace("'", "&#39;") in html.replace("&lt;", "<")
    for entry in view["comparison"]["ranking"]:
        figures = [
            format_usd(entry["usd_per_million"]["value"]),
            *(format_seconds(entry[name]["value"]) for name in ("p50_s", "p99_s")),
            *(format_percent(entry[name]["value"]) for name in ("slo_attainment", "utilisation")),
        ]
        row = "".join(f'.*?<span class="figure">{re.escape(figure)}</span>' for figure in figures)
        assert re.search(f"</span>{re.escape(entry['deployment'])}\\b{row}", html, re.DOTALL)
    for costed in view["costs"]["deployments"]:
        assert f"<td>{costed['ledger']['total_usd']}</td>" in html
    assert "http://" not in html
    assert "https://" not in html
    assert len(html) < 1_000_000


def test_the_report_shows_power_with_its_interval_and_codes(done: Run) -> None:
    view = View.model_validate_json((done.path / "report.json").read_bytes())
    reading = PowerReading(
        source="counter",
        scope="board",
        sensor="a card",
        window_s=20,
        mean_w=Estimate(value=50, low=49, high=51),
        idle_w=Estimate(value=10, low=9.5, high=10.5),
        energy_per_inference_j=Estimate(value=0.25, low=0.24, high=0.26),
        codes=["throttled-power"],
    )
    arms = [arm.model_copy(update={"power": [reading]}) for arm in view.arms]
    html = render_html(view.model_copy(update={"arms": arms}))
    for part in ("0.25 J (0.24 J – 0.26 J)", "50 W (49 W – 51 W)", "10 W (9.5 W – 10.5 W)"):
        assert part in html
    assert "counter, board: a card [throttled-power]" in html


def test_the_report_shows_the_making_of_machines_apart(fake_scenario: Path, tmp_path: Path) -> None:
    text = fake_scenario.read_text()
    bought = text.replace("civo/standard-2c-4g/any/on-demand", "on-premise/server-dual-xeon")
    fake_scenario.write_text(bought)
    done = run(fake_scenario, tmp_path / "own", INLINE)
    costs = {c.deployment: c for c in done.load("costs.json", Costs).deployments}
    cloud, (use,), (made,) = costs["cloud"], costs["cloud"].energy, costs["cloud"].embodied
    assert made.kg is not None
    requests = [day.done for day in _days(done, "cloud")]
    per_million = [made.kg / number * 1e6 for number in requests]
    assert cloud.embodied_kg_per_million.value == pytest.approx(fmean(per_million))
    assert cloud.carbon_kg_per_day.value == use.carbon_kg  # nothing was added
    assert costs["night"].embodied_kg_per_million.value is None
    assert "no source says" in str(costs["night"].embodied_kg_per_million.reason)
    table = (done.path / "report.html").read_text().split('<table class="embodied">')[1]
    assert f"<td>{made.kg:.4g}<small>" in table[: table.index("</table>")]
    ranked = done.load("comparison.json", Comparison).ranking
    own = next(entry for entry in ranked if entry.deployment == "cloud")
    assert own.embodied_kg_per_million == cloud.embodied_kg_per_million


def _days(done: Run, name: str) -> list[Replication]:
    simulation = done.load("simulation.json", Simulation)
    return next(d for d in simulation.deployments if d.deployment == name).replications


def test_a_script_for_a_name_is_text(fake_scenario: Path, tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    text = fake_scenario.read_text()
    fake_scenario.write_text(
        text.replace("name: fake\ntask", f'name: "{evil}"\ntask').replace(
            "name: edge", f'name: "{evil}"', 1
        )
    )
    done = run(fake_scenario, tmp_path / "evil", INLINE)
    html = (done.path / "report.html").read_text()
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)" in html


def test_the_public_door_takes_names_of_files(fake_scenario: Path) -> None:
    assert bench.run(str(fake_scenario), "out", INLINE).header.status == "complete"


def test_the_public_door_opens_a_run(done: Run) -> None:
    frame = bench.load(str(done.path)).table("batches.parquet")
    parts = frame[[f"{step}_s" for step in STEPS]].sum(axis=1)
    whole = (frame.finished_ns - frame.started_ns) / 1e9
    assert (parts - whole).abs().max() == pytest.approx(0)


def test_resume_keeps_what_is_finished(done: Run) -> None:
    header = done.header.model_copy(update={"status": "incomplete"})
    done.save("run.json", header)
    (done.path / "comparison.json").unlink()
    before = (done.path / "measurement.json").stat().st_mtime_ns
    again = bench.pipeline.resume(done.path, INLINE)  # type: ignore[attr-defined]
    assert again.header.status == "complete"
    assert (done.path / "measurement.json").stat().st_mtime_ns == before
