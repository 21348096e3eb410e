"""Quantiles that refuse to guess, and intervals over samples and over replications."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import stats as scipy_stats

from bench.record import Estimate

FLOOR_CONFIDENCE = 0.99
Floats = npt.NDArray[np.float64]


@functools.cache
def sample_floor(quantile: float, confidence: float = FLOOR_CONFIDENCE) -> int:
    """The fewest samples from which ``quantile`` may be reported.

    The smallest ``n`` for which a latency that is exceeded with probability ``1 - quantile``
    would be exceeded at most once with probability ≤ ``1 - confidence`` (the early-stopping
    rule of MLPerf LoadGen, ``early_stopping.cc``, with one over-latency query allowed). That gives 11, 64,
    130, 662 and 6,636 for p50, p90, p95, p99 and p99.9.
    """
    low, high = 1, 2
    tail = 1.0 - quantile

    def enough(n: int) -> bool:
        return bool(scipy_stats.binom.cdf(1, n, tail) <= 1.0 - confidence)

    while not enough(high):
        low, high = high, high * 2
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return low


def quantile(values: Sequence[float] | Floats, q: float, confidence: float = 0.95) -> Estimate:
    """The ``q``-quantile of independent samples with a distribution-free interval.

    The bounds are order statistics whose ranks come from the binomial distribution (Conover,
    *Practical Nonparametric Statistics*, 3rd ed., §3.2). Below :func:`sample_floor` the value
    is ``None`` with the reason.
    """
    data = np.sort(np.asarray(values, dtype=float))
    n = data.size
    floor = sample_floor(q)
    if n < floor:
        return Estimate.absent(f"p{q * 100:g} needs {floor} samples, there are {n}", n)
    tail = (1 - confidence) / 2
    low = int(scipy_stats.binom.ppf(tail, n, q))
    high = int(scipy_stats.binom.ppf(1 - tail, n, q)) + 1
    return Estimate(
        value=empirical_quantile(data, q),
        low=float(data[max(low - 1, 0)]),
        high=float(data[min(high - 1, n - 1)]),
        n=n,
        confidence=confidence,
    )


def empirical_quantile(ordered: Floats, q: float) -> float:
    """The smallest sample that at least a share ``q`` of the sorted samples do not exceed."""
    return float(ordered[min(max(math.ceil(q * ordered.size - 1e-9) - 1, 0), ordered.size - 1)])


def mean_interval(values: Sequence[float] | Floats, confidence: float = 0.95) -> Estimate:
    """Mean of independent observations (such as replications) with Student's t interval."""
    data = np.asarray(values, dtype=float)
    n = data.size
    if n == 0:
        return Estimate.absent("no observations")
    mean = float(data.mean())
    if n == 1:
        return Estimate(
            value=mean, n=1, confidence=confidence, reason="one observation, no interval"
        )
    spread = float(data.std(ddof=1)) / math.sqrt(n)
    half = float(scipy_stats.t.ppf(0.5 + confidence / 2, n - 1)) * spread
    return Estimate(value=mean, low=mean - half, high=mean + half, n=n, confidence=confidence)
