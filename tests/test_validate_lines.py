"""Live against simulated, for lines of two stages: one whose truth is known, and a live one."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench.observe import Observed, at_stage, column, columns_of, whole
from bench.prepare import Settings, prepare
from bench.requests import Requests
from bench.scenario import EdgePart, ResolvedScenario
from bench.simulate import ServiceTimes, replay
from bench.validate import Observation, Session, Validation, first_served, validate
from bench.validate.asked import line_of
from bench.validate.blocks import order_of, waves
from bench.validate.line import comes_to, forecast_behind_device, forecast_line
from bench.validate.validation import Block
from bench.validate.way import Way
from tests.test_serve_lines import line_scenario

LONG_S = 900.0
"""Nothing here takes so long, however busy the machine, and the simulator not yet compiled."""
LEVELS, TRAFFICS = (0.4, 0.7), 3
INPUTS = 6
"""Something is found in those of even numbers."""
FIND_S, READ_S = 0.020, 0.030
HAND_OVER_NS = 150_000
BATCH = "batching: {name: dynamic, max_batch: 2, max_wait: 5 ms}"


# A line whose truth is known ----------------------------------------------------------------------


@dataclass(frozen=True)
class Truth:
    """How the "live" line really is; it is simulated, each stage by itself."""

    read: float = 1.0
    """The second stage takes so many times longer under load."""


class Machine:
    """Plays sessions of a truth: stage one for all, and stage two for what it hands on."""

    def __init__(self, truth: Truth, scenario: ResolvedScenario, seed: int) -> None:
        self.truth, self.rng = truth, np.random.default_rng(seed)
        self.parts = [one.part for one in line_of(scenario, "cloud")]
        self.of_device = isinstance(self.parts[0], EdgePart)
        self.batches = 0

    def service(self, base: float, most: int) -> ServiceTimes:
        """A batch of two takes half as long again."""
        return ServiceTimes.of(
            {n: base * (0.5 + n / 2) * self.rng.gamma(100, 0.01, 200) for n in range(1, most + 1)}
        )

    def play(self, arrival: Any, sample: Any, load: bool) -> Observed:
        count = len(arrival)
        half, late = (self.rng.gamma(25, ns, count).astype(np.int64) for ns in (10_000, 4_000))
        asked = Requests(
            number=np.arange(count), arrival=arrival, time=arrival,
            source=np.zeros(count, np.int32), service=self.rng.random(count),
            choice=self.rng.random(count), up=late if self.of_device else half,
            down=np.where((sample % 2 == 0) | self.of_device, 0, half), size=np.zeros(count),
        )  # fmt: skip
        first = replay(self.parts[0], self.service(FIND_S, 1), 1, asked)
        goes_on = sample % 2 == 0
        slower = self.truth.read if load else 1.0
        later = asked.take(np.flatnonzero(goes_on))
        time = first["finished"][goes_on] + HAND_OVER_NS
        up = half[goes_on] if self.of_device else 0 * time
        later = replace(later, time=time, up=up, down=half[goes_on])
        later = later.take(np.argsort(time, kind="stable"))
        second = replay(self.parts[1], self.service(slower * READ_S, 2), 1, later)
        rows = np.zeros(count, columns_of(2, self.of_device))
        rows["arrival"] = rows["sent"] = arrival
        if self.of_device:
            rows["handed"] = first["finished"]
        rows["status"], rows["sample"], rows["finished"] = 200, sample, first["finished"]
        self.note(rows, first, "")
        rows["finished"][second["number"]] = second["finished"]
        self.note(rows, second, "_2")
        return rows

    def note(self, rows: Observed, answers: Any, which: str) -> None:
        number = answers["number"]
        rows[f"queue{which}"][number] = answers["start"] - answers["reach"]
        rows[f"service{which}"][number] = answers["served"] - answers["start"]
        rows[f"batch{which}"][number] = answers["batch"]
        _, own = np.unique(answers["start"], return_inverse=True)
        rows[f"in_batch{which}"][number] = self.batches + own
        self.batches += len(rows)

    def calibrate(self) -> tuple[Block, Observed]:
        asked = waves(2, 1, 4.0, FIND_S + 1.5 * READ_S, [0.01], INPUTS, self.rng)
        # Far enough apart that the next one finds nobody there.
        arrival = np.repeat(np.arange(len(asked.sizes)) * 1_000_000_000, asked.sizes)
        return Block(waves=list(asked.sizes)), self.play(arrival, asked.sample, load=False)


def session(truth: Truth, scenario: ResolvedScenario, seed: int) -> tuple[Any, ...]:
    """What would have been observed."""
    machine = Machine(truth, scenario, seed)
    capacity = 1 / FIND_S
    plan = Session(deployment="cloud", levels=list(LEVELS), length_s=60)
    rng = machine.rng
    traffic = {
        (level, number): (
            np.cumsum(rng.exponential(1e9 / (level * capacity), 400)).astype(np.int64),
            rng.integers(0, INPUTS, 400),
        )
        for level in LEVELS
        for number in range(TRAFFICS)
    }
    blocks, tables = [], []
    for load in (None, *order_of(LEVELS, TRAFFICS, plan.runs, rng)):
        if load is not None:
            tables.append(machine.play(*traffic[load.level, load.traffic], load=True))
            blocks.append(Block(level=load.level, traffic=load.traffic, run=load.run))
        block, rows = machine.calibrate()
        blocks.append(block)
        tables.append(rows)
    record = Observation(
        arm="fake", started_utc="2026-01-01T00:00:00+00:00", full=2, capacity=capacity,
        blocks=blocks, environment={},
    )  # fmt: skip
    table = pd.concat([pd.DataFrame(rows).assign(block=k) for k, rows in enumerate(tables)])
    return plan, record, table


def verdict_of(truth: Truth, tmp_path: Path, seed: int, place: str = "real_time") -> Validation:
    scenario = prepare(line_scenario(tmp_path, BATCH, place=place), Settings())
    plan, record, table = session(truth, scenario, seed)
    return validate(scenario, plan, record, table, seed, lambda *step: None)


def off(found: Validation) -> list[str]:
    """The figures that are."""
    compared = [(f"{level.level:g}", one) for level in found.levels for one in level.compared]
    return [
        f"{one.figure} at {where}"
        for where, one in [*compared, *(("all", one) for one in found.services)]
        if one.verdict == "OFF"
    ]


@pytest.mark.slow
@pytest.mark.parametrize("place", ["real_time", "edge"])
def test_forecasts_of_a_line_are_close_at_every_stage(tmp_path: Path, place: str) -> None:
    found = verdict_of(Truth(), tmp_path, 1, place)
    assert off(found) == []
    assert [stage.name for stage in found.later] == ["read"]
    assert found.service_s[1] == pytest.approx(FIND_S, rel=0.02)
    assert found.later[0].service_s[1] == pytest.approx(READ_S, rel=0.02)
    assert found.later[0].service_s[2] == pytest.approx(1.5 * READ_S, rel=0.1)
    for level in found.levels:
        compared = {one.figure: one for one in level.compared}
        for stage in ("find", "read"):
            for figure in ("wait", "service", "utilisation", "mean_batch"):
                assert f"{figure} ({stage})" in compared
                assert figure not in compared
        errors = {name: one.error.value or 0.0 for name, one in compared.items()}
        assert abs(errors["mean"]) < 0.04
        assert abs(errors["p99"]) < 0.09
        assert abs(errors["mean_batch (read)"]) < 0.03
        assert abs(errors["utilisation (read)"]) < 0.03


@pytest.mark.slow
@pytest.mark.parametrize("factor", [1.15, 1 / 1.15])
def test_a_stage_that_is_off_is_named(tmp_path: Path, factor: float) -> None:
    found = verdict_of(Truth(read=factor), tmp_path, 2)
    assert "service (read) at all" in off(found)
    assert "service (find) at all" not in off(found)
    assert found.verdict == "OFF"
    assert "service times are OFF" in found.sentence


# Rows ---------------------------------------------------------------------------------------------


def seen(count: int) -> Observed:
    """The first and every other one came to the second stage, too."""
    rows = np.zeros(count, columns_of(2))
    rows["status"], rows["sample"] = 200, np.arange(count) % 4
    rows["queue"], rows["service"], rows["batch"], rows["in_batch"] = 1, 10, 1, np.arange(count)
    for name, value in {"queue": 2, "service": 20, "batch": 2, "in_batch": 0, "size": 3}.items():
        rows[f"{name}_2"][::2] = value
    rows["queue_2"][1::2] = rows["service_2"][1::2] = -1
    return rows


def test_a_stage_has_rows_of_its_own_and_the_line_has_their_sums() -> None:
    rows = seen(4)
    second, both = at_stage(rows, 2), whole(rows, 2)
    assert second["service"].tolist() == [20, -1, 20, -1]
    assert second["size"].tolist() == [3, 0, 3, 0]
    assert both["queue"].tolist() == [3, 1, 3, 1]
    assert both["service"].tolist() == [30, 10, 30, 10]
    # Those that left the second stage together have the same batch, and nobody else.
    assert both["batch"].tolist() == [2, 1, 2, 1]
    assert [len(set(both["in_batch"][k].tolist())) for k in ([0, 2], [0, 1, 3])] == [1, 3]


def test_what_was_not_answered_would_have_gone_where_its_like_went() -> None:
    rows = seen(8)
    rows["status"][:2], rows["batch_2"][:2] = 503, 0
    assert comes_to(rows, rows, 2).tolist() == [True, False] * 4


# Forecasts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["real_time", "edge"])
def test_without_any_luck_a_forecast_is_known_to_the_nanosecond(tmp_path: Path, place: str) -> None:
    """Two queues in a row (Lindley's recursion), the second of even inputs only."""
    scenario = prepare(line_scenario(tmp_path, place=place), Settings())
    rng = np.random.default_rng(5)
    rows = np.zeros(200, columns_of(2, place == "edge"))
    rows["arrival"] = 7_000_000_000 + np.cumsum(rng.exponential(25e6, 200)).astype(np.int64)
    rows["sample"], rows["status"] = rng.integers(0, INPUTS, 200), 200
    goes_on = rows["sample"] % 2 == 0
    comes = [np.ones(200, bool), goes_on]
    stages = [
        (one.part, ServiceTimes.of({1: [seconds]}))
        for one, seconds in zip(line_of(scenario, "cloud"), (FIND_S, READ_S), strict=True)
    ]
    none = Way(np.zeros(1), np.zeros(1), 0.0, 0.0, 0.0)
    if place == "edge":
        found = forecast_behind_device(rows, stages, 1, (none, none), comes, rng)
    else:
        found = forecast_line(rows, stages, 1, none, comes, rng)
    free = [0, 0]
    for row, arrival, on in zip(found, rows["arrival"] - rows["arrival"][0], goes_on, strict=True):
        now = int(arrival)
        for stage, seconds in enumerate((FIND_S, READ_S)[: 1 + on]):
            start = max(now, free[stage])
            assert row[column("queue", stage + 1)] == start - now
            now = free[stage] = start + round(seconds * 1e9)
        assert row["finished"] == now
        assert (row["batch"], row["batch_2"]) == (1, int(on))


# A live one ---------------------------------------------------------------------------------------


def bench(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "bench", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("place", ["real_time", "edge"])
def test_a_live_line_accounts_for_every_request_at_every_stage(tmp_path: Path, place: str) -> None:
    pytest.importorskip("aiohttp", reason="the extra serve is not installed")
    path = line_scenario(tmp_path, BATCH, find="6 ms", read="9 ms", place=place)
    started = bench(
        "validate", str(path), "--minutes", "0.3", "--levels", "0.5", "--json", "--out", "run"
    )
    said, complaints = started.communicate(timeout=LONG_S)
    assert started.returncode == 0, complaints
    found = json.loads(said)
    assert [stage["name"] for stage in found["later"]] == ["read"]
    (level,) = found["levels"]
    assert level["unanswered"] == level["unanswered_simulated"] == 0
    table = pd.read_parquet("run/observed.parquet")
    assert set(table["status"]) == {200}
    came = table["sample"] % 2 == 0
    assert (table["batch"] > 0).all()
    assert ((table["batch_2"] > 0) == came).all()
    assert (table["size_2"][came] == table["sample"][came] / 2).all()
    took = table["queue"] + table["service"]
    took[came] += table["queue_2"][came] + table["service_2"][came]
    assert (took <= table["finished"] - table["sent"]).all()
    if place == "edge":
        assert (table["handed"][~came] == table["finished"][~came]).all()
        assert (table["handed"][came] < table["finished"][came]).all()
    assert "service (read)" in Path("run/validation.html").read_text()
    assert bench("report", "run").communicate(timeout=LONG_S)[0].strip().endswith("validation.html")


def test_single_stages_are_chosen_before_lines(tmp_path: Path) -> None:
    path = line_scenario(tmp_path)
    assert first_served(prepare(path, Settings())) == "cloud"
    alone = """\
  - name: alone
    kind: edge
    backend: {name: fake, base: 9 ms}
    device: this-host-one-thread
    offer: edge/mini-pc
    fleet: 4
"""
    path.write_text(path.read_text() + alone)
    assert first_served(prepare(path, Settings())) == "alone"
