"""Whatever waits when a server becomes free, up to a limit; nobody waits for company."""

from __future__ import annotations

from pydantic import Field

from bench.record import Record
from bench.simulate.batching import Decision, Dispatch


class Options(Record):
    """The limit."""

    max_batch: int = Field(ge=1)


def largest(options: Options) -> int:
    return options.max_batch


def decide(options: Options, waiting: int, oldest_s: float, now_s: float) -> Decision:
    return Dispatch(min(waiting, options.max_batch))
