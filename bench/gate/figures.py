"""One figure of one process."""

from __future__ import annotations

import math
from typing import Literal

from bench.gate.asked import Better
from bench.record import Record

Unit = Literal["s", "1/s", "J", "bytes", "USD", "share", "count"]


class Figure(Record):
    """What a process says of itself."""

    value: float | None
    unit: Unit
    better: Better = "lower"
    exact: bool = False
    """It has no noise: two processes of one side give the same."""
    part_of: str | None = None
    """The figure that it adds up to, with others."""
    reason: str | None = None
    """Why there is no value."""

    @classmethod
    def seen(cls, value: float | None, unit: Unit, **about: object) -> Figure:
        """A value that may turn out to be none."""
        usable = value is not None and math.isfinite(value)
        reason = None if usable else f"it is {value}"
        return cls.model_validate(
            {"value": value if usable else None, "unit": unit, "reason": reason, **about}
        )
