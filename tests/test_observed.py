"""What is seen from outside: rows, the way, the loop of a device, timers and cores."""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from bench import cores, event_loop
from bench.batching import constant
from bench.measure import LiveAnswer, LiveInput
from bench.observe import OBSERVED, Schedule, Waves, answers_of
from bench.observe.driver import _note
from bench.observe.loop import _Device
from bench.requests import Outcome
from bench.validate.batches import batches_of
from bench.validate.way import way_of

LATE_S = 0.0004


def rows(count: int, **columns: Any) -> Any:
    found = np.zeros(count, OBSERVED)
    for name, values in columns.items():
        found[name] = values
    return found


def test_the_parts_of_a_response_add_up() -> None:
    seen = rows(
        3, arrival=[1000, 2000, 3000], sent=[1100, 2000, 3500], finished=[9100, 9000, 9900],
        queue=[1000, 0, 400], service=[5000, 6000, 5000], batch=[1, 1, 2], status=[200, 200, 503],
        in_batch=[1, 2, 3],
    )  # fmt: skip
    found = answers_of(seen)
    parts = (found["reach"] - found["arrival"]) + (found["start"] - found["reach"])
    parts += (found["served"] - found["start"]) + (found["finished"] - found["served"])
    assert parts.tolist() == (seen["finished"] - seen["arrival"]).tolist()
    assert found["arrival"].tolist() == [0, 1000, 2000]
    assert (found["start"] - found["reach"]).tolist() == seen["queue"].tolist()
    assert found["outcome"].tolist() == [Outcome.DONE, Outcome.DONE, Outcome.SHED]


def test_a_server_that_says_nothing_leaves_only_the_way() -> None:
    seen = rows(1, sent=[0], finished=[8000], queue=[-1], service=[-1], status=[200])
    found = answers_of(seen)
    assert (found["start"] == found["served"]).all()
    assert found["reach"].tolist() == [4000]


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ('queue;dur=1.5, service;dur=12.25, batch;desc="7/4", replica;desc="2"',
         (1_500_000, 12_250_000, 7, 4, 2)),
        ("", (-1, -1, -1, 0, -1)),
        ("cache;desc=hit, total;dur=3", (-1, -1, -1, 0, -1)),
    ],
)  # fmt: skip
def test_what_the_server_says_is_noted(said: str, found: tuple[int, ...]) -> None:
    (row,) = rows(1)
    _note(row, said)
    names = ("queue", "service", "in_batch", "batch", "server")
    assert tuple(int(row[name]) for name in names) == found


def test_a_batch_of_which_a_row_is_missing_is_left_out() -> None:
    seen = rows(
        4, in_batch=[5, 5, 9, 9], batch=[2, 2, 3, 3], service=[10, 10, 20, 20], size=[1, 2, 3, 4]
    )
    found = batches_of(seen)
    assert found.size.tolist() == [2]
    assert found.sizes == [[1.0, 2.0]]


def test_what_the_way_costs_is_found_again() -> None:
    rng = np.random.default_rng(1)
    waves = []
    for number in range(300):
        size = 1 + number % 8
        place = np.arange(size)
        wave = rows(size, batch=size, in_batch=number, service=5_000_000, status=200)
        # Each holds up those behind it by 0.4 ms on the way in, and by 0.3 ms on the way out.
        wave["finished"] = 7_000_000 + 700_000 * place + rng.integers(0, 50_000, size)
        waves.append(wave)
    found = way_of(waves)
    assert found.up + found.down == pytest.approx(700_000, rel=0.03)
    assert float(np.median(found.alone)) == pytest.approx(2_025_000, rel=0.02)


# The loop of a device ---------------------------------------------------------------------------


class Instant:
    """Answers at once, or says what is wrong."""

    def __init__(self) -> None:
        self.batches: list[list[bytes]] = []

    def answer(self, encoded: Sequence[bytes]) -> list[LiveAnswer]:
        self.batches.append(list(encoded))
        return [LiveAnswer(b"", "bad" if one == b"x" else "") for one in encoded]


def test_a_device_answers_every_input_once_in_order() -> None:
    live = Instant()
    inputs = [LiveInput(bytes([65 + k]), float(k)) for k in range(4)]
    device = _Device(live, constant(3, 0), inputs)  # type: ignore[arg-type]
    due = np.arange(40) * 200_000
    seen = device.play(Schedule(due.astype(np.int64), np.arange(40) % 4))
    assert [one for batch in live.batches for one in batch] == [
        inputs[k % 4].encoded for k in range(40)
    ]
    assert set(seen["status"]) == {200}
    assert (seen["queue"] >= 0).all()
    assert (seen["finished"] >= seen["arrival"] + seen["queue"] + seen["service"]).all()
    assert sum(1 / seen["batch"]) == pytest.approx(len(live.batches))


def test_a_wave_of_a_device_is_batched_as_its_rule_says() -> None:
    live = Instant()
    inputs = [LiveInput(b"a", 0.0), LiveInput(b"x", 0.0)]
    device = _Device(live, constant(2, 0), inputs)  # type: ignore[arg-type]
    seen = device.play(Waves([5, 1], np.array([0, 1_000_000]), np.array([0, 0, 0, 0, 1, 0])))
    assert [len(batch) for batch in live.batches] == [2, 2, 1, 1]
    assert seen["status"].tolist() == [200, 200, 200, 200, 500, 200]


# Timers and cores -------------------------------------------------------------------------------


async def _late() -> float:
    """How late a short sleep ends, in seconds: the median of some."""
    found = []
    for _ in range(60):
        start = time.perf_counter()
        await asyncio.sleep(LATE_S)
        found.append(time.perf_counter() - start - LATE_S)
    return statistics.median(found)


@pytest.mark.alone
@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="asyncio is late on Linux only")
def test_our_event_loop_wakes_sooner_than_asyncio_s() -> None:
    for _ in range(5):  # one noisy stretch may hide it
        if event_loop.run(_late()) < asyncio.run(_late()):
            return
    pytest.fail("five times in a row, asyncio's own loop woke as soon")


def test_cores_are_divided_where_there_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "usable", lambda: [2, 3, 5, 7])
    assert cores.divided(1) == ({2}, {3, 5, 7})
    assert cores.divided(3) == ({2, 3, 5}, {7})
    assert cores.divided(4) == cores.divided(None) == (None, None)
    monkeypatch.setattr(cores, "usable", lambda: None)
    assert cores.divided(1) == (None, None)
