"""Our figures against MLPerf LoadGen's, on the same scripted service times and schedule.

Twice: what we make of LoadGen's own latencies is what its summary says, to the nanosecond; and our
loops, run in turn with LoadGen's, take as long over every query (``tests/busy.py`` says how times
are compared on a busy machine).
"""

from __future__ import annotations

import gc
import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

import numpy as np
import pytest

from bench.measure import validity
from bench.measure.backends import fake
from bench.measure.clock import WallClock
from bench.measure.open_loop import ask, response_s
from bench.measure.recorder import Recorder
from bench.measure.service import Service
from bench.measure.tasks import ONE_STAGE
from bench.stats import early_stopping_estimate, empirical_quantile
from tests.busy import HANG_S, least
from tests.plain_task import Plain

pytestmark = pytest.mark.alone

pytest.importorskip("mlperf_loadgen", reason="mlcommons-loadgen is not installed")

PEER = Path(__file__).with_name("loadgen_peer.py")
QUERIES = 711
"""With q · n a whole number LoadGen takes the next larger sample, and we that very one."""
PAIRS = 40
"""Interleaved runs at most, for a machine that is busy; a quiet one needs one."""
RELATIVE, ABSOLUTE_S = 0.02, 50e-6
OFFLINE_BATCH = 8
Seconds = np.ndarray[Any, Any]


@pytest.fixture(scope="module")
def peer() -> Iterator[Popen[str]]:
    command = [sys.executable, str(PEER)]
    with Popen(command, stdin=PIPE, stdout=PIPE, text=True) as process:
        yield process
        process.kill()


def loadgen(
    peer: Popen[str], scenario: str, script: fake.Options, rate: float, limit_s: float
) -> dict[str, Any]:
    request = {
        "scenario": scenario, "queries": QUERIES, "rate": rate, "limit_s": limit_s,
        "base_s": script.base, "per_item_s": script.per_item, "random": script.random,
        "spin_ns": fake.SPIN_NS,
    }  # fmt: skip
    assert peer.stdin is not None
    assert peer.stdout is not None
    hang = threading.Timer(HANG_S, peer.kill)
    hang.start()
    try:
        print(json.dumps(request), file=peer.stdin, flush=True)
        answer: dict[str, Any] = json.loads(peer.stdout.readline())
    finally:
        hang.cancel()
    answer["latency_s"] = np.array(answer["latency_ns"]) / 1e9
    return answer


def service(script: fake.Options, items: int) -> Service:
    clock = WallClock()
    session = fake.load(Path(), script, 1, clock)
    rng = np.random.default_rng(1)
    return Service(
        Plain({"x": np.zeros((items, 1))}),
        {ONE_STAGE: session},
        clock,
        Recorder("a", 0),
        rng,
        lambda *_: None,
    )


def ours(scenario: str, script: fake.Options, scheduled_s: list[float]) -> Seconds:
    """Response times of the queries, in seconds."""
    items = {"MultiStream": 8, "Offline": 8}.get(scenario, 1)
    asked = service(script, items)
    gc.disable()
    try:
        if scenario == "Server":
            ask(asked, "p", np.array(scheduled_s))
        elif scenario == "Offline":
            asked.backlog("p", OFFLINE_BATCH, 1, QUERIES, 0, HANG_S)
        else:
            asked.closed_loop("p", 8 if scenario == "MultiStream" else 1, QUERIES, 0, HANG_S)
    finally:
        gc.enable()
    if scenario == "MultiStream":
        table = asked.recorder.batches()
        ended, began = np.array(table["finished_ns"]), np.array(table["started_ns"])
        return (ended - began) / 1e9
    return response_s(asked.recorder)


def near(a: float, b: float) -> bool:
    return abs(a - b) <= max(RELATIVE * abs(b), ABSOLUTE_S)


def figures(response: Seconds, percentile: int, estimate: bool) -> dict[str, float]:
    """Percentiles, and with ``estimate`` LoadGen's early-stopping estimate, as we compute them."""
    ordered = np.sort(response)
    found = {p: empirical_quantile(ordered, float(p) / 100) for p in ("50", "90", f"{percentile}")}
    if estimate:
        found[f"estimate {percentile}"] = early_stopping_estimate(response, percentile / 100) or 0
    return found


def summary(theirs: dict[str, Any], percentile: int, estimate: bool) -> dict[str, float]:
    """The same from LoadGen's summary."""
    found = {p: theirs["percentiles_s"][p] for p in ("50", "90", f"{percentile}")}
    if estimate:
        found[f"estimate {percentile}"] = theirs["estimates_s"][f"{percentile}"]
    return found


@pytest.mark.parametrize("random", [False, True], ids=["fixed", "random"])
@pytest.mark.parametrize(
    ("scenario", "percentile"),
    [
        ("SingleStream", 90),
        ("MultiStream", 99),
        # What a core costs that has slept, a tenth of a millisecond each time, adds up in a queue, and some
        # machines have more of it than the bounds allow: `nox -s peers` compares it.
        pytest.param("Server", 99, marks=pytest.mark.evidence),
    ],
)
def test_percentiles_and_early_stopping(
    peer: Popen[str],
    scenario: str,
    percentile: int,
    random: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A core that has slept takes 0.1 ms longer over anything, in theirs as in ours, and on a busy machine
    # a process that has slept is woken late. Streams do not sleep, and their queries are shorter than what a
    # scheduler grants at a time; under queueing it is small beside the service.
    per_item = {"MultiStream": 0.00003125, "SingleStream": 0.00025, "Server": 0.008}[scenario]
    if scenario != "Server":
        monkeypatch.setattr(fake, "SPIN_NS", 1_000_000_000)
    script = fake.Options(
        load=0, first_call_extra=0, base=0, per_item=per_item, random=random, real_time=True
    )
    limit, estimate = (0.2, False) if scenario == "Server" else (None, True)
    mine: list[Seconds] = []
    others: list[Seconds] = []
    for _ in range(PAIRS):
        theirs = loadgen(peer, scenario, script, rate=0.4 / per_item, limit_s=0.2)
        others.append(theirs["latency_s"])
        assert len(others[-1]) == QUERIES
        # What we compute from LoadGen's latencies is what LoadGen does.
        assert figures(others[-1], percentile, estimate) == summary(theirs, percentile, estimate)
        ruling = validity.early_stopping(others[-1], percentile, limit)
        assert ruling.passed == theirs["early_stopping"]
        mine.append(ours(scenario, script, theirs["scheduled_s"]))
        assert len(mine[-1]) == QUERIES
        # With fixed times the largest ones are this machine's noise, and differ from run to run.
        found, wanted = (
            figures(least(runs), percentile, estimate and random) for runs in (mine, others)
        )
        if all(near(found[name], wanted[name]) for name in wanted):
            assert validity.early_stopping(least(mine), percentile, limit).passed
            return
    pytest.fail(f"no agreement after {PAIRS} runs of both: {found}, LoadGen {wanted}")


@pytest.mark.parametrize("random", [False, True], ids=["fixed", "random"])
def test_a_limit_that_is_kept_is_kept_by_both(peer: Popen[str], random: bool) -> None:
    """A hundred times the service: no load makes it miss."""
    script = fake.Options(
        load=0, first_call_extra=0, base=0, per_item=0.002, random=random, real_time=True
    )
    theirs = loadgen(peer, "Server", script, rate=200, limit_s=0.2)
    assert figures(theirs["latency_s"], 99, False) == summary(theirs, 99, False)
    response = ours("Server", script, theirs["scheduled_s"])
    assert len(response) == len(theirs["latency_s"]) == QUERIES
    for latency in (response, theirs["latency_s"]):
        assert validity.early_stopping(latency, 99, 0.2).passed
    assert theirs["early_stopping"]


def test_a_limit_that_is_missed_is_missed_by_both(peer: Popen[str]) -> None:
    script = fake.Options(
        load=0, first_call_extra=0, base=0, per_item=0.002, random=True, real_time=True
    )
    theirs = loadgen(peer, "Server", script, rate=200, limit_s=0.003)
    response = ours("Server", script, theirs["scheduled_s"])
    for latency in (response, theirs["latency_s"]):
        assert validity.early_stopping(latency, 99, 0.003).passed is False
    assert theirs["early_stopping"] is False


@pytest.mark.parametrize("random", [False, True], ids=["fixed", "random"])
def test_offline_throughput(peer: Popen[str], random: bool) -> None:
    script = fake.Options(
        load=0, first_call_extra=0, base=0, per_item=0.002, random=random, real_time=True
    )
    mine: list[Seconds] = []
    others: list[Seconds] = []
    for _ in range(PAIRS):
        theirs = loadgen(peer, "Offline", script, rate=1, limit_s=1)
        others.append(between_batches(theirs["latency_s"]))
        said = len(theirs["latency_s"]) / theirs["latency_s"].max()
        assert said == pytest.approx(theirs["throughput"], rel=1e-5)  # of what its summary prints
        response = ours("Offline", script, [])
        mine.append(between_batches(response))
        rate = len(response) / least(mine).sum(), QUERIES / least(others).sum()
        if abs(rate[0] / rate[1] - 1) <= RELATIVE:
            return
    pytest.fail(f"throughputs {rate}")


def between_batches(latency_s: Seconds) -> Seconds:
    """From the end of a batch to the end of the next, all of which began together."""
    ends = np.sort(latency_s)[OFFLINE_BATCH - 1 :: OFFLINE_BATCH]
    last = [latency_s.max()] if len(latency_s) % OFFLINE_BATCH else []
    return np.diff([0.0, *ends, *last])  # type: ignore[no-any-return]
