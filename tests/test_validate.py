"""Live against simulated: sessions whose truth is known, and a live one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest

from bench.observe import OBSERVED, Observed
from bench.prepare import Settings, prepare
from bench.record import Estimate
from bench.requests import Answers, Requests
from bench.scenario import RealTimePart, ResolvedScenario
from bench.simulate import ServiceTimes, replay
from bench.validate import Observation, Session, Validation, first_served, validate
from bench.validate.batches import REST
from bench.validate.blocks import FEWEST, MOST, order_of, round_s, traffics, waves
from bench.validate.figures import Answered
from bench.validate.judge import Pair, compare, judge
from bench.validate.validation import Block
from bench.validate.verdict import Sorted, by_block
from bench.validate.way import Way
from tests.conftest import FAKE_SCENARIO

LONG_S = 900.0
"""Nothing here takes so long, however busy the machine, and the simulator not yet compiled."""
LEVELS, TRAFFICS = (0.4, 0.7), 3
BASE_S, ITEM_S = 0.010, 0.004
LIVE = FAKE_SCENARIO.replace("device: this-host\n", "device: this-host-one-thread\n")


# A service whose truth is known -----------------------------------------------------------------


@dataclass(frozen=True)
class Truth:
    """How the "live" service of a session really is; it is simulated, machine and all."""

    drift: float = 0.02
    """The machine's speed changes so much from block to block."""
    slower_under_load: float = 1.0
    rested: float = 1.0
    """A replica that has rested takes so many times as long."""
    max_wait: str = "5 ms"
    stalled_share: float = 0.0
    """Of the requests of load, so many are held up, …"""
    stall_ns: int = 0
    """… for so long, after their service."""


def scenario(tmp_path: Path, max_wait: str = "5 ms") -> ResolvedScenario:
    path = tmp_path / f"{max_wait.split()[0]}.yaml"
    path.write_text(LIVE.replace("max_wait: 5 ms", f"max_wait: {max_wait}"))
    return prepare(path, Settings())


def part_of(found: ResolvedScenario) -> RealTimePart:
    part = next(d for d in found.scenario.deployments if d.name == "cloud").line[0].part
    assert isinstance(part, RealTimePart)
    return part


class Machine:
    """Plays sessions of a truth."""

    def __init__(self, truth: Truth, part: RealTimePart, seed: int) -> None:
        self.truth, self.part, self.rng = truth, part, np.random.default_rng(seed)
        self.batches = 0

    def service(self, load: bool) -> ServiceTimes:
        speed = 1.0 + self.truth.drift * self.rng.standard_normal()
        if load:
            speed *= self.truth.slower_under_load
        return ServiceTimes.of(
            {
                size: speed * (BASE_S + ITEM_S * size) * self.rng.gamma(100, 0.01, 200)
                for size in range(1, 9)
            }
        )._replace(rest=REST, rested=self.truth.rested)

    def play(self, arrival: Any, sample: Any, load: bool) -> Observed:
        count = len(arrival)
        half = self.rng.gamma(25, 20_000, count).astype(np.int64)
        asked = Requests(
            number=np.arange(count), arrival=arrival, time=arrival,
            source=np.zeros(count, np.int32), service=self.rng.random(count),
            choice=self.rng.random(count), up=half, down=half, size=np.zeros(count),
        )  # fmt: skip
        return self.seen(replay(self.part, self.service(load), 1, asked), sample, load)

    def seen(self, answers: Answers, sample: Any, load: bool) -> Observed:
        rows = np.zeros(len(answers), OBSERVED)
        rows["arrival"] = rows["sent"] = answers["arrival"]
        rows["finished"] = answers["finished"]
        rows["queue"] = answers["start"] - answers["reach"]
        rows["service"] = answers["served"] - answers["start"]
        rows["batch"], rows["status"], rows["sample"] = answers["batch"], 200, sample
        _, own = np.unique(answers["start"], return_inverse=True)
        rows["in_batch"] = self.batches + own
        self.batches += len(rows)
        if load and self.truth.stalled_share:
            held = self.rng.random(len(rows)) < self.truth.stalled_share
            rows["finished"][held] += self.truth.stall_ns
        return rows

    def calibrate(self) -> tuple[Block, Observed]:
        asked = waves(8, 1, 3.0, BASE_S + 8 * ITEM_S, [0.01], 8, self.rng)
        # Far enough apart that the next one finds nobody there.
        arrival = np.repeat(np.arange(len(asked.sizes)) * 1_000_000_000, asked.sizes)
        return Block(waves=list(asked.sizes)), self.play(arrival, asked.sample, load=False)


def session(truth: Truth, asked: ResolvedScenario, seed: int) -> tuple[Any, ...]:
    """What would have been observed."""
    machine = Machine(truth, part_of(asked), seed)
    capacity = 8 / (BASE_S + 8 * ITEM_S)
    plan = Session(deployment="cloud", levels=list(LEVELS), length_s=60)
    rng = machine.rng
    traffic = {
        (level, number): np.cumsum(rng.exponential(1e9 / (level * capacity), 500)).astype(np.int64)
        for level in LEVELS
        for number in range(TRAFFICS)
    }
    blocks, tables = [], []
    for load in (None, *order_of(LEVELS, TRAFFICS, plan.runs, rng)):
        if load is not None:
            arrival = traffic[load.level, load.traffic]
            tables.append(machine.play(arrival, rng.integers(0, 8, len(arrival)), load=True))
            blocks.append(Block(level=load.level, traffic=load.traffic, run=load.run))
        block, rows = machine.calibrate()
        blocks.append(block)
        tables.append(rows)
    record = Observation(
        arm="fake", started_utc="2026-01-01T00:00:00+00:00", full=8, capacity=capacity,
        blocks=blocks, environment={},
    )  # fmt: skip
    table = pd.concat([pd.DataFrame(rows).assign(block=k) for k, rows in enumerate(tables)])
    return plan, record, table


def verdict_of(truth: Truth, tmp_path: Path, seed: int) -> Validation:
    live = scenario(tmp_path, truth.max_wait)
    plan, record, table = session(truth, live, seed)
    return validate(scenario(tmp_path), plan, record, table, seed, lambda *step: None)


def off(found: Validation) -> list[str]:
    """The figures that are."""
    compared = [(f"{level.level:g}", one) for level in found.levels for one in level.compared]
    return [
        f"{one.figure} at {where}"
        for where, one in [*compared, ("all", found.service)]
        if one.verdict == "OFF"
    ]


@pytest.mark.parametrize(
    ("length_s", "round_s", "restart_s", "many"),
    [
        (120.0, 0.1, 0.0, 7),  # as short as blocks may be
        (120.0, 3.0, 0.0, 3),  # as long as a round of calibration needs
        (1200.0, 3.0, 0.0, 30),
        (1200.0, 0.1, 10.0, 10),  # as long as a job needs that loses a replica
        (10.0, 0.1, 0.0, FEWEST),
        (86_400.0, 0.1, 0.0, MOST),
    ],
)
def test_a_longer_session_has_more_traffics(
    length_s: float, round_s: float, restart_s: float, many: int
) -> None:
    assert traffics(length_s, 2, 2, round_s, restart_s) == many


def test_a_long_session_is_judged_as_a_short_one_is() -> None:
    """Of forty traffics there are a billion ways to call one of two runs the first."""
    rng = np.random.default_rng(1)

    def answered(factor: float) -> Answered:
        took = factor * np.full(50, 0.1)
        zero = np.zeros(50)
        return Answered(1, 50, 10.0, took, zero, took, np.ones(50))

    def pairs(traffics: int) -> list[Pair]:
        return [
            Pair((0.5, traffic), answered(1 + 0.1 * rng.standard_normal()), [answered(1.0)])
            for traffic in range(traffics)
            for _ in range(2)
        ]

    def mean(blocks: Any) -> dict[str, float]:
        return {"mean": float(np.mean([one.response.mean() for one in blocks]))}

    (many,) = compare(pairs(40), mean, 1, rng)
    assert many.spread is not None
    # Of two means of forty: 0.1 × √(2 / 40), at most in nineteen of twenty cases.
    assert many.spread == pytest.approx(1.96 * 0.1 * (2 / 40) ** 0.5, rel=0.5)


def test_a_round_takes_about_what_its_batches_do() -> None:
    """Of two, where one takes as long as half of two: nine batches' worth, and rests."""
    rounds = waves(2, 1, 900 * 0.1, 0.1, [0.0], 4, np.random.default_rng(1))
    assert round_s(2, 1, 0.1, [0.0]) == pytest.approx(0.1 * (0.75 + 1 + 1.75 + 2 + 2 * 0.75))
    took = sum(0.1 * size / 2 for size in rounds.sizes)
    assert took == pytest.approx(90.0, rel=0.15)


@pytest.mark.slow
@pytest.mark.parametrize("drift", [0.0, 0.02, 0.1])
def test_a_service_that_is_as_it_was_calibrated_is_never_off(tmp_path: Path, drift: float) -> None:
    for seed in range(4):
        assert off(verdict_of(Truth(drift=drift), tmp_path, seed)) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("truth", "figure"),
    [
        (Truth(slower_under_load=1 / 1.1), "service at all"),
        (Truth(slower_under_load=1.1), "service at all"),
        (Truth(max_wait="15 ms"), "wait at 0.4"),
        (Truth(stalled_share=0.05, stall_ns=40_000_000), "way at 0.4"),
    ],
)
def test_what_is_wrong_is_off_and_named(tmp_path: Path, truth: Truth, figure: str) -> None:
    for seed in range(2):
        found = verdict_of(truth, tmp_path, seed)
        assert figure in off(found)
        assert found.verdict == "OFF"


@pytest.mark.parametrize("rested", [1.0, 1.2])
def test_how_much_slower_a_rested_replica_is_comes_from_calibration(
    tmp_path: Path, rested: float
) -> None:
    live = scenario(tmp_path)
    plan, record, table = session(Truth(rested=rested), live, 3)
    seen = Sorted(live, plan, record, by_block(table, len(record.blocks))).calibration
    assert abs(seen.rested - rested) < 0.03
    assert abs(seen.steady.mean(8) / (1e9 * (BASE_S + 8 * ITEM_S)) - 1) < 0.03


def test_what_the_way_takes_after_a_rest_is_what_it_took_after_such_a_rest() -> None:
    rest = np.arange(100.0)
    way = Way(rest, 5.0 + (rest >= 50), 0.0, 0.0, 20.0)
    assert way.usual(np.array([0.0, 30.0, 70.0, 1e9])).tolist() == [5.0, 5.0, 6.0, 6.0]
    drawn = way.drawn(np.repeat([10.0, 80.0], 500), np.random.default_rng(1))
    assert drawn.tolist() == [5.0] * 500 + [6.0] * 500
    # The second comes while the first is not answered yet, the third long after that.
    assert way.rests(np.array([0, 15, 60]))[1:].tolist() == [15.0, 25.0]
    one = Way(np.zeros(1), np.full(1, 7.0), 0.0, 0.0, 20.0)
    assert (
        one.usual(rest).tolist()
        == one.drawn(rest, np.random.default_rng(1)).tolist()
        == [7.0] * 100
    )


@pytest.mark.slow
def test_forecasts_are_close_where_the_machine_is_steady(tmp_path: Path) -> None:
    for level in verdict_of(Truth(drift=0.0), tmp_path, 1).levels:
        errors = {one.figure: one.error.value for one in level.compared}
        assert abs(errors["mean"]) < 0.03
        assert abs(errors["p99"]) < 0.09
        assert abs(errors["mean_batch"]) < 0.03


@pytest.mark.parametrize(
    ("low", "value", "high", "spread", "verdict"),
    [
        (-0.01, 0.0, 0.01, 0.1, "WITHIN TOLERANCE"),
        (-0.01, 0.0, 0.01, None, "WITHIN TOLERANCE"),
        (-0.2, 0.0, 0.2, 0.1, "WITHIN SPREAD"),
        (0.06, 0.08, 0.1, 0.1, "WITHIN SPREAD"),
        (0.06, 0.08, 0.1, 0.07, "OFF"),
        (-0.1, -0.08, -0.06, None, "OFF"),
        (0.02, 0.08, 0.14, 0.07, "UNDECIDED"),
        (None, 0.08, None, None, "UNDECIDED"),
    ],
)
def test_what_an_error_comes_to(
    low: float | None, value: float, high: float | None, spread: float | None, verdict: str
) -> None:
    error = Estimate(value=value, low=low, high=high)
    assert judge(error, error, spread, 0.05) == verdict


def test_the_sign_of_an_error_does_not_matter() -> None:
    for centre in np.linspace(-0.3, 0.3, 13).tolist():
        ahead, behind = (
            Estimate(value=value, low=value - 0.03, high=value + 0.03)
            for value in (centre, -centre)
        )
        assert judge(ahead, ahead, 0.1, 0.05) == judge(behind, behind, 0.1, 0.05)


def test_who_is_not_sure_does_not_say_off() -> None:
    error, sure = Estimate(value=0.2, low=0.1, high=0.3), Estimate(value=0.2, low=0.0, high=0.4)
    assert judge(error, sure, 0.1, 0.05) == "UNDECIDED"


# A live one --------------------------------------------------------------------------------------

SHORT = ("--minutes", "0.2", "--levels", "0.5")


def live_scenario(folder: Path) -> Path:
    path, text = folder / "live.yaml", LIVE
    for times in ("base: 4 ms, per_item: 1 ms", "base: 9 ms, per_item: 1 ms"):
        text = text.replace(times, f"load: 0 s, first_call_extra: 0 s, real_time: true, {times}")
    path.write_text(text)
    return path


def bench(*arguments: str, **more: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "bench", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more,
    )  # fmt: skip


@pytest.mark.slow
def test_a_session_accounts_for_every_request_and_shows_its_page(tmp_path: Path) -> None:
    pytest.importorskip("aiohttp", reason="the extra serve is not installed")
    started = bench("validate", str(live_scenario(tmp_path)), *SHORT, "--json", "--out", "run")
    said, complaints = started.communicate(timeout=LONG_S)
    assert started.returncode == 0, complaints
    found = json.loads(said)
    (level,) = found["levels"]
    assert level["blocks"] == 6
    table = pd.read_parquet("run/observed.parquet")
    observed = json.loads(Path("run/observed.json").read_text())
    loads = [number for number, b in enumerate(observed["blocks"]) if b["level"] is not None]
    assert level["requests"] == int(table["block"].isin(loads).sum())
    assert set(table["status"]) == {200}
    assert level["unanswered"] == 0
    assert (table["finished"] > table["sent"]).all()
    assert (table["queue"] + table["service"] <= table["finished"] - table["sent"]).all()
    page = Path("run/validation.html").read_text()
    assert "Live and simulated" in page
    assert "<script" not in page
    again = bench("report", "run")
    assert again.communicate(timeout=LONG_S)[0].strip().endswith("validation.html")
    assert Path("run/validation.html").read_text() == page


@pytest.mark.slow
def test_ctrl_c_leaves_no_process_behind(tmp_path: Path) -> None:
    pytest.importorskip("aiohttp", reason="the extra serve is not installed")
    started = bench(
        "validate", str(live_scenario(tmp_path)), "--minutes", "5", "--out", "run",
        start_new_session=True,
    )  # fmt: skip
    until, children = time.monotonic() + LONG_S, []
    try:
        while len(children) < 3:  # server, replica, and who asks
            assert time.monotonic() < until
            assert started.poll() is None
            children = psutil.Process(started.pid).children(recursive=True)
            time.sleep(0.05)
        os.killpg(started.pid, signal.SIGINT)
    finally:
        if len(children) < 3:
            started.kill()
        _, said = started.communicate(timeout=LONG_S)
    assert started.returncode == 130, said
    assert "interrupted" in said
    assert not psutil.wait_procs(children, timeout=LONG_S)[1]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--deployment", "clod"), "Did you mean 'cloud'"),
        (("--levels", "0"), "no list of utilisations"),
        (("--levels", "0.3,x"), "no list of utilisations"),
        (("--levels", "0.3,0.3"), "no list of utilisations"),
        (("--minutes", "0"), "too short"),
        (("--minutes", "100000"), "too long"),
    ],
)
def test_what_makes_no_session_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...], said: str,
) -> None:  # fmt: skip
    from bench.cli import main

    monkeypatch.setattr(sys, "argv", ["bench", "validate", str(live_scenario(tmp_path)), *options])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not list(tmp_path.glob("reports/*"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["edge", "night"])
def test_devices_and_jobs_are_validated_too(tmp_path: Path, kind: str) -> None:
    pytest.importorskip("aiohttp", reason="the extra serve is not installed")
    path = live_scenario(tmp_path)
    started = bench(
        "validate", str(path), "--deployment", kind, *SHORT, "--json", "--out", "run"
    )  # fmt: skip
    said, complaints = started.communicate(timeout=LONG_S)
    assert started.returncode == 0, complaints
    (level,) = json.loads(said)["levels"]
    assert level["unanswered"] == level["unanswered_simulated"] == 0
    observed = json.loads(Path("run/observed.json").read_text())
    killed = [b["killed_s"] for b in observed["blocks"] if b["level"] is not None]
    figures = {one["figure"] for one in level["compared"]}
    if kind == "edge":
        assert killed == [None] * 6
        assert "makespan" not in figures
    else:
        assert len(observed["restart_s"]) == 3
        assert any(moment is not None for moment in killed)
        assert {"makespan", "mean_batch"} <= figures


# Replay -----------------------------------------------------------------------------------------


def test_services_come_before_others(tmp_path: Path) -> None:
    assert first_served(scenario(tmp_path)) == "cloud"


@pytest.mark.parametrize("name", ["night", "cloud", "edge"])
def test_both_methods_replay_alike(tmp_path: Path, name: str) -> None:
    found = scenario(tmp_path)
    part = next(d for d in found.scenario.deployments if d.name == name).line[0].part
    rng = np.random.default_rng(3)
    arrival = np.cumsum(rng.exponential(8e6, 500)).astype(np.int64)
    half = rng.integers(0, 2_000_000, 500)
    asked = Requests(
        number=np.arange(500), arrival=arrival, time=arrival, source=np.zeros(500, np.int32),
        service=rng.random(500), choice=rng.random(500), up=half, down=half, size=np.zeros(500),
    )  # fmt: skip
    service = ServiceTimes.of({size: [BASE_S + ITEM_S * size] * 3 for size in range(1, 9)})
    away = [] if name == "edge" else [(1_000_000_000, 1_500_000_000)]
    fast, slow = (
        replay(part, service, 1, asked, 300_000, 200_000, away, method)
        for method in ("fast", "reference")
    )
    assert (fast == slow).all()
    assert len(fast) == 500


def test_a_replica_that_was_killed_before_the_first_request_is_away_from_the_start() -> None:
    rng, killed = np.random.default_rng(0), Block(level=0.5, killed_s=-0.3)
    for restart_s, away in ((0.5, [(1, 200_000_000)]), (0.2, [])):
        assert Sorted.away(killed, [restart_s], rng) == away
