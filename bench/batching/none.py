"""One request at a time."""

from __future__ import annotations

from bench.batching import Expected, Rule, constant
from bench.record import Record


class Options(Record):
    """None."""


def rule(options: Options, expected: Expected) -> Rule:
    return constant(1, 0)
