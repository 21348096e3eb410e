"""A device's own loop: inputs come at their times, and one process takes them up and answers them.

There is no network and no front: what is due waits in the device's own buffer. A request has *reached*
the loop when it is due.
"""

from __future__ import annotations

import gc
import signal
import time
from bisect import bisect_right
from collections.abc import Sequence, Set
from multiprocessing.connection import Connection
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from bench.batching import Rule, decide, rule_of
from bench.cores import stay_on
from bench.errors import BenchError, WorkerLost
from bench.measure import LiveAnswer, LiveArm, LiveInput
from bench.observe.asker import START_DELAY_NS, Asker, Schedule, Waves
from bench.observe.rows import DONE, OBSERVED, Observed
from bench.scenario import Arm, Choice
from bench.simulate import largest_batch

FAILED = 500
WAVE = "wave"
"""After what was handed on: whoever was handed it says when all is answered."""


class HandsOn(NamedTuple):
    """Where a device's answers go, and which of them."""

    to: Connection
    only_found: bool
    """Those in which something was found; else all."""


class Loop(Asker):
    """The loop's process; used as ``with Loop(...) as loop``, and asked like a :class:`Driver`.

    Args:
        hands_on: where answers go that others go on with; ``None``: all end here.

    Raises:
        BenchError: the model cannot be had, or the backend cannot run here.
    """

    def __init__(
        self, arm: Arm, task: Choice, batching: Choice, inputs: Sequence[LiveInput],
        cores: Set[int] | None, hands_on: HandsOn | None = None,
    ) -> None:  # fmt: skip
        super().__init__(_work, arm, task, batching, list(inputs), cores, hands_on)

    def __enter__(self) -> Self:
        said = self._heard()
        if isinstance(said, BenchError):
            self.__exit__()
            raise said
        return self

    def _lost(self) -> WorkerLost:
        return WorkerLost("The process that plays the device ended.")


def _work(
    line: Connection, arm: Arm, task: Choice, batching: Choice, inputs: Sequence[LiveInput],
    cores: Set[int] | None, hands_on: HandsOn | None,
) -> None:  # fmt: skip
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started it says when to end
    stay_on(cores)
    try:
        live = LiveArm(arm, task, hands_on is not None)
        expected = live.warm_up(largest_batch(batching))
        rule = rule_of(batching.name, batching.options, expected)
        line.send(None)
    except BenchError as error:
        line.send(error)
        return
    device = _Device(live, rule, inputs, hands_on)
    try:
        while True:
            line.send(device.play(line.recv()))
    except (EOFError, OSError):
        return
    finally:
        live.close()


class _Device:
    def __init__(
        self, live: LiveArm, rule: Rule, inputs: Sequence[LiveInput],
        hands_on: HandsOn | None = None,
    ) -> None:  # fmt: skip
        self._live, self._rule, self._inputs, self._hands_on = live, rule, inputs, hands_on
        self._batches = 0

    def play(self, what: Schedule | Waves) -> Observed:
        rows = np.zeros(len(what.sample), OBSERVED)
        rows["sample"], rows["size"] = what.sample, [self._inputs[k].size for k in what.sample]
        gc.collect()
        gc.disable()
        try:
            if isinstance(what, Schedule):
                self._answer(rows, what.due + time.perf_counter_ns() + START_DELAY_NS, 0)
            else:
                first = 0
                for size, pause in zip(what.sizes, what.pause.tolist(), strict=True):
                    due = np.full(size, time.perf_counter_ns() + pause)
                    self._answer(rows[first : first + size], due, first)
                    first += size
                    if self._hands_on is not None:
                        self._hands_on.to.send(WAVE)
                        self._hands_on.to.recv()
        finally:
            gc.enable()
        if self._hands_on is not None:
            self._hands_on.to.send(None)
        return rows

    def _answer(self, rows: Observed, due: npt.NDArray[np.int64], before: int) -> None:
        """``before``: so many of the block are not in these rows, but come before them."""
        rows["arrival"] = rows["sent"] = due
        moments, encoded = due.tolist(), [self._inputs[k].encoded for k in rows["sample"]]
        served: list[_Served] = []
        taken = woken = 0
        while taken < len(rows):
            now = time.perf_counter_ns()
            come = bisect_right(moments, now)
            if come == taken:
                _sleep_until(moments[taken])
                woken = time.perf_counter_ns()
                continue
            size, again = decide(
                self._rule.full, self._rule.patience, come - taken, moments[taken], now
            )
            if size:
                start = time.perf_counter_ns()
                answers = self._live.answer(encoded[taken : taken + size])
                end = time.perf_counter_ns()
                served.append(_Served(taken, size, woken, start, end, answers))
                self._hand_on(before + taken, answers)
                taken += size
            else:
                _sleep_until(again if come == len(rows) else min(again, moments[come]))
        for one in served:  # not before: it would hold up the next batch
            self._note(rows[one.first : one.first + one.size], one)

    def _hand_on(self, first: int, answers: Sequence[LiveAnswer]) -> None:
        if self._hands_on is None:
            return
        for place, answer in enumerate(answers, first):
            if not answer.error and (answer.found or not self._hands_on.only_found):
                self._hands_on.to.send((place, answer.output))

    def _note(self, rows: Observed, one: _Served) -> None:
        """Who finds the loop asleep reaches it when it wakes."""
        rows["queue"] = one.start - np.maximum(rows["arrival"], one.woken)
        rows["service"], rows["finished"] = one.end - one.start, one.end
        rows["in_batch"], rows["batch"] = self._batches, one.size
        rows["status"] = [FAILED if answer.error else DONE for answer in one.answers]
        self._batches += 1


class _Served(NamedTuple):
    """A batch: its first request, how many, and moments in nanoseconds."""

    first: int
    size: int
    woken: int
    """When the loop last woke."""
    start: int
    end: int
    answers: Sequence[LiveAnswer]


def _sleep_until(moment: int) -> None:
    if (left := moment - time.perf_counter_ns()) > 0:
        time.sleep(left / 1e9)
