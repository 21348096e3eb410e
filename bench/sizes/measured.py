"""The sizes of the inputs that the task was measured on, all equally often.

Of a scenario that says nothing of sizes, and whose task has some, this is what it gets.
"""

from __future__ import annotations

from pydantic import Field

from bench.record import Record
from bench.sizes import Distribution, listed
from bench.units import Size


class Options(Record):
    """None to give: what was measured is filled in before anything is simulated."""

    sizes: list[Size] = Field(default=[], max_length=100_000)


def distribution(options: Options) -> Distribution:
    """Of the sizes that were filled in; nothing measured is no size at all."""
    return listed(options.sizes or [0.0])
