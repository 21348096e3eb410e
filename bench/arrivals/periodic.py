"""Every source sends at a fixed period, from a phase of its own, with optional jitter."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bench.arrivals import CHUNK, Chunk, Span
from bench.record import Record
from bench.units import PositiveSeconds, SecondsOfADay

FARTHEST = 6.0
"""Standard deviations of jitter at which it is cut: two arrivals in a billion."""


class Options(Record):
    """Period of one source, and the standard deviation of each arrival around its tick."""

    period: PositiveSeconds
    jitter: SecondsOfADay = 0.0


def mean_rate(options: Options, sources: int) -> float:
    return sources / options.period


def stream(options: Options, span: Span, rng: np.random.Generator) -> Iterator[Chunk]:
    return span.cut(_ticks(options, span, rng))


def _ticks(options: Options, span: Span, rng: np.random.Generator) -> Iterator[Chunk]:
    phase = rng.uniform(0, options.period, span.sources)
    order = np.argsort(phase, kind="stable")
    phase, owner = phase[order], order.astype(np.int32)
    farthest = FARTHEST * options.jitter
    rounds = max(CHUNK // span.sources, 1)
    held = Chunk(np.zeros(0), np.zeros(0, np.int32))
    first = 0
    while first * options.period < span.length_s + farthest:
        ticks = np.arange(first, first + rounds) * options.period
        times = (ticks[:, None] + phase[None, :]).ravel()
        source = np.tile(owner, rounds)
        if options.jitter:
            moved = rng.normal(0, options.jitter, times.size)
            times = times + np.clip(moved, -farthest, farthest)
            times, source, _ = _merged(held, Chunk(times, source))
        first += rounds
        safe = int(np.searchsorted(times, first * options.period - farthest))
        inside = int(np.searchsorted(times, 0.0)) if safe else 0
        if safe > inside:
            yield Chunk(times[inside:safe], source[inside:safe])
        held = Chunk(times[max(safe, inside) :], source[max(safe, inside) :])
    if len(held.times):
        yield held


def _merged(a: Chunk, b: Chunk) -> Chunk:
    times, source = np.concatenate([a.times, b.times]), np.concatenate([a.source, b.source])
    order = np.argsort(times, kind="stable")
    return Chunk(times[order], source[order])
