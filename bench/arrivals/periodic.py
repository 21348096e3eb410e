"""Every source sends at a fixed period, from a phase of its own, with optional jitter."""

from __future__ import annotations

import numpy as np

from bench.arrivals import Arrivals
from bench.record import Record
from bench.units import PositiveSeconds, Seconds


class Options(Record):
    """Period of one source, and the standard deviation of each arrival around its tick."""

    period: PositiveSeconds
    jitter: Seconds = 0.0


def mean_rate(options: Options) -> float:
    return 1.0 / options.period


def draw(options: Options, sources: int, length_s: float, rng: np.random.Generator) -> Arrivals:
    ticks = np.arange(0, length_s, options.period)
    times = (rng.uniform(0, options.period, sources)[:, None] + ticks[None, :]).ravel()
    times = times + rng.normal(0, options.jitter, times.size)
    source = np.repeat(np.arange(sources), ticks.size)
    inside = (times >= 0) & (times < length_s)
    order = np.argsort(times[inside], kind="stable")
    return times[inside][order], source[inside][order]
