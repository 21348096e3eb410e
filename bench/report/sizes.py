"""How service times follow the sizes of requests: what a page says of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from bench.profile import Profile, SizeClass
from bench.record import Record

HAIR = 1e-9


class SizeLine(Record):
    """The line of one arm and batch size: a batch of work w takes ``fixed_s + per_unit_s * w``."""

    arm: str
    unit: str
    joined: str
    """What the work of a batch is: ``longest``, as all are filled up to it, or the ``sum``."""
    batch_size: int
    fixed_s: float
    per_unit_s: float
    held_out_error: float | None
    without: float | None
    """The same error, were the size not known."""
    classes: list[SizeClass]


def size_lines(profiles: Iterable[Profile]) -> Iterator[SizeLine]:
    """Of the arms that were measured here on inputs with sizes: one request alone, and the largest
    batch."""
    for profile in profiles:
        sizes = profile.sizes
        if sizes is None or profile.origin.provenance != "measured":
            continue
        times = profile.at_average()
        for batch_size in dict.fromkeys([min(times), max(times)]):
            line, mean = sizes.growth[batch_size], float(np.mean(times[batch_size]))
            yield SizeLine(
                arm=profile.arm,
                unit=sizes.unit,
                joined=sizes.joined,
                batch_size=batch_size,
                fixed_s=mean * line.factor(0.0) if line.rate * line.work < 1 - HAIR else 0.0,
                per_unit_s=mean * line.rate,
                held_out_error=line.held_out_error,
                without=line.without,
                classes=line.classes,
            )
