"""Simulated time: whole nanoseconds since midnight of the first day.

Integers make sums exact, so that two methods of simulating agree to the last digit and ties are
ties. A signed 64-bit integer holds 292 years.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

PER_SECOND = 1_000_000_000
FOREVER = 1 << 61
"""Later than any moment; two of them still add up without overflow."""
Ticks = npt.NDArray[np.int64]


def ticks(seconds: float) -> int:
    """The nearest nanosecond; what lies beyond :data:`FOREVER` (73 years) is that."""
    scaled = seconds * PER_SECOND
    return round(scaled) if scaled < FOREVER else FOREVER


def tick_array(seconds: npt.NDArray[np.float64]) -> Ticks:
    """As :func:`ticks`, one by one."""
    scaled = seconds * PER_SECOND
    if scaled.max(initial=0.0) > FOREVER:  # to look is quicker than to bound every one
        np.minimum(scaled, FOREVER, out=scaled)
    return np.rint(scaled, out=scaled).astype(np.int64)


def to_seconds(time: int) -> float:
    return time / PER_SECOND
