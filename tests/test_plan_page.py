"""The page of a plan: what plan.json says, nothing from elsewhere, hostile names as text."""

from __future__ import annotations

import html
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from bench import cli
from bench.gather import load_profiles
from bench.pages import report_plan
from bench.pipeline import measure_only, plan
from bench.plan import Plan, Planned, Unknown
from bench.prepare import Order, Settings
from bench.record import Estimate
from bench.report import render_plan
from bench.report.plan_charts import marks_of, staircase
from bench.report.plan_page import parts_of
from bench.scenario import Deployment, HybridDeployment
from bench.store import Run
from bench.units import format_seconds, format_usd
from tests.conftest import FAKE_SCENARIO

pytestmark = pytest.mark.slow

HOSTILE = "<script>alert(1)</script> \"$x^2$\" & 'y'"
SPACE = """
plan:
  offers: ["civo/standard-*", "aws/c7i.xlarge/us-east-1/*", "aws/p5*", "edge/mini-pc"]
  batching: [none, {name: dynamic, max_batch: 8, max_wait: 5 ms}]
  scaling: [{name: fixed, replicas: 1}, {name: hpa, min_replicas: 1, max_replicas: 4}]
  nodes: [1]
  share_devices: [1, 2]
"""
SETTINGS = Settings(engine="inline", command="bench plan fake.yaml")


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Plan]:
    folder = tmp_path_factory.mktemp("plan")
    path = folder / "fake.yaml"
    path.write_text(FAKE_SCENARIO + SPACE + "  within: 3\n")
    measured, _ = measure_only(path, folder / "measured", SETTINGS)
    return plan(path, load_profiles(measured.path), folder / "plan", SETTINGS)


def page_of(run: Run, found: Plan, **changes: Any) -> str:
    asked = run.load("asked.json", Order).simulated
    scenario = asked.scenario.model_copy(update=changes)
    return render_plan(run.header, asked.model_copy(update={"scenario": scenario}), found)


def text_of(markup: str) -> str:
    """What a reader sees of it, with one space between words."""
    spaced = re.sub(r"</?(td|th|tr|div|p|small|li|h\d)\b[^>]*>", " ", markup)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", spaced)).split())


def rows_of(page: str, table: str) -> list[str]:
    """The rows of the body of the table of this class."""
    found = re.search(rf'<table class="[^"]*\b{table}">.*?<tbody>(.*?)</tbody>', page, re.DOTALL)
    return re.findall(r"<tr>.*?</tr>", found[1], re.DOTALL) if found else []


def test_the_page_says_what_the_plan_says(planned: tuple[Run, Plan]) -> None:
    run, found = planned
    page = (run.path / "plan.html").read_text()
    assert found.cheapest
    assert found.front
    assert found.verdict in text_of(page)
    for table, rows in (("cheapest", found.cheapest), ("front", found.front)):
        shown = rows_of(page, table)
        assert len(shown) == len(rows)
        for number, (row, one) in enumerate(zip(shown, rows, strict=True), 1):
            said = text_of(row)
            assert said.startswith(f"{number} {one.entry.kind.replace('_', '-')} ")
            for expected in figures_of(one):
                assert expected in said, (table, number)
    for name in found.indistinguishable:
        assert name in text_of(page)
    assert f"{found.candidates:,} candidates" in text_of(page)
    assert f"{found.judged:,} were judged, from {found.simulated:,} simulated" in text_of(page)
    assert found.too_dear
    left_out = [text_of(row) for row in rows_of(page, "left-out")]
    assert left_out[0].startswith(f"{found.too_dear:,} ")
    assert left_out[1:] == [f"{number:,} {why}" for why, number in found.dismissed.items()]
    assert found.refused
    refused = [text_of(row) for row in rows_of(page, "refused")]
    assert len(refused) == len(found.refused)
    for row, unknown in zip(refused, found.refused, strict=True):
        assert all(name in row for name in (*unknown.offers, *unknown.devices))
        assert row.endswith(f"{unknown.reason} {unknown.todo}")
    first = re.search(r"<summary>(.*?)</summary>", page[page.index("Where every number") :])
    assert first
    assert html.unescape(first[1]).startswith(found.cheapest[0].entry.deployment)
    for origin in found.cheapest[0].entry.origins:
        assert origin.subject in text_of(page)
        assert " ".join(origin.source.split()) in text_of(page)


def figures_of(one: Planned) -> Iterator[str]:
    entry = one.entry
    for estimate, form in (
        (entry.usd_per_million, format_usd),
        (entry.usd_per_month, format_usd),
        (entry.p99_s, format_seconds),
    ):
        assert estimate.value is not None
        low, value, high = (form(x) for x in (estimate.low, estimate.value, estimate.high))
        yield value if low == value == high else f"{value} {low} – {high}"
    kg = entry.carbon_kg_per_million.value
    yield "–" if kg is None else f"{kg:.3g} kg"
    yield entry.provenance
    yield entry.offer
    if one.alike:
        yield f"and {one.alike} like it"


def test_what_is_not_known_says_why(planned: tuple[Run, Plan]) -> None:
    run, found = planned
    first = found.cheapest[0]
    why = 'nobody "knows"'
    entry = first.entry.model_copy(update={"carbon_kg_per_million": Estimate.absent(why)})
    row = rows_of(
        page_of(run, replaced(found, cheapest=[first.model_copy(update={"entry": entry})])),
        "cheapest",
    )[0]
    assert f'title="{html.escape(why).replace("&quot;", "&#34;")}">–<' in row


def replaced(found: Plan, **changes: Any) -> Plan:
    return found.model_copy(update=changes)


def test_ties_with_the_cheapest_are_marked(planned: tuple[Run, Plan]) -> None:
    run, found = planned
    assert len(found.cheapest) > 1
    tied = found.cheapest[1].entry.deployment
    page = page_of(run, replaced(found, indistinguishable=[tied, "another"]))
    rows = rows_of(page, "cheapest")
    marked = ["not distinguishable" in row for row in rows]
    assert marked == [number == 1 for number in range(len(rows))]
    assert "beside those above: 1" in page
    assert "<li>another</li>" in page


def test_every_deployment_found_has_its_mark(planned: tuple[Run, Plan]) -> None:
    run, found = planned
    page = (run.path / "plan.html").read_text()
    drawn = ElementTree.fromstring(page[page.index("<svg") : page.index("</svg>") + 6])  # noqa: S314
    titles = [e.text or "" for e in drawn.iterfind(".//g[@id]/title")]
    feasible = {one.entry.deployment: one for one in [*found.cheapest, *found.front]}
    for name, one in feasible.items():
        cost = format_usd(one.entry.usd_per_million.value)
        assert any(f"{name}: {cost} per million" in title for title in titles)
    assert drawn.get("role") == "img"
    assert drawn.get("aria-label") == drawn.findtext("title")
    assert f"{len(feasible)} meet the objective" in (drawn.findtext("desc") or "")
    said = [e.text for e in drawn.iter("text")]
    assert "SLO: p99 within 200 ms" in said
    assert "on the Pareto front" in said


def test_the_line_joins_what_nothing_beats(planned: tuple[Run, Plan]) -> None:
    _, found = planned
    steps = staircase(marks_of(found))
    assert steps
    assert steps == sorted(steps)
    assert [usd for _, usd in steps] == sorted((usd for _, usd in steps), reverse=True)
    for one in found.front:
        p99, usd = one.entry.p99_s.value, one.entry.usd_per_million.value
        assert p99 is not None
        assert usd is not None
        assert any(a <= p99 and b <= usd for a, b in steps)


def test_nothing_comes_from_elsewhere(planned: tuple[Run, Plan]) -> None:
    run, _ = planned
    page = (run.path / "plan.html").read_text()
    assert not re.search(r"""(src|href)=["']?\s*(https?:)?//""", page)
    assert not re.search(r"@import|url\((?!#)|<script|\son\w+=", page)
    assert "default-src 'none'" in page
    assert str(run.path) not in page


def hostile(one: Planned) -> Planned:
    entry = one.entry.model_copy(
        update={"deployment": HOSTILE, "offer": HOSTILE, "reasons": [HOSTILE], "feasible": False}
    )
    changes = {"name": HOSTILE, "offer": HOSTILE, "device": HOSTILE}
    return Planned(
        deployment=one.deployment.model_copy(update=changes), entry=entry, alike=one.alike
    )


def test_hostile_names_are_text(planned: tuple[Run, Plan]) -> None:
    run, found = planned
    one = hostile(found.cheapest[0])
    bad = replaced(
        found, scenario=HOSTILE, verdict=HOSTILE, cheapest=[one], front=[one],
        near_misses=[one, *map(hostile, found.cheapest[1:])], indistinguishable=[HOSTILE, "a <b>"],
        refused=[Unknown(reason=HOSTILE, todo=HOSTILE, devices=[HOSTILE], offers=[HOSTILE])], dismissed={HOSTILE: 1},
    )  # fmt: skip
    page = page_of(run, bad, title=HOSTILE)
    assert "<script" not in page
    assert "a <b>" not in page
    assert text_of(page).count(HOSTILE) > 10
    ElementTree.fromstring(page[page.index("<svg") : page.index("</svg>") + 6])  # noqa: S314


def infeasible(found: Plan) -> Plan:
    """The plan as it is where all that was found misses."""
    missed = [
        one.model_copy(
            update={
                "entry": one.entry.model_copy(
                    update={"feasible": False, "reasons": ["p99 is over the limit"]}
                )
            }
        )
        for one in found.cheapest
    ]
    return replaced(
        found, verdict="None meets the objective.", objective_met=False, cheapest=[], front=[],
        indistinguishable=[], near_misses=missed,
    )  # fmt: skip


def test_a_plan_in_which_nothing_is_feasible(planned: tuple[Run, Plan]) -> None:
    run, found = planned
    none = infeasible(found)
    page = page_of(run, none)
    assert 'class="verdict missed">None meets the objective.' in page
    assert rows_of(page, "cheapest") == rows_of(page, "front") == []
    misses = rows_of(page, "misses")
    assert len(misses) == len(none.near_misses)
    assert all("p99 is over the limit" in row for row in misses)
    assert "misses the objective" in page[page.index("<svg") : page.index("</svg>")]
    nothing = replaced(none, near_misses=[], refused=[], dismissed={}, too_dear=0)
    bare = page_of(run, nothing)
    assert "<svg" not in bare
    assert "None meets the objective" in bare


def test_what_has_no_place_in_the_figure_is_counted(planned: tuple[Run, Plan]) -> None:
    run, found = planned
    first, *rest = found.cheapest
    entry = first.entry.model_copy(
        update={"usd_per_million": Estimate(value=0.0, low=0.0, high=0.0)}
    )
    free = first.model_copy(update={"entry": entry})
    page = page_of(run, replaced(found, cheapest=[free, *rest], front=[free]))
    assert "Without a place here, for want of a cost or a latency: 1." in page


def test_a_hybrid_has_two_parts(planned: tuple[Run, Plan]) -> None:
    of_kind: dict[str, Deployment] = {}
    for one in planned[1].cheapest:
        of_kind.setdefault(one.entry.kind, one.deployment)
    edge, cloud = (
        of_kind[kind].model_dump(exclude={"name", "kind"}) for kind in ("edge", "real_time")
    )
    hybrid = HybridDeployment.model_validate(
        {
            "name": "both (of them)", "kind": "hybrid", "edge": edge, "cloud": cloud,
            "spill": {"queue": 2},
        }
    )  # fmt: skip
    assert [part.role for part in parts_of(hybrid)] == ["edge", "cloud"]
    assert [part.offer for part in parts_of(hybrid)] == [edge["offer"], cloud["offer"]]


def bench(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["bench", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    out, errors = capsys.readouterr()
    return int(ended.value.code or 0), out, errors


def test_the_command_line_rebuilds_the_same_bytes(
    planned: tuple[Run, Plan], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, found = planned
    path = run.path / "plan.html"
    before = path.read_bytes()
    path.unlink()
    assert bench(monkeypatch, capsys, "report", str(run.path)) == (0, f"{path}\n", "")
    assert path.read_bytes() == before
    code, printed, errors = bench(monkeypatch, capsys, "report", str(run.path), "--json")
    assert (code, errors) == (0, "")
    said = json.loads(printed)
    assert said["verdict"] == found.verdict
    assert said["report"] == str(path)
    assert bench(monkeypatch, capsys, "report", str(run.path), "--quiet") == (0, "", "")
    assert report_plan(Run.open(run.path)) == found
    assert path.read_bytes() == before


def test_a_plan_prints_where_its_page_is(
    planned: tuple[Run, Plan],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    scenario = tmp_path / "fake.yaml"
    scenario.write_text(FAKE_SCENARIO + SPACE)
    arguments = ("--profiles", str(planned[0].path), "--engine", "inline", "--out", "again")
    code, printed, errors = bench(monkeypatch, capsys, "plan", str(scenario), *arguments)
    assert (code, errors) == (0, "")
    assert printed.endswith("\nplan: again/plan.html\n")
    assert Path("again/plan.html").is_file()


def test_a_plan_that_cannot_be_read_is_said_to_be_one(
    planned: tuple[Run, Plan],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = Run.create(tmp_path / "bad", planned[0].header)
    run.save_text("plan.json", "{}")
    run.finish()
    code, printed, errors = bench(monkeypatch, capsys, "report", str(run.path))
    assert (code, printed) == (2, "")
    assert "plan.json" in errors
    assert "is not a Plan of this version" in errors
    assert errors.count("\n") == 1
