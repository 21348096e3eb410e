"""Periods in which something is out of order, compiled."""

from __future__ import annotations

import numpy as np

from bench.simulate.compiled import compiled
from bench.ticks import Ticks


@compiled
def after_window(starts: Ticks, ends: Ticks, at: int) -> int:
    """``at``, or the end of the window it is in."""
    if len(starts) == 0:
        return at
    place = np.searchsorted(ends, at, side="right")
    if place < len(starts) and starts[place] <= at:
        return ends[place]
    return at
