"""Independent sources with Weibull-distributed gaps: heavier tails than gamma at the same spread."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np
from pydantic import Field
from scipy import optimize, special

from bench.arrivals import Chunk, Span
from bench.arrivals._renewal import renewal
from bench.record import Record
from bench.units import PerSecond


class Options(Record):
    """Rate of one source, and the coefficient of variation of the gaps."""

    rate: PerSecond
    cv: float = Field(default=2.0, ge=0.1, le=20)


def mean_rate(options: Options, sources: int) -> float:
    return options.rate * sources


def stream(options: Options, span: Span, rng: np.random.Generator) -> Iterator[Chunk]:
    shape = shape_of(options.cv)
    scale = 1 / (options.rate * special.gamma(1 + 1 / shape))
    # (gap / scale)^shape is exponential, and of a gap seen at a random moment gamma(1 + 1/shape).
    chunks = renewal(
        span, options.rate,
        lambda n: scale * rng.gamma(1 + 1 / shape, size=n) ** (1 / shape) * rng.uniform(size=n),
        lambda n: scale * rng.weibull(shape, n),
    )  # fmt: skip
    return span.cut(chunks)


@functools.cache
def shape_of(cv: float) -> float:
    """The shape with this coefficient of variation: Γ(1+2/k)/Γ(1+1/k)² = 1 + cv²."""

    def excess(shape: float) -> float:
        logs = special.gammaln(1 + 2 / shape) - 2 * special.gammaln(1 + 1 / shape)
        return float(logs - np.log1p(cv**2))

    return float(optimize.brentq(excess, 0.05, 20.0))
