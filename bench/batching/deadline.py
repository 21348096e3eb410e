"""Wait as long as the oldest request can still be answered in time, with one more beside it.

With ``k`` waiting, a batch starts when ``deadline − expected service time of k + 1`` has passed
since the oldest came, so that the larger batch it waited for would still have kept the deadline.
"""

from __future__ import annotations

from pydantic import Field

from bench.batching import Expected, Rule
from bench.record import Record
from bench.ticks import ticks
from bench.units import PositiveSeconds


class Options(Record):
    """The largest batch, and the time from reaching the queue to the end of service."""

    max_batch: int = Field(ge=1, le=1024)
    deadline: PositiveSeconds


def rule(options: Options, expected: Expected) -> Rule:
    allowed = ticks(options.deadline)
    patience = (max(round(allowed - expected(k + 1)), 0) for k in range(1, options.max_batch))
    return Rule(options.max_batch, tuple(patience))
