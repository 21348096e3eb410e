"""What a gate reads and writes: its file, the results of its sources, and the verdict in words."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.errors import InputError
from bench.gate import Asked, Gated, Metric, Settings, judge, junit, markdown, prepare, sentences
from bench.gate.asked import Environment, Side
from bench.gate.floor import floor_of
from bench.gate.rounds import Round
from bench.gate.sources import pytest_benchmark, scenario
from bench.gate.tables import amount, floor_table, progress_line, recommended
from bench.gate.weigh import Rule
from bench.hardware import Catalogue
from bench.scenario import Choice
from tests.test_gate import ODD, TIME, noisy, process

EXAMPLE = Path(__file__).parents[1] / "reports" / "example"
SUITE = "source: {name: pytest-benchmark}\n"
DIFFER = "head: {source: {sample: 1 s}}\n"
"""So that no repository is needed."""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SUITE + "metrics: [a]\nmetric: [b]\n", ":4:1: unknown key 'metric'"),
        (SUITE + "metrics: []\n", ":3:10: metrics: List should have at least 1 item"),
        (SUITE + "metrics: [a, a]\n", "the metrics a are declared twice"),
        (SUITE + "metrics: [{name: a, gated: false}]\n", "no metric is gated"),
        (SUITE + "metrics: [a, b, c, d, e, f, g, h, i]\n", "9 metrics are gated"),
        (SUITE + "metrics: [{name: a, better: equal}]\n", "only an exact metric can have to be equal"),
        (SUITE + "metrics: [{name: a, least_effect: 5 s}]\n", ":3:35: least_effect: "),
        ("source: pytest-bench\nmetrics: [a]\n", ":2:9: unknown source 'pytest-bench'"),
        ("source: {name: scenario}\nmetrics: [a]\n", "the key 'path' is missing"),
        (SUITE + "metrics: [a]\noffer: civo/none\n", ":4:8: unknown offer 'civo/none'"),
        (SUITE + "metrics: [a]\nfloor: nowhere.json\n", "nowhere.json"),
    ],
)  # fmt: skip
def test_what_makes_no_gate_is_said_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "gate.yaml"
    differ = DIFFER if text.startswith(SUITE) else ""
    path.write_text(f"schema_version: 1\n{text}{differ}")
    with pytest.raises(InputError) as error:
        prepare(path, Settings(), Catalogue())
    assert said in str(error.value)


def test_a_short_file_means_what_it_says(tmp_path: Path) -> None:
    path = tmp_path / "speed.yaml"
    path.write_text(f"schema_version: 1\n{SUITE}metrics: [a, {{name: b, exact: true}}]\n{DIFFER}")
    asked = prepare(path, Settings(minutes=2), Catalogue())
    assert asked.name == "speed"
    assert [metric.name for metric in asked.metrics or []] == ["a", "b"]
    assert (asked.base.commit, asked.time_limit) == (None, 120)
    samples = [side.source.options["sample"] for side in (asked.base, asked.head)]
    assert samples == [0.1, 1.0]
    assert prepare(path, Settings(equal=True, runs=None, head=None), Catalogue()).base == asked.head


def test_a_scenario_s_run_is_read_as_it_was_written() -> None:
    found = scenario.figures(scenario.Options(path="none"), EXAMPLE)
    measured = json.loads((EXAMPLE / "measurement.json").read_text())["arms"][0]
    response, arm = measured["loads"][0]["response"], measured["arm"]
    for percentile in ("p50", "p99"):
        seen = found[f"{arm} {percentile}"].value
        assert seen == pytest.approx(response[percentile]["value"], rel=1e-3)
    steps = [name for name, figure in found.items() if figure.part_of == f"{arm} p50"]
    assert steps == [f"{arm} {step} step" for step in scenario.STEPS]
    parts = sum(found[name].value or 0 for name in steps)
    assert parts == pytest.approx(found[f"{arm} p50"].value, rel=0.05)
    agreement, energy = found[f"{arm} agreement"], found[f"{arm} energy"]
    assert (agreement.value, agreement.exact) == (1234 / 1246, True)
    assert energy.value is None
    assert "no RAPL package" in (energy.reason or "")
    dollars = found["cloud-real-time dollars per million"]
    assert (dollars.unit, round(dollars.value or 0, 2)) == ("USD", 38.7)
    assert scenario.figures(scenario.Options(path="none"), EXAMPLE / "nowhere") == {}


def test_a_suite_s_benchmarks_are_medians_by_name(tmp_path: Path) -> None:
    rows = [
        {"name": name, "fullname": f"{file}::{name}", "stats": {"median": median}}
        for file, name, median in (
            ("a", "test_one", 1.0),
            ("b", "test_one", 2.0),
            ("a", "two", 3.0),
        )
    ]
    result = tmp_path / pytest_benchmark.RESULT
    result.write_text(json.dumps({"benchmarks": rows}))
    found = pytest_benchmark.figures(pytest_benchmark.Options(), result)
    assert {name: figure.value for name, figure in found.items()} == {
        "a::test_one": 1.0, "b::test_one": 2.0, "two": 3.0,
    }  # fmt: skip
    result.write_text("")
    assert pytest_benchmark.figures(pytest_benchmark.Options(), result) == {}


def gated(rounds: list[Round], metrics: list[Metric] | None = None, **about: Any) -> Gated:
    side = Side(commit="0123456789abcdef", source=Choice(name="pytest-benchmark"))
    asked = Asked(
        name="speed", metrics=metrics or TIME, base=side, head=side, repository="/r", seed=1,
        environment=Environment(), command="bench gate speed.yaml", **about,
    )  # fmt: skip
    return Gated(
        asked=asked, judgement=judge(metrics or TIME, rounds, Rule()), seconds=60,
        environment={"cpu": "a | <cpu>"},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("rounds", "verdict", "mark", "kind"),
    [
        (noisy(0.0), "PASS", "✅", None),
        (noisy(-0.2), "IMPROVED", "🚀", None),
        (noisy(0.1), "REGRESSED", "❌", "failure"),
        (noisy(0.0)[:3], "INCONCLUSIVE", "❔", "error"),
        ([Round(first="base", base=process(), head=ODD["crashed"])], "MISSING", "⛔", "error"),
    ],
)
def test_a_verdict_is_the_same_in_every_form(
    rounds: list[Round], verdict: str, mark: str, kind: str | None
) -> None:
    found = gated(rounds, usd_per_hour=3.6)
    told = markdown(found)
    assert told.startswith(f"### {mark} speed: {verdict}\n")
    assert sentences(found)[0].startswith(f"{verdict}: ")
    assert ("a million of them" in told) is (verdict != "MISSING")
    suite = ET.fromstring(junit(found))[0]  # noqa: S314
    assert [child.tag for child in suite[0]] == [kind or "system-out"]
    assert suite.get("failures") == str(int(kind == "failure"))
    assert suite.get("errors") == str(int(kind == "error"))
    assert progress_line(found.judgement, 60).startswith(f"round {len(rounds)}, 60 s: ")


def test_what_is_installed_on_one_side_only_is_told() -> None:
    packages = {"base": {"numpy": "2.3", "old": "1"}, "head": {"numpy": "2.4"}}
    found = gated(noisy(0.0)).model_copy(update={"packages": packages})
    told = "What is installed differs: numpy 2.3 → 2.4, old 1 → none."
    assert told in markdown(found).splitlines()


def test_dollars_are_the_time_of_a_million_at_the_price() -> None:
    told = markdown(gated(noisy(0.0), usd_per_hour=3.6))
    line = next(line for line in told.splitlines() if "a million of them" in line)
    assert "$1,000.00" in line  # 1 s each at $0.001 a second


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (None, "s", "–"), (0.0012, "s", "1.2 ms"), (12.5, "USD", "$12.50"), (0.5, "share", "50.00 %"),
        (2e6, "bytes", "2.0 MB"), (12345.6, "count", "1.235e+04"), (20, "1/s", "20 1/s"),
    ],
)  # fmt: skip
def test_amounts_have_their_unit(value: float | None, unit: str, said: str) -> None:
    assert amount(value, unit) == said


def test_a_floor_is_what_the_machine_tells_from_nothing() -> None:
    quiet, loud = (
        floor_of(TIME, noisy_by(noise), Rule(), 120, "cpu") for noise in (0.01, 0.08)
    )  # fmt: skip
    assert quiet.floors["time"] < loud.floors["time"]
    assert quiet.recommended is not None
    assert loud.recommended is not None
    assert quiet.recommended.least_effect < loud.recommended.least_effect
    passes = [one.passes for one in loud.promises]
    assert passes[-1] == 1
    assert passes == sorted(passes)
    assert f"`least_effect: {quiet.recommended.least_effect:.0%}`" in recommended(quiet)
    assert floor_table(quiet).row_count == len(quiet.promises)
    hopeless = floor_of(TIME, noisy_by(0.8), Rule(), 20, "cpu")
    assert hopeless.recommended is None
    assert "give it more" in recommended(hopeless)


def noisy_by(noise: float) -> list[Round]:
    times = np.exp(np.random.default_rng(1).normal(0, noise, (30, 2)))
    return [
        Round(first="base", base=process(float(base)), head=process(float(head)))
        for base, head in times
    ]
