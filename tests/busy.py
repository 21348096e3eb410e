"""What a test may ask of a machine that has other things to do. Three rules, and nothing else:

1. *Load only adds time, and not to the same query twice.* Times of two harnesses are compared query by
   query, each by the least that it took over interleaved runs (:func:`least`), with one more run of
   both while they differ, up to a number that the test states. Only disturbance can ask for another
   run: what a harness itself adds, it adds in every one.
2. *A test waits for what happens, not for a time* (:func:`until`). The limit there is for hangs alone.
3. *A bound that a slow machine would break is a multiple of something measured in the same run.*
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from subprocess import Popen
from typing import Any

import numpy as np

HANG_S = 300.0
"""What takes seconds on a quiet machine hangs if it takes so long on any."""


def least(runs: Sequence[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    """The least that each query took over the runs, which asked the same queries in the same order."""
    return np.min(np.array(runs), axis=0)  # type: ignore[no-any-return]


def until(happened: Callable[[], object], what: str, process: Popen[Any] | None = None) -> None:
    """Wait for ``happened``; fail if ``process`` ends before, or nothing comes for ``HANG_S``.

    A process that is given up is ended: it would load the machine of the tests that follow.
    """
    end = time.monotonic() + HANG_S
    try:
        while not happened():
            assert process is None or process.poll() is None, f"it was done before {what}"
            assert time.monotonic() < end, f"hangs before {what}"
            time.sleep(0.01)
    except AssertionError:
        if process is not None:
            process.kill()
            process.communicate()
        raise
