"""A backend with scripted times: exact and instant under test, and able to misbehave.

A batch of ``b`` takes ``base + b · per_item``, and ``per_unit`` for each unit of its sizes; with ``spread`` it takes that much more or less in
turn, and with ``random`` an exponentially distributed time with that mean, so that the distribution is
known as well as its mean. The times pass on a clock of its own, or, with ``real_time``, on the
machine's. ``faults`` plants what the validity rules must find.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from bench.measure.backends import (
    BackendOptions,
    Feeds,
    Placement,
    RequestFailed,
    RunsOn,
    TensorSpec,
)
from bench.measure.clock import Clock, WallClock
from bench.record import Record
from bench.units import Fraction, PositiveSeconds, Seconds

FORMATS = ("scripted",)
RUNS_ON: RunsOn = "scripted"

SPIN_NS = 200_000
"""The last part of a real-time wait is spent looking at the clock, since sleep oversleeps."""


class Stall(Record):
    """The backend stands still once, as a server does in a long garbage collection."""

    at_call: int = Field(ge=1)
    lasts: PositiveSeconds


class Faults(Record):
    """Misbehaviour; none by default."""

    stall: Stall | None = None
    wrong_share: Fraction = 0.0
    """This share of the calls answers wrong."""
    cached_speed_up: float = Field(default=1.0, ge=1)
    """An input seen before is answered so many times faster."""
    clock_drift: float = Field(default=0.0, gt=-0.5, lt=0.5)
    """Relative error of the clock's rate."""
    fallback_nodes: int = Field(default=0, ge=0)
    """Nodes that run on a device nobody asked for."""
    not_a_number: bool = False
    fail_share: Fraction = 0.0
    """This share of the calls fails as a busy server does, evenly spread."""
    fail_from_call: int | None = Field(default=None, ge=1)
    crash_at_call: int | None = Field(default=None, ge=1)
    hang_at_call: int | None = Field(default=None, ge=1)


class Options(BackendOptions):
    """The script."""

    load: Seconds = 0.5
    first_call_extra: Seconds = 0.1
    base: Seconds = 0.004
    per_item: Seconds = 0.001
    per_unit: Seconds = 0.0
    """Of the sizes of a batch together, where the task has sizes: """
    padded: bool = False
    """their sum, or as many times the largest of them."""
    spread: Fraction = 0.0
    random: bool = False
    real_time: bool = False
    faults: Faults = Faults()


class ScriptedClock:
    """Nanoseconds that pass only when the script says so."""

    def __init__(self, drift: float = 0.0) -> None:
        self.now_ns = 0
        self._drift = drift

    def __call__(self) -> int:
        return round(self.now_ns * (1 + self._drift))

    def reference_ns(self) -> int:
        return self.now_ns

    def advance(self, seconds: float) -> None:
        self.now_ns += round(seconds * 1e9)


def missing() -> str | None:
    return None


def clock(options: Options) -> Clock:
    return WallClock() if options.real_time else ScriptedClock(options.faults.clock_drift)


def load(model: Path, options: Options, threads: int, clock: Clock) -> FakeSession:
    session = FakeSession(options, clock)
    session.wait(options.load)
    return session


class FakeSession:
    """Returns its first input and lets the scripted time pass."""

    inputs: Sequence[TensorSpec] = (TensorSpec("x", "float64", (None, 1)),)
    outputs: Sequence[TensorSpec] = (TensorSpec("y", "float64", (None, 1)),)

    def __init__(self, options: Options, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._calls = 0
        self._seen: set[bytes] = set()
        self._rng = np.random.default_rng(0)

    def run(self, feeds: Feeds) -> Sequence[npt.NDArray[Any]]:
        first = np.asarray(next(iter(feeds.values())))
        self._calls += 1
        self._misbehave()
        self.wait(self._seconds(first, feeds.get("size")))
        return [self._answer(first)]

    def wait(self, seconds: float) -> None:
        """Let time pass on the clock that is in use."""
        if isinstance(self._clock, ScriptedClock):
            self._clock.advance(seconds)
            return
        end = time.perf_counter_ns() + round(seconds * 1e9)
        while (left := end - time.perf_counter_ns()) > 0:
            if left > SPIN_NS:
                time.sleep((left - SPIN_NS) / 1e9)

    def placement(self) -> Placement:
        astray = self._options.faults.fallback_nodes
        nodes = {"scripted": 10 - astray} | ({"elsewhere": astray} if astray else {})
        return Placement(
            wanted="scripted", nodes=nodes, elsewhere=["Conv"] * bool(astray), proof="the script"
        )

    def metadata(self) -> dict[str, str]:
        return {}

    def _seconds(self, first: npt.NDArray[Any], sizes: npt.NDArray[Any] | None) -> float:
        options = self._options
        seconds = options.base + len(first) * options.per_item
        if sizes is not None:
            work = len(sizes) * sizes.max() if options.padded else sizes.sum()
            seconds += options.per_unit * float(work)
        seconds *= 1 + options.spread * (1 if self._calls % 2 == 0 else -1)
        if options.random:
            seconds *= float(self._rng.exponential())
        if self._calls == 1:
            seconds += options.first_call_extra
        if options.faults.cached_speed_up > 1:
            key = first.tobytes()
            seconds /= options.faults.cached_speed_up if key in self._seen else 1
            self._seen.add(key)
        return seconds

    def _answer(self, first: npt.NDArray[Any]) -> npt.NDArray[Any]:
        faults = self._options.faults
        if faults.not_a_number:
            return np.full_like(first, np.nan)
        return first + 1 if self._falls_on(faults.wrong_share) else first

    def _falls_on(self, share: float) -> bool:
        """Whether this call is one of a share, evenly spread and the same in every run."""
        return int(self._calls * share) > int((self._calls - 1) * share)

    def _misbehave(self) -> None:
        faults, call = self._options.faults, self._calls
        if faults.crash_at_call == call:
            os._exit(1)
        if faults.hang_at_call == call:
            time.sleep(3600)
        if faults.fail_from_call is not None and call >= faults.fail_from_call:
            raise RuntimeError("a planted failure")
        if self._falls_on(faults.fail_share):
            raise RequestFailed("HTTP 500", "a planted failure that passes")
        stall = faults.stall
        if stall and stall.at_call == call:
            self.wait(stall.lasts)
