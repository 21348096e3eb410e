"""Independent sources with gamma-distributed gaps: burstier than Poisson, or more even.

A coefficient of variation of 1 is the Poisson process; 2 to 4 are common for bursty services.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from pydantic import Field

from bench.arrivals import Chunk, Span
from bench.arrivals._renewal import renewal
from bench.record import Record
from bench.units import PerSecond


class Options(Record):
    """Rate of one source, and the coefficient of variation of the gaps."""

    rate: PerSecond
    cv: float = Field(default=2.0, gt=0, le=20)


def mean_rate(options: Options, sources: int) -> float:
    return options.rate * sources


def stream(options: Options, span: Span, rng: np.random.Generator) -> Iterator[Chunk]:
    shape = 1 / options.cv**2
    scale = 1 / (options.rate * shape)
    # The process has run for ever before the start: begin inside a gap picked by its length.
    # A gap seen at a random moment is gamma with shape + 1, and the moment is uniform in it.
    chunks = renewal(
        span, options.rate,
        lambda n: rng.gamma(shape + 1, scale, n) * rng.uniform(size=n),
        lambda n: rng.gamma(shape, scale, n),
    )  # fmt: skip
    return span.cut(chunks)
