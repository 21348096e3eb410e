"""Max-batch and max-wait, as Triton means it.

A full batch starts at once; a smaller one when its oldest request has waited ``max_wait``.
"""

from __future__ import annotations

from pydantic import Field

from bench.batching import Expected, Rule, constant
from bench.record import Record
from bench.ticks import ticks
from bench.units import Seconds


class Options(Record):
    """The two limits."""

    max_batch: int = Field(ge=1, le=1024)
    max_wait: Seconds


def rule(options: Options, expected: Expected) -> Rule:
    return constant(options.max_batch, ticks(options.max_wait))
