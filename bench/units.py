"""Quantities: SI base units inside, parsed and formatted only at the edges.

A quantity in a file is a string with its unit, ``"5 ms"`` or ``"$0.53/h"``. Each annotated
type below (``Seconds``, ``PerSecond``, …) is a ``float`` that pydantic reads from such a string.
A bare number is refused where a unit is needed: nobody can tell what it meant.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

HOUR_S: Final = 3600.0
DAY_S: Final = 86_400.0
MONTH_HOURS: Final = 730  # 365 days / 12, the month that cloud price lists use
MONTH_DAYS: Final = MONTH_HOURS * HOUR_S / DAY_S
YEAR_S: Final = 365 * DAY_S
LONGEST_S: Final = 10 * YEAR_S
"""Of one wait, limit or piece of work. Simulated time is whole nanoseconds in 64 bits, which end after
292 years: so long, and twenty such times still add up."""

_TIME = {
    "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": HOUR_S,
    "day": DAY_S, "days": DAY_S, "month": MONTH_HOURS * HOUR_S, "months": MONTH_HOURS * HOUR_S,
    "year": YEAR_S, "years": YEAR_S,
}  # fmt: skip
_BYTES = {
    "B": 1.0, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
    "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30,
}  # fmt: skip

UNITS: Final[dict[str, dict[str, float]]] = {
    "time": _TIME,
    "rate": {f"/{unit}": 1.0 / _TIME[unit] for unit in ("s", "min", "h", "day")},
    "size": _BYTES,
    "bandwidth": {
        "bit/s": 1.0, "kbit/s": 1e3, "Mbit/s": 1e6, "Gbit/s": 1e9,
        "kB/s": 8e3, "MB/s": 8e6, "GB/s": 8e9,
    },
    "memory bandwidth": {"GB/s": 1e9, "TB/s": 1e12},
    "computing rate": {
        "GFLOP/s": 1e9, "TFLOP/s": 1e12, "PFLOP/s": 1e15, "GOP/s": 1e9, "TOP/s": 1e12,
    },
    "work": {"MFLOP": 1e6, "GFLOP": 1e9, "TFLOP": 1e12, "PFLOP": 1e15},
    "power": {"mW": 1e-3, "W": 1.0, "kW": 1e3},
    "carbon intensity": {"g/kWh": 1.0, "kg/kWh": 1e3},
    "greenhouse gases": {"kg": 1.0, "t": 1e3},
    "energy": {"J": 1.0, "Wh": 3600.0, "kWh": 3.6e6},
    "fraction": {"%": 0.01, "": 1.0},
}  # fmt: skip

PRICE_UNITS: Final[dict[str, dict[str, Decimal]]] = {
    "money per time": {"/h": Decimal(1), "/month": 1 / Decimal(MONTH_HOURS)},
    "money per GB": {"/GB": Decimal(1)},
    "money per GB and month": {"/GB/month": Decimal(1)},
    "money per energy": {"/kWh": Decimal(1)},
    "money per power and month": {"/kW/month": Decimal(1)},
    "money per month": {"/month": Decimal(1)},
    "money": {"": Decimal(1)},
}

MOST_USD: Final = 1_000_000_000
"""A price of more is a slip of the pen; sums of such still have their cents."""

_NUMBER = r"(?P<number>[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)"
_QUANTITY = re.compile(rf"\s*{_NUMBER}\s*(?P<unit>\S*)\s*", re.ASCII)
_PRICE = re.compile(rf"\s*\$\s*{_NUMBER}\s*(?P<unit>\S*)\s*", re.ASCII)


def parse(text: object, dimension: str) -> float:
    """The value of ``text`` in the base unit of ``dimension`` (s, 1/s, bytes, bit/s, W, J, 1).

    Raises:
        ValueError: no unit, a unit of another dimension, or not a finite number.
    """
    units = UNITS[dimension]
    if isinstance(text, int | float) and not isinstance(text, bool) and "" in units:
        text = str(text)
    match = _QUANTITY.fullmatch(text) if isinstance(text, str) else None
    if match is None or match["unit"] not in units:
        raise ValueError(_complaint(text, dimension, [u for u in units if u]))
    value = float(match["number"]) * units[match["unit"]]
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is not a finite number")
    return value


def parse_price(text: object, dimension: str) -> Decimal:
    """US dollars per base unit of ``dimension`` (h, GB, GB·month, kWh, or none), exactly.

    Raises:
        ValueError: no ``$``, or a unit of another dimension.
    """
    units = PRICE_UNITS[dimension]
    match = _PRICE.fullmatch(text) if isinstance(text, str) else None
    if match is None or match["unit"] not in units:
        raise ValueError(_complaint(text, dimension, [f"${{number}}{u}" for u in units]))
    try:
        number = Decimal(match["number"])
    except ArithmeticError:  # an exponent beyond all bounds
        number = Decimal("Infinity")
    if abs(number) > MOST_USD:
        raise ValueError(f"{str(text)[:40]!r} is more than ${MOST_USD:,} (a billion)")
    return number * units[match["unit"]]


def _complaint(text: object, dimension: str, units: list[str]) -> str:
    example = "$0.53/h" if dimension.startswith("money") else f"5 {units[0]}"
    return (
        f"{str(text)[:40]!r} is not a {dimension} with its unit "
        f"(allowed units: {', '.join(units)}; for example {example!r})"
    )


def parse_clock(text: object) -> float:
    """Seconds after midnight of a time of day, ``"06:30"``.

    Raises:
        ValueError: not ``HH:MM`` between 00:00 and 24:00.
    """
    match = re.fullmatch(r"(\d{2}):(\d{2})", text) if isinstance(text, str) else None
    if match is None or int(match[2]) > 59 or int(match[1]) * 60 + int(match[2]) > 24 * 60:
        raise ValueError(f"{str(text)[:40]!r} is not a time of day from 00:00 to 24:00, as '06:30'")
    return int(match[1]) * HOUR_S + int(match[2]) * 60.0


# Validation context of values that a person wrote: there, a quantity needs its unit. Without it,
# a record is being read back from JSON and already holds base units.
WRITTEN_BY_HAND: Final = {"written_by_hand": True}


def _reader(parse_text: Callable[[object], Any], stored: type) -> Any:
    def read(value: object, info: ValidationInfo) -> Any:
        if info.context is WRITTEN_BY_HAND:
            return parse_text(value)
        try:
            number = stored(value)
        except (TypeError, ArithmeticError, ValueError):
            number = math.nan
        if not math.isfinite(number):
            raise ValueError(f"{str(value)[:40]!r} is not a number")
        return number

    return BeforeValidator(read, json_schema_input_type=str)


def _quantity(dimension: str) -> Any:
    return _reader(lambda value: parse(value, dimension), float)


def _price(dimension: str) -> Any:
    return _reader(lambda value: parse_price(value, dimension), Decimal)


def _within(least: float, most: float, allowed: str, why: str) -> Any:
    """Bounds that are said with their reason."""

    def check(value: float) -> float:
        if not least <= value <= most:
            raise ValueError(f"is out of bounds (allowed: {allowed}, since {why})")
        return value

    return AfterValidator(check)


_TICKS = "simulated time is counted in nanoseconds, in 64 bits"
_CHARGE = "a charge is known to about 16 digits"
_EVENTS = "the simulation goes through such events one by one"
_upto_years = _within(0, LONGEST_S, "up to 10 years", _TICKS)
Seconds = Annotated[float, Field(ge=0), _upto_years, _quantity("time")]
PositiveSeconds = Annotated[
    float, Field(gt=0), _within(1e-9, LONGEST_S, "1 ns to 10 years", _TICKS), _quantity("time")
]
SecondsOfADay = Annotated[
    float, Field(ge=0), _within(0, DAY_S, "up to a day", "it is drawn for every request"),
    _quantity("time"),
]  # fmt: skip
"""A delay on the way, which may come several times over."""
Period = Annotated[
    float, Field(gt=0), _within(1, LONGEST_S, "1 s to 10 years", _EVENTS), _quantity("time")
]
"""Between two events that come again and again: decisions, checkpoints."""
ShortPeriod = Annotated[
    float, Field(gt=0), _within(0.1, LONGEST_S, "0.1 s to 10 years", _EVENTS), _quantity("time")
]
MeanTime = Annotated[
    float, Field(gt=0), _within(1, 1e4 * YEAR_S, "1 s to 10,000 years", _EVENTS), _quantity("time")
]
"""Between two events that may never come, such as failures: data sheets give centuries."""
PerSecond = Annotated[
    float, Field(gt=0), _within(1e-10, 1e9, "once in 300 years to 1e9/s", _TICKS),
    _quantity("rate"),
]  # fmt: skip
PerSecondOrNone = Annotated[
    float, Field(ge=0), _within(0, 1e9, "up to 1e9/s", _TICKS), _quantity("rate")
]
BitsPerSecond = Annotated[
    float, Field(gt=0), _within(1, 1e15, "1 bit/s to 1e6 Gbit/s", _TICKS), _quantity("bandwidth")
]
Watts = Annotated[
    float, Field(gt=0), _within(1e-6, 1e9, "a microwatt to a gigawatt", _CHARGE), _quantity("power")
]
Joules = Annotated[
    float, Field(gt=0), _within(1e-6, 1e12, "a microjoule to 277 MWh", _CHARGE), _quantity("energy")
]
GramsPerKWh = Annotated[float, Field(ge=0), _quantity("carbon intensity")]
Kilograms = Annotated[float, Field(gt=0), _quantity("greenhouse gases")]
Bytes = Annotated[float, Field(gt=0, le=1e15), _quantity("size")]
BytesPerSecond = Annotated[float, Field(gt=0), _quantity("memory bandwidth")]
LEAST_SIZE: Final = 1e-6
LARGEST_SIZE: Final = 1e9
Size = Annotated[float, Field(ge=LEAST_SIZE, le=LARGEST_SIZE)]
"""Of a request, in whatever unit its task has: a bare number, as units of tasks are no quantities."""
Operations = Annotated[float, Field(gt=0), _quantity("work")]
OpsPerSecond = Annotated[float, Field(gt=0), _quantity("computing rate")]
Fraction = Annotated[float, Field(ge=0, le=1), _quantity("fraction")]
Share = Annotated[float, Field(gt=0, le=1000), _quantity("fraction")]
"""A fraction that may be more than the whole."""
ClockTime = Annotated[float, Field(ge=0, le=DAY_S), _reader(parse_clock, float)]
UsdPerHour = Annotated[Decimal, Field(ge=0), _price("money per time")]
UsdPerGB = Annotated[Decimal, Field(ge=0), _price("money per GB")]
UsdPerGBMonth = Annotated[Decimal, Field(ge=0), _price("money per GB and month")]
UsdPerKWh = Annotated[Decimal, Field(ge=0), _price("money per energy")]
UsdPerKWMonth = Annotated[Decimal, Field(ge=0), _price("money per power and month")]
UsdPerMonth = Annotated[Decimal, Field(ge=0), _price("money per month")]
Usd = Annotated[Decimal, Field(ge=0), _price("money")]


def format_seconds(value: float | None) -> str:
    """A duration for people: three significant digits in the unit that fits."""
    if value is None:
        return "–"
    for unit, size in (("days", 2 * DAY_S), ("h", 2 * HOUR_S), ("min", 120.0), ("s", 1.0)):
        if abs(value) >= size:
            return f"{value / _TIME[unit]:.3g} {unit}"
    if abs(value) >= 1e-3 or value == 0:
        return f"{value * 1e3:.3g} ms"
    return f"{value * 1e6:.3g} µs"


def format_usd(value: float | Decimal | None) -> str:
    """An amount of money for people: cents above a dollar, three digits below."""
    if value is None:
        return "–"
    amount = float(value)
    return f"${amount:,.2f}" if abs(amount) >= 1 or amount == 0 else f"${amount:.3g}"


def format_percent(value: float | None, digits: int = 2) -> str:
    """A fraction as per cent."""
    return "–" if value is None else f"{value * 100:.{digits}f} %"


def format_chance(share: float) -> str:
    """A probability that was counted over draws, which never show certainty."""
    if not 0.01 <= share <= 0.99:
        return "< 1 %" if share < 0.01 else "> 99 %"
    return format_percent(share, 0)


def format_clock(seconds: float) -> str:
    """A time of day, with the day it falls on where that is not the first."""
    day, rest = divmod(int(seconds), int(DAY_S))
    return f"{rest // 3600:02d}:{rest % 3600 // 60:02d}" + (f" (day {day + 1})" if day else "")
