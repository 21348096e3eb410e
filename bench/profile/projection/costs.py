"""A time as a sum of counts, each at a cost of zero or more.

    t = Σ count · cost, and one cost for the call itself

That is what a processor does, one thing after the other, and so it carries on beyond the networks it
was fitted to; sums of logarithms do not. The costs of a setting are fitted to its published times by
non-negative least squares of relative errors (Lawson and Hanson 1974), with single times far off
counted less (Huber 1964), and drawn towards the pattern of all settings of such a processor: where few
networks were published the pattern decides how costs lie to each other, and the times their level.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bench.counts import COUNTS, Counts
from bench.hardware import DataSheet

Array = npt.NDArray[np.float64]
SIGMA = 0.15
"""By so much, relatively, times usually lie away from the sum."""
HUBER = 1.5
"""Beyond so many sigmas an error counts linearly."""
ROUNDS = 6
BY_RATE = 5
"""The first counts are paid by the arithmetic rate, the next two by the memory's bandwidth."""
BY_BANDWIDTH = 2
FEATURES = len(COUNTS) + 1
LEAST_SHARE = 0.02
"""Of a time, what each count takes at least in a pattern."""
ORDERS = {
    "int8": ("int8", "fp16", "fp32"),
    "fp16": ("fp16", "fp32", "int8"),
    "fp32": ("fp32", "fp16", "int8"),
}
"""Which rates of a data sheet stand for a precision, the first that it has."""


def features(counts: Sequence[Counts]) -> Array:
    """The counts and a one: [networks, :data:`FEATURES`]."""
    return np.column_stack([np.array(counts, dtype=float), np.ones(len(counts))])


def fitted(x: Array, seconds: Array, pattern: Array, spread: float = 1.0) -> Array:
    """The costs, in seconds a count.

    Args:
        x: [networks, features].
        seconds: a sample, by network.
        pattern: costs to be drawn towards, up to a common factor.
        spread: by so much, relatively, a cost may lie away from the pattern.
    """
    from scipy.optimize import nnls  # late: who only measures does not wait for it

    level = float(np.exp(np.median(np.log(seconds) - np.log(x @ pattern))))
    prior = np.diag(1 / (spread * level * pattern))
    costs = level * pattern
    for number in range(ROUNDS):
        # First relative to what was seen; then between that and the sum, so that none counts double.
        away = seconds if number < 2 else np.sqrt((x @ costs) * seconds)
        weight = np.ones(len(seconds))
        if number >= 2:
            errors = np.abs(x @ costs - seconds) / away / SIGMA
            weight = np.sqrt(1 / np.maximum(1.0, errors / HUBER))
        rows = np.vstack([(weight / away / SIGMA)[:, None] * x, prior])
        target = np.concatenate([weight / away / SIGMA * seconds, np.full(FEATURES, 1 / spread)])
        size = np.linalg.norm(rows, axis=0)  # counts differ by ten orders of magnitude
        costs = nnls(rows / size, target)[0] / size
    return costs


def pooled(tables: Sequence[tuple[Array, Array, Array]]) -> Array:
    """The pattern of settings of one kind: costs per unit of their data sheets.

    Args:
        tables: of each setting ``x``, ``seconds``, and what its data sheet divides costs by, [features].
    """
    scaled = [x * scale for x, _, scale in tables]
    pattern: Array = 1 / np.maximum(np.vstack(scaled).mean(axis=0), 1e-300)
    every = np.concatenate([seconds for _, seconds, _ in tables])
    # A setting with many networks counts for more, up to forty.
    weight = np.concatenate(
        [
            np.full(len(seconds), (min(len(seconds), 40) / len(seconds)) ** 0.5)
            for _, seconds, _ in tables
        ]
    )
    for _ in range(5):
        levels = [
            float(np.exp(np.median(np.log(seconds) - np.log(x @ pattern))))
            for x, (_, seconds, _) in zip(scaled, tables, strict=True)
        ]
        middle = float(np.exp(np.mean(np.log(levels))))
        rows = np.vstack([x * (level / middle) for x, level in zip(scaled, levels, strict=True)])
        pattern = _shared(rows, every, weight)
    return pattern


def _shared(x: Array, seconds: Array, weight: Array) -> Array:
    """Costs of many settings at once, none without a small share: each count takes some time."""
    from scipy.optimize import nnls

    costs = np.zeros(FEATURES)
    for number in range(4):
        away, own = seconds, weight
        if number:
            away = np.sqrt(np.maximum(x @ costs, seconds * 1e-3) * seconds)
            errors = np.abs(x @ costs - seconds) / away / (2 * SIGMA)
            own = weight / np.sqrt(np.maximum(1.0, errors))
        rows = (own / away)[:, None] * x
        size = np.maximum(np.linalg.norm(rows, axis=0), 1e-300)
        costs = nnls(rows / size, own / away * seconds)[0] / size
    unit = np.average(x / seconds[:, None], axis=0, weights=weight)
    costs = np.maximum(costs, LEAST_SHARE / np.maximum(unit, 1e-300) * (unit > 0))
    # What none of their networks has, such as convolutions in groups, like three plain products.
    found: Array = np.where(unit > 0, costs, 3 * costs[0])
    return found


def scale_of(sheet: DataSheet | None, precision: str, usual: tuple[float, float]) -> Array:
    """What costs are divided by, by feature: the rate, the bandwidth, or one.

    ``usual``: rate and bandwidth of processors of the kind, for what the data sheet does not say.
    """
    rate, bandwidth = rates_of(sheet, precision)
    scale = np.ones(FEATURES)
    scale[:BY_RATE] = 1 / (rate or usual[0])
    scale[BY_RATE : BY_RATE + BY_BANDWIDTH] = 1 / (bandwidth or usual[1])
    return scale


def rates_of(sheet: DataSheet | None, precision: str) -> tuple[float | None, float | None]:
    """Operations and bytes a second; ``None`` for what the data sheet does not say."""
    if sheet is None:
        return None, None
    kind = "int8" if re.search("int8|w8", precision) else "fp16" if "16" in precision else "fp32"
    found = (getattr(sheet, name) for name in ORDERS[kind])
    rate = next((float(value) for value in found if value), None)
    return rate, float(sheet.memory_bandwidth) if sheet.memory_bandwidth else None
