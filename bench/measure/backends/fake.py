"""A backend with scripted times on a clock of its own: exact and instant under test.

A batch of ``b`` takes ``base + b · per_item``; with ``spread`` it takes that much more or less in
turn, so that the distribution is known as well as its mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.measure.backends import Clock, Feeds
from bench.record import Record
from bench.units import Fraction, Seconds


class Options(Record):
    """The script."""

    load: Seconds = 0.5
    first_call_extra: Seconds = 0.1
    base: Seconds = 0.004
    per_item: Seconds = 0.001
    spread: Fraction = 0.0


class ScriptedClock:
    """Nanoseconds that pass only when the script says so."""

    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        return self.now_ns

    def advance(self, seconds: float) -> None:
        self.now_ns += round(seconds * 1e9)


def missing() -> str | None:
    return None


def clock(options: Options) -> Clock:
    return ScriptedClock()


def load(model: Path, options: Options, threads: int, clock: Clock) -> FakeSession:
    if not isinstance(clock, ScriptedClock):
        raise TypeError("the fake backend runs on its own clock")
    clock.advance(options.load)
    return FakeSession(options, clock)


class FakeSession:
    """Returns its first input and lets the scripted time pass."""

    def __init__(self, options: Options, clock: ScriptedClock) -> None:
        self._options = options
        self._clock = clock
        self._calls = 0

    def run(self, feeds: Feeds) -> Sequence[npt.NDArray[Any]]:
        first = np.asarray(next(iter(feeds.values())))
        options = self._options
        seconds = options.base + len(first) * options.per_item
        seconds *= 1 + options.spread * (1 if self._calls % 2 else -1)
        if self._calls == 0:
            seconds += options.first_call_extra
        self._calls += 1
        self._clock.advance(seconds)
        return [first]

    def placement(self) -> list[str]:
        return ["scripted"]

    def metadata(self) -> dict[str, str]:
        return {}
