"""One request at a time."""

from __future__ import annotations

from bench.record import Record
from bench.simulate.batching import Decision, Dispatch


class Options(Record):
    """None."""


def largest(options: Options) -> int:
    return 1


def decide(options: Options, waiting: int, oldest_s: float, now_s: float) -> Decision:
    return Dispatch(1)
