"""Quantiles that refuse to guess, and intervals over samples and over replications."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import special

from bench.record import Estimate

FLOOR_CONFIDENCE = 0.99
BATCH_MEANS = 20
"""Batches of a sequence; enough for their spread, few enough to be nearly independent."""
Floats = npt.NDArray[np.float64]


@functools.cache
def early_stopping_floor(over: int, quantile: float, confidence: float = FLOOR_CONFIDENCE) -> int:
    """The fewest queries that show ``quantile`` is kept when ``over`` of them exceeded the limit.

    The smallest ``n = h + over`` with ``I(quantile; h, over + 1) ≤ 1 - confidence``, ``I`` being
    the regularised incomplete beta function (MLPerf LoadGen, ``early_stopping.cc``). With p99
    that is 459, 662, 838, 1,307, 2,010, 6,898 for 0, 1, 2, 5, 10, 50 queries over the limit.
    """

    def enough(n: int) -> bool:
        return float(special.betainc(n - over, over + 1, quantile)) <= 1.0 - confidence

    low, high = over, over + 1
    while not enough(high):
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def sample_floor(quantile: float, confidence: float = FLOOR_CONFIDENCE) -> int:
    """The fewest samples from which ``quantile`` may be reported: one may lie beyond it.

    11, 64, 130, 662 and 6,636 for p50, p90, p95, p99 and p99.9.
    """
    return early_stopping_floor(1, quantile, confidence)


def early_stopping_estimate(
    values: Sequence[float] | Floats, q: float, confidence: float = FLOOR_CONFIDENCE
) -> float | None:
    """A value that the ``q``-quantile does not exceed, with ``confidence`` (LoadGen's estimate).

    The ``t``-th largest value, for the largest ``t`` that the number of samples allows; ``None``
    below :func:`sample_floor`.
    """
    n = len(values)
    if n < sample_floor(q, confidence):
        return None
    low, high = 1, n
    while high - low > 1:
        middle = (low + high) // 2
        allowed = early_stopping_floor(middle, q, confidence) <= n
        low, high = (middle, high) if allowed else (low, middle)
    return float(np.sort(np.asarray(values, dtype=float))[n - low])


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
    low = _binomial_quantile(tail, n, q)
    high = _binomial_quantile(1 - tail, n, q) + 1
    return Estimate(
        value=empirical_quantile(data, q),
        low=float(data[max(low - 1, 0)]),
        high=float(data[min(high - 1, n - 1)]),
        n=n,
        confidence=confidence,
    )


def queued_quantile(
    values: Sequence[float] | Floats, q: float, confidence: float = 0.95
) -> Estimate:
    """The ``q``-quantile of latencies in the order they came, which may depend on each other.

    Requests that queue behind one another are late together, so that fewer of them are
    independent than were counted. The share of values below the quantile is averaged over
    consecutive batches; the spread of these means gives the standard error of the rank (batch
    means: Law, *Simulation Modeling and Analysis*, 5th ed., §9.5.3), and never less than that of
    independent samples. The bounds are the order statistics at those ranks.
    """
    data = np.asarray(values, dtype=float)
    independent = quantile(data, q, confidence)
    if independent.value is None or data.size < 2 * BATCH_MEANS:
        return independent
    below = data <= independent.value
    means = [float(part.mean()) for part in np.array_split(below, BATCH_MEANS)]
    error = float(np.std(means, ddof=1)) / math.sqrt(BATCH_MEANS)
    if error <= math.sqrt(q * (1 - q) / data.size):
        return independent
    half = student(confidence, BATCH_MEANS - 1) * error
    ordered = np.sort(data)
    return independent.model_copy(
        update={
            "low": empirical_quantile(ordered, max(q - half, 0.0)),
            "high": empirical_quantile(ordered, min(q + half, 1.0)),
        }
    )


def block_mean(values: Sequence[float] | Floats, confidence: float = 0.95) -> Estimate:
    """The mean of a sequence whose neighbours may depend on each other, by batch means."""
    data = np.asarray(values, dtype=float)
    if data.size < 2 * BATCH_MEANS:
        return mean_interval(data, confidence)
    means = [float(part.mean()) for part in np.array_split(data, BATCH_MEANS)]
    interval = mean_interval(means, confidence)
    return interval.model_copy(update={"value": float(data.mean()), "n": int(data.size)})


def mser5(means: Sequence[float] | Floats) -> int:
    """How many of the first batch means belong to the warm-up (MSER-5).

    The truncation that makes the standard error of the rest smallest, at most half of the series:
    White, *Simulation* 69, 1997; batches of five observations, as in White, Cobb and Spratt,
    Winter Simulation Conference 2000.

    Args:
        means: of consecutive batches of five (or more) observations.
    """
    data = np.asarray(means, dtype=float)
    n = data.size
    if n < 4:
        return 0
    # Of every tail, from its sums: variance ÷ length.
    count = np.arange(n, 0, -1)
    total = np.cumsum(data[::-1])[::-1]
    squares = np.cumsum((data**2)[::-1])[::-1]
    statistic = (squares - total**2 / count) / count.astype(float) ** 2
    return int(np.argmin(statistic[: n // 2 + 1]))


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
    half = student(confidence, n - 1) * spread
    return Estimate(value=mean, low=mean - half, high=mean + half, n=n, confidence=confidence)


def draw_interval(
    values: Sequence[float] | Floats, confidence: float = 0.95, *, logs: bool = True
) -> Estimate:
    """Mean of draws of one unknown truth, and where that truth may lie.

    More draws do not make the truth better known, so the interval is that of one further draw
    (Student's t prediction interval), and not of the mean; with ``logs``, in logarithms where all
    are positive.
    """
    data = np.asarray(values, dtype=float)
    if data.size < 2:
        return mean_interval(values, confidence)
    positive = logs and bool((data > 0).all())
    scale = np.log(data) if positive else data
    spread = float(scale.std(ddof=1)) * math.sqrt(1 + 1 / data.size)
    half = student(confidence, data.size - 1) * spread
    ends = np.array([scale.mean() - half, scale.mean() + half])
    low, high = (np.exp(ends) if positive else ends).tolist()
    mean = float(data.mean())
    return Estimate(
        value=mean, low=min(low, mean), high=max(high, mean), n=data.size, confidence=confidence
    )


def interval_of(values: Sequence[float] | Floats, *, draws: bool) -> Estimate:
    """:func:`draw_interval` where each value rests on a draw of what is not known."""
    return draw_interval(values) if draws else mean_interval(values)


# Two functions of scipy.stats, whose import every process that measures would wait for.


def student(confidence: float, freedom: int) -> float:
    """So many standard errors on either side hold the mean with this confidence."""
    return float(special.stdtrit(freedom, 0.5 + confidence / 2))


def _binomial_quantile(share: float, n: int, q: float) -> int:
    """The fewest successes of ``n``, each with chance ``q``, whose distribution reaches ``share``."""
    k = math.ceil(special.bdtrik(share, n, q))
    return k - 1 if k > 0 and special.bdtr(k - 1, n, q) >= share else k
