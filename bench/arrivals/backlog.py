"""All of a day's requests at one moment: scans collected, a table to be scored."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from pydantic import Field

from bench.arrivals import CHUNK, Chunk, Span
from bench.record import Record
from bench.units import DAY_S, Seconds


class Options(Record):
    """How many of each source, and how long after the start of the active hours."""

    count: int = Field(ge=1, le=100_000_000)
    after: Seconds = 0.0


def mean_rate(options: Options, sources: int) -> float:
    return options.count * sources / DAY_S


def stream(options: Options, span: Span, rng: np.random.Generator) -> Iterator[Chunk]:
    days = 1 if span.day_s == float("inf") else round(span.length_s / span.day_s)
    for day in range(days):
        at = options.after + day * (span.day_s if day else 0.0)
        if at >= span.length_s:
            return
        total = options.count * span.sources
        for first in range(0, total, CHUNK):
            number = np.arange(first, min(first + CHUNK, total))
            yield np.full(len(number), at), (number % span.sources).astype(np.int32)
