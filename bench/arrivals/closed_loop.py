"""Every source is a user who thinks, asks, waits for the answer, and thinks again.

A closed loop: when the service is slow, fewer requests come, so that its latencies flatter a
service that is overloaded. Use it for users who really do wait.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np

from bench.arrivals import CHUNK, Chunk, Span
from bench.record import Record
from bench.units import PositiveSeconds

CLOSED = True


class Options(Record):
    """How long a user thinks between an answer and the next request."""

    think: PositiveSeconds
    spread: Literal["exponential", "constant"] = "exponential"


def mean_rate(options: Options, sources: int) -> float:
    """The most there can be: with answers that take no time."""
    return sources / options.think


def stream(options: Options, span: Span, rng: np.random.Generator) -> Iterator[Chunk]:
    """Think times in seconds, in the order in which users begin to think; without end."""
    while True:
        if options.spread == "constant":
            times = np.full(CHUNK, options.think)
        else:
            times = rng.standard_exponential(CHUNK) * options.think
        yield Chunk(times, np.zeros(CHUNK, np.int32))
