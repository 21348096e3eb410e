"""Full batches only, as a model compiled for one batch size takes them.

Requests that never fill a batch are never served; ``dynamic`` bounds their wait.
"""

from __future__ import annotations

from pydantic import Field

from bench.batching import FOREVER, Expected, Rule, constant
from bench.record import Record


class Options(Record):
    """The one size."""

    batch: int = Field(ge=1, le=1024)


def rule(options: Options, expected: Expected) -> Rule:
    return constant(options.batch, FOREVER)
