"""Durations that are drawn, and periods: out of order by chance, or by the clock."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy import special

from bench.errors import InputError
from bench.requests import Floats
from bench.scenario import Active, Duration, MeanTimes, Spread
from bench.simulate.plane import Windows, WindowsOfEach
from bench.ticks import FOREVER, PER_SECOND, Ticks, tick_array, ticks
from bench.units import DAY_S, LONGEST_S

MOST_BREAKDOWNS = 1 << 23
"""In one replication: 128 MiB."""
CELLS = 1 << 20
"""Breakdowns drawn at once."""


def drawn(duration: Duration, count: int, rng: np.random.Generator) -> Floats:
    """``count`` durations in seconds."""
    if not isinstance(duration, Spread):
        return np.full(count, float(duration))
    return at_scores(duration, rng.standard_normal(count))


def at_scores(duration: Duration, score: Floats) -> Floats:
    """Durations in seconds, at these standard scores of a normal distribution.

    A spread is a straight line through its percentiles on that scale, carried on beyond them, never
    below zero, and never beyond what a scenario may say.
    """
    if not isinstance(duration, Spread):
        return np.full(len(score), float(duration))
    marks = special.ndtri([0.5, 0.9, 0.99])
    values = np.array([duration.p50, duration.p90, duration.p99])
    slopes = np.diff(values) / np.diff(marks)
    low = values[0] + slopes[0] * (score - marks[0])
    high = values[1] + slopes[1] * (score - marks[1])
    found: Floats = np.clip(np.where(score < marks[1], low, high), 0.0, LONGEST_S)
    return found


def one_by_one(duration: Duration, rng: np.random.Generator) -> Callable[[], float]:
    """Draws one duration at each call."""
    return lambda: float(drawn(duration, 1, rng)[0])


def shortest(duration: Duration) -> float:
    """None is shorter, in seconds; a spread has no shortest but zero."""
    return 0.0 if isinstance(duration, Spread) else float(duration)


def breakdowns(
    times: MeanTimes | None, things: int, until: int, rng: np.random.Generator, where: str
) -> WindowsOfEach | None:
    """When each of so many things is out of order up to ``until``; ``None``: never.

    Exponential times between failures and to repair, and each thing for itself. They have been
    running before (a stationary alternating renewal process: Cox, *Renewal Theory*, §7): at
    midnight a thing is under repair with probability ``mttr / (mtbf + mttr)``, and what is left of
    a time that began before is as long as a whole one.

    Args:
        where: the place in the scenario, for a complaint.

    Raises:
        InputError: there are more of them than memory should hold.
    """
    if times is None:
        return None
    each = until / PER_SECOND / (times.mtbf + times.mttr)
    if things * (each + 1) > MOST_BREAKDOWNS:
        raise InputError(
            f"there would be about {things * each:.2g} breakdowns in one replication",
            where=where,
            allowed=f"up to {MOST_BREAKDOWNS:,}",
            todo="Simulate fewer days, or give a longer mtbf",
        )
    columns = int(each + 4 * math.sqrt(each)) + 4
    rows = max(CELLS // columns, 1)
    blocks = [
        _breakdowns(times, min(rows, things - begin), columns, until, rng)
        for begin in range(0, things, rows)
    ]
    counts, starts, ends = (np.concatenate(column) for column in zip(*blocks, strict=True))
    return WindowsOfEach(np.concatenate([[0], np.cumsum(counts)]), Windows(starts, ends))


def _breakdowns(
    times: MeanTimes, things: int, columns: int, until: int, rng: np.random.Generator
) -> tuple[Ticks, Ticks, Ticks]:
    """By thing how many, and then of all: when they begin and end."""
    under_repair = rng.random(things) < times.mttr / (times.mtbf + times.mttr)
    edges = np.zeros((things, 0))
    reached = np.zeros((things, 1))
    while reached.min() * PER_SECOND < until:
        steps = rng.standard_exponential((things, columns, 2)) * (times.mtbf, times.mttr)
        if not edges.size:
            steps[under_repair, 0, 0] = 0.0
        more = reached + np.cumsum(steps.reshape(things, -1), axis=1)
        edges, reached = np.hstack([edges, more]), more[:, -1:]
    table = tick_array(np.minimum(edges, FOREVER / PER_SECOND)).reshape(things, -1, 2)
    inside = table[:, :, 0] < until
    return inside.sum(axis=1), table[:, :, 0][inside], table[:, :, 1][inside]


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
