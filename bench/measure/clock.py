"""The clock that times are read from, and a second one that it is held against."""

from __future__ import annotations

import time
from typing import Protocol

PAIRS = 20


class Clock(Protocol):
    """Monotonic nanoseconds; all processes of the machine share it."""

    def __call__(self) -> int: ...

    def reference_ns(self) -> int:
        """The same moment on an independent clock, to find drift with."""
        ...


class WallClock:
    """``perf_counter_ns``, held against the unslewed hardware clock where the system has one."""

    __call__ = staticmethod(time.perf_counter_ns)

    def reference_ns(self) -> int:
        if hasattr(time, "CLOCK_MONOTONIC_RAW"):
            return time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
        return time.time_ns()


def at_once(clock: Clock) -> tuple[int, int]:
    """One moment on a clock and on its reference, in ns: the closest of many pairs of readings.

    A busy machine may hold a process up for milliseconds between two readings, which in a run of
    seconds would look like a clock that is wrong.
    """
    pairs = []
    for _ in range(PAIRS):
        before = clock()
        reference = clock.reference_ns()
        after = clock()
        pairs.append((after - before, (before + after) // 2, reference))
    _, moment, reference = min(pairs)
    return moment, reference
