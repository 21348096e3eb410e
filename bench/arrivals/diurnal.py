"""A Poisson process that follows the time of day.

The relative rate is the middle of each hour's, and runs straight from one to the next; arrivals
are thinned from a process of the highest rate (Lewis and Shedler, Naval Research Logistics 26,
1979).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from pydantic import Field, model_validator

from bench.arrivals import Chunk, Floats, Span
from bench.arrivals.poisson import homogeneous
from bench.record import Record
from bench.units import DAY_S, HOUR_S, PerSecond

# Low at night, a plateau over office hours, a peak in the evening.
TYPICAL = (
    0.45, 0.35, 0.30, 0.28, 0.30, 0.40, 0.60, 0.85, 1.10, 1.25, 1.30, 1.30,
    1.25, 1.30, 1.32, 1.30, 1.28, 1.30, 1.40, 1.55, 1.60, 1.45, 1.10, 0.75,
)  # fmt: skip


class Options(Record):
    """Mean rate of one source over the day, and how it is spread over the hours."""

    rate: PerSecond
    hours: list[float] = Field(default=list(TYPICAL), min_length=24, max_length=24)
    """Relative rates, from 00:00 to 01:00 on; only their ratios count."""

    @model_validator(mode="after")
    def _positive(self) -> Options:
        if min(self.hours) < 0 or max(self.hours) <= 0:
            raise ValueError("hours: 24 relative rates, none below zero and not all zero")
        return self


def mean_rate(options: Options, sources: int) -> float:
    return options.rate * sources


def requests(options: Options, span: Span) -> float:
    """Of the active hours: not those of the mean, where they are the busy ones."""
    # The rate runs straight between the middles of hours, so that whole minutes have their means.
    minutes = np.arange(30.0, min(span.length_s, span.day_s, DAY_S), 60.0)
    shape = relative(options, span.start_s + minutes)
    return float(options.rate * span.sources * span.length_s * shape.mean())


def stream(options: Options, span: Span, rng: np.random.Generator) -> Iterator[Chunk]:
    return span.cut(_thinned(options, span, rng))


def relative(options: Options, clock_s: Floats) -> Floats:
    """The rate at a time of day ÷ its mean."""
    hours = np.array(options.hours)
    middles = (np.arange(-1, 25) + 0.5) * HOUR_S
    around = np.concatenate([hours[-1:], hours, hours[:1]])
    found: Floats = np.interp(np.mod(clock_s, DAY_S), middles, around) / hours.mean()
    return found


def _thinned(options: Options, span: Span, rng: np.random.Generator) -> Iterator[Chunk]:
    peak = max(options.hours) / float(np.mean(options.hours))
    for times, source, _ in homogeneous(options.rate * span.sources * peak, span, rng):
        kept = rng.random(len(times)) * peak < relative(options, span.clock(times))
        if times[-1] >= span.length_s:
            kept[-1] = True  # beyond the end, it tells that the end has come
        yield Chunk(times[kept], source[kept])
