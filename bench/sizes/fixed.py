"""All requests are of one size."""

from __future__ import annotations

from bench.record import Record
from bench.sizes import Distribution, listed
from bench.units import Size


class Options(Record):
    """The size, in the task's unit."""

    size: Size


def distribution(options: Options) -> Distribution:
    return listed([options.size])
