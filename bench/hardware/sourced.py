"""Values somebody can check: each with where it was seen, and when."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import Annotated, Generic, Self, TypeVar

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from bench.errors import shorten
from bench.record import Origin, Provenance, Record
from bench.units import (
    WRITTEN_BY_HAND,
    Usd,
    UsdPerGBMonth,
    UsdPerHour,
    Watts,
)

FRESH_DAYS = 90
"""A price seen so long ago is used with a warning."""
EXPIRED_DAYS = 365
"""One seen so long ago is not used."""
NEWEST = date(2026, 11, 25)
"""Nothing in the catalogue was seen later: a clock that stands before this day is wrong."""
MOST = 10**9
"""Dollars, or whatever else: a number beyond is a slip, and would overflow what is made of it."""


def _day(value: object) -> object:
    # Nothing else that pydantic takes for a date: a number, say, is a time stamp there.
    if isinstance(value, date):
        return value
    try:
        if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value):
            return date.fromisoformat(value)
    except ValueError:
        pass
    raise ValueError(f"{shorten(value)!r} is not a date that exists, written as '2026-11-25'")


Day = Annotated[date, BeforeValidator(_day)]


class Sourced(Record):
    """A value somebody can check: where it was seen, and when."""

    provenance: Provenance
    source: str = Field(min_length=1)
    as_of: Day | None = None
    """The day it was seen; ``None`` where the source bears no date."""
    note: str = ""

    @field_validator("as_of")
    @classmethod
    def _has_come(cls, value: date | None, info: ValidationInfo) -> date | None:
        today = date.today()
        if today < NEWEST:  # the clock is wrong, and no date is to blame: see age_warnings
            return value
        if info.context is WRITTEN_BY_HAND and value is not None and value > today:
            raise ValueError(f"{value} is in the future; give the day on which it was seen")
        return value

    def origin(self, subject: str) -> Origin:
        source = f"{self.source} ({self.note})" if self.note else self.source
        seen = self.as_of.isoformat() if self.as_of else None
        return Origin(subject=subject, provenance=self.provenance, source=source, as_of=seen)


P = TypeVar("P", Usd, UsdPerHour, UsdPerGBMonth)


class Price(Sourced, Generic[P]):
    """An amount of money, and the range where sources differ."""

    price: P
    low: P | None = None
    high: P | None = None

    @model_validator(mode="after")
    def _in_range(self) -> Self:
        low, high = self.bounds
        if not low <= self.price <= high:
            raise ValueError("the price must lie between low and high")
        if high > MOST:
            raise ValueError(f"${high:.3g} is no price of anything")
        return self

    @property
    def bounds(self) -> tuple[Decimal, Decimal]:
        """The lowest and the highest it may be; the price itself where nothing else is known."""
        low = self.price if self.low is None else self.low
        return low, self.price if self.high is None else self.high


# Classes with names of their own: what is generic has none that a worker process could find it by.
class HourPrice(Price[UsdPerHour]): ...


class PurchasePrice(Price[Usd]): ...


class StoragePrice(Price[UsdPerGBMonth]): ...


class PowerDraw(Sourced):
    """Electrical power of a whole machine: in service, or at rest, as the key says."""

    draw: Annotated[Watts, Field(le=1e6)]
    at_the_wall: bool = True
    """Whether the loss of its power supply is in it."""
