"""Durations that are drawn, and periods: out of order by chance, or by the clock."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import special

from bench.scenario import Active, Duration, MeanTimes, Spread
from bench.simulate.plane import Floats, Windows
from bench.ticks import FOREVER, tick_array, ticks
from bench.units import DAY_S, LONGEST_S


def drawn(duration: Duration, count: int, rng: np.random.Generator) -> Floats:
    """``count`` durations in seconds.

    A spread is a straight line through its percentiles on the scale of a normal distribution,
    carried on beyond them, never below zero, and never beyond what a scenario may say.
    """
    if not isinstance(duration, Spread):
        return np.full(count, float(duration))
    marks = special.ndtri([0.5, 0.9, 0.99])
    values = np.array([duration.p50, duration.p90, duration.p99])
    slopes = np.diff(values) / np.diff(marks)
    score = rng.standard_normal(count)
    low = values[0] + slopes[0] * (score - marks[0])
    high = values[1] + slopes[1] * (score - marks[1])
    found: Floats = np.clip(np.where(score < marks[1], low, high), 0.0, LONGEST_S)
    return found


def one_by_one(duration: Duration, rng: np.random.Generator) -> Callable[[], float]:
    """Draws one duration at each call."""
    return lambda: float(drawn(duration, 1, rng)[0])


def typical(duration: Duration) -> float:
    """The median, in seconds."""
    return duration.p50 if isinstance(duration, Spread) else float(duration)


def breakdowns(times: MeanTimes | None, until: int, rng: np.random.Generator) -> Windows:
    """Periods out of order up to ``until``: exponential times between and to repair."""
    if times is None:
        return Windows()
    edges = [np.zeros(0)]
    last = 0.0
    while ticks(last) < until:
        count = max(int((until / 1e9 - last) / (times.mtbf + times.mttr)) + 8, 8)
        steps = rng.standard_exponential((count, 2)) * (times.mtbf, times.mttr)
        more = last + np.cumsum(steps.ravel())
        edges.append(more)
        last = float(more[-1])
    every = tick_array(np.concatenate(edges)).reshape(-1, 2)
    inside = every[every[:, 0] < until]
    return Windows(np.ascontiguousarray(inside[:, 0]), np.ascontiguousarray(inside[:, 1]))


def daily(hours: list[Active], until: int) -> Windows:
    """Those hours of every day, joined where they touch."""
    edges: list[list[int]] = []
    for day in range(-(-until // ticks(DAY_S))):
        for span in sorted(hours, key=lambda span: span.start):
            start, end = ticks(day * DAY_S + span.start), ticks(day * DAY_S + span.end)
            if edges and start <= edges[-1][1]:
                edges[-1][1] = max(edges[-1][1], end)
            else:
                edges.append([start, end])
    table = np.array(edges, np.int64).reshape(-1, 2)
    return Windows(np.ascontiguousarray(table[:, 0]), np.ascontiguousarray(table[:, 1]))


def outside(hours: list[Active], until: int) -> Windows:
    """The rest of every day; no hours stand for all of them."""
    if not hours:
        return Windows()
    inside = daily(hours, until)
    start = np.concatenate([[0], inside.end])
    end = np.concatenate([inside.start, [FOREVER]])
    kept = end > start
    return Windows(start[kept], end[kept])
