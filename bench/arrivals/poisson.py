"""Independent sources, each a Poisson process of constant rate."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bench.arrivals import CHUNK, Chunk, Span
from bench.record import Record
from bench.units import PerSecond


class Options(Record):
    """Rate of one source."""

    rate: PerSecond


def mean_rate(options: Options, sources: int) -> float:
    return options.rate * sources


def stream(options: Options, span: Span, rng: np.random.Generator) -> Iterator[Chunk]:
    # The sum of Poisson processes is one, and each event's source is uniform.
    rate = mean_rate(options, span.sources)
    return span.cut(homogeneous(rate, span, rng))


def homogeneous(rate: float, span: Span, rng: np.random.Generator) -> Iterator[Chunk]:
    """A Poisson process of ``rate`` that never ends."""
    now = 0.0
    while True:
        # Half as many as are still to come, at least: the last chunk wastes little.
        count = int(min(CHUNK, (span.length_s - now) * rate + 64)) if now < span.length_s else 64
        times = rng.standard_exponential(count)
        times /= rate
        np.cumsum(times, out=times)
        times += now
        now = float(times[-1])
        yield Chunk(times, span.pick(count, rng))
