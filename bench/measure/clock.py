"""The clock that times are read from, and a second one that it is held against."""

from __future__ import annotations

import time
from typing import Protocol


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
