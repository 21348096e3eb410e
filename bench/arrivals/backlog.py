"""All of a day's requests at one moment: scans collected, a table to be scored."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from pydantic import Field

from bench.arrivals import CHUNK, Chunk, Span
from bench.errors import InputError
from bench.record import Record
from bench.units import DAY_S, Seconds, format_seconds


class Options(Record):
    """How many of each source, and how long after the start of the active hours."""

    count: int = Field(ge=1, le=100_000_000)
    after: Seconds = 0.0


COUNTED = True


def mean_rate(options: Options, sources: int) -> float:
    """Over all 24 hours of a day."""
    return options.count * sources / DAY_S


def requests(options: Options, span: Span) -> float:
    return options.count * span.sources * _days(options, span)


def stream(options: Options, span: Span, rng: np.random.Generator) -> Iterator[Chunk]:
    for day in range(_days(options, span)):
        at = options.after + (day * span.day_s if day else 0.0)
        total = options.count * span.sources
        for first in range(0, total, CHUNK):
            number = np.arange(first, min(first + CHUNK, total))
            yield Chunk(np.full(len(number), at), (number % span.sources).astype(np.int32))


def _days(options: Options, span: Span) -> int:
    """Days in which the backlog comes.

    Raises:
        InputError: it would come after the active hours.
    """
    day_s = min(span.day_s, span.length_s)
    if options.after >= day_s:
        raise InputError(
            f"the backlog comes {format_seconds(options.after)} after the start of active hours that "
            f"last {format_seconds(day_s)}",
            where="workload.arrivals.after", allowed="a time within the active hours",
        )  # fmt: skip
    return 1 if span.day_s == float("inf") else round(span.length_s / span.day_s)
