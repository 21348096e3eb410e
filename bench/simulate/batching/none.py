"""One request at a time."""

from __future__ import annotations

from bench.record import Record
from bench.simulate.batching import Expected, Rule, constant


class Options(Record):
    """None."""


def rule(options: Options, expected: Expected) -> Rule:
    return constant(1, 0)
