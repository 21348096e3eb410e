"""Whatever waits when a server becomes free, up to a limit; nobody waits for company."""

from __future__ import annotations

from pydantic import Field

from bench.record import Record
from bench.simulate.batching import Expected, Rule, constant


class Options(Record):
    """The limit."""

    max_batch: int = Field(ge=1, le=1024)


def rule(options: Options, expected: Expected) -> Rule:
    return constant(options.max_batch, 0)
