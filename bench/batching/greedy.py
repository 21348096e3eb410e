"""Whatever waits when a server becomes free, up to a limit; nobody waits for company."""

from __future__ import annotations

from pydantic import Field

from bench.batching import Expected, Rule, constant
from bench.record import Record


class Options(Record):
    """The limit."""

    max_batch: int = Field(ge=1, le=1024)


def rule(options: Options, expected: Expected) -> Rule:
    return constant(options.max_batch, 0)
