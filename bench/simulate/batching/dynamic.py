"""Max-batch and max-wait, as Triton and MLServer mean it.

A full batch starts at once; a smaller one when its oldest request has waited ``max_wait``.
"""

from __future__ import annotations

from pydantic import Field

from bench.record import Record
from bench.simulate.batching import Decision, Dispatch, WaitUntil
from bench.units import Seconds


class Options(Record):
    """The two limits."""

    max_batch: int = Field(ge=1)
    max_wait: Seconds


def largest(options: Options) -> int:
    return options.max_batch


def decide(options: Options, waiting: int, oldest_s: float, now_s: float) -> Decision:
    due = oldest_s + options.max_wait
    if waiting >= options.max_batch or now_s >= due:
        return Dispatch(min(waiting, options.max_batch))
    return WaitUntil(due)
