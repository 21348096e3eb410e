"""Work that no change of the measured program can touch: it tells whether the machine changed."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable

import numpy as np

BLOCK = bytes(1 << 20)
TABLE_BYTES = 64 << 20
"""More than caches hold."""
_TIMES = 3


def controls() -> dict[str, float]:
    """Seconds of each kind of work: the best of three, about a tenth of a second in all."""
    table = np.ones(TABLE_BYTES // 8)
    return {"compute": _best(_compute), "memory": _best(lambda: table.copy())}


def _compute() -> None:
    for _ in range(16):
        hashlib.sha256(BLOCK)


def _best(work: Callable[[], object]) -> float:
    def timed() -> float:
        begun = time.perf_counter()
        work()
        return time.perf_counter() - begun

    return min(timed() for _ in range(_TIMES))
