"""Is an answer computed, or remembered? New inputs against the same input again (TEST04)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.measure.backends import Feeds
from bench.measure.measurement import Freshness
from bench.measure.service import Service
from bench.stats import quantile

STEP = 2.0**-12
"""Relative change of a floating-point input: another input to any cache, the same work."""


def compare_fresh_and_repeated(service: Service, pairs: int) -> Freshness:
    """Time ``pairs`` inputs that were never seen, each directly followed by itself.

    Only ``execute`` is timed, on tensors made beforehand, so that both have the same shapes.
    """
    base = service.task.preprocess(service.task.input(service.take(1)))
    inputs = [unseen(base, number) for number in range(1, pairs + 1)]
    clock, task, sessions = service.clock, service.task, service.sessions
    fresh, repeated = [], []
    task.execute(sessions, base)
    for feeds in inputs:
        start = clock()
        task.execute(sessions, feeds)
        middle = clock()
        task.execute(sessions, feeds)
        fresh.append((middle - start) / 1e9)
        repeated.append((clock() - middle) / 1e9)
    ratios = np.array(repeated) / np.maximum(fresh, 1e-12)
    return Freshness(
        fresh_s=float(np.median(fresh)),
        repeated_s=float(np.median(repeated)),
        ratio=quantile(ratios, 0.5),
    )


def unseen(feeds: Feeds, number: int) -> Mapping[str, npt.NDArray[Any]]:
    """``feeds`` changed so little that the work stays the same, and differently for each number."""
    return {name: _changed(array, number) for name, array in feeds.items()}


def _changed(array: npt.NDArray[Any], number: int) -> npt.NDArray[Any]:
    if array.dtype.kind == "f":
        scaled: npt.NDArray[Any] = (array * (1 + number * STEP)).astype(array.dtype)
        return scaled
    if array.ndim and array.shape[-1] > 1:
        return np.roll(array, number, axis=-1)
    return array
