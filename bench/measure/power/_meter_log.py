"""The CSV files that loggers of meters write: their text, their columns, their times and numbers.

Everything here is decided from the file itself, and what could mean two things is refused.
"""

from __future__ import annotations

import codecs
import csv
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.errors import InputError
from bench.files import LARGE, read_bytes

HEAD_LINES = 30
"""The names of the columns stand in the first lines, behind what a logger says of itself."""
_CLOCKS = {"time", "timestamp", "datetime", "epoch", "uhrzeit", "zeit", "zeitstempel", "hora"}
_DATES = {"date", "datum", "fecha", "day"}
_WATTS = {"w": 1.0, "watt": 1.0, "watts": 1.0, "mw": 1e-3, "kw": 1e3}
_OF_ANOTHER = {"min", "max", "minimum", "maximum", "peak", "limit", "apparent", "reactive"}
"""A column of watts with such a word is beside the one of the power drawn."""
_SINCE_1970 = ((946_684_800, 4_102_444_800), (1, 1e-3, 1e-6, 1e-9))
"""From 2000 to 2100, in seconds, ms, µs or ns: none of the four can be taken for another."""
_NEAR_S = 120.0
"""A row is written at once: the last one is from when the file was last changed."""
_WRITTEN = re.compile(
    r"(?P<a>\d{1,4})(?P<mark>[-/.])(?P<b>\d{1,2})(?P=mark)(?P<c>\d{1,4})[T ,]+"
    r"(?P<h>\d{1,2}):(?P<m>\d{2})(:(?P<s>\d{2})([.,](?P<f>\d{1,9}))?)?"
    r"\s*(?P<half>[AaPp][Mm])?\s*(?P<zone>Z|UTC|GMT|[+-]\d{2}:?\d{2})?"
)

Row = Sequence[str]


@dataclass(frozen=True)
class Log:
    """Rows that could be read, by time; the number of those that could not."""

    watts: dict[int, float]
    """By nanoseconds since 1970."""
    skipped: int


def read_log(path: Path) -> Log:
    """The rows of a meter's log.

    Raises:
        InputError: the columns are not there, or not a single row can be read.
        OSError: the file cannot be read.
    """
    lines = _text(read_bytes(path, LARGE)).splitlines()
    columns, rows = _table(lines, path)
    number = _number_reader([columns.power_of(row) for row in rows], columns.separator)
    moment = _moment_reader(
        [columns.time_of(row) for row in rows], columns.utc, path.stat().st_mtime
    )
    watts: dict[int, float] = {}
    skipped, fault = 0, "there is none"
    for row in rows:
        try:
            value = number(columns.power_of(row)) * columns.scale
            if not math.isfinite(value) or value < 0:
                raise ValueError(f"{value} W is no power drawn")
            watts[moment(columns.time_of(row))] = value
        except (ValueError, OverflowError) as error:
            skipped, fault = skipped + 1, str(error)
    if not watts:
        raise InputError(f"no row after the first can be read ({fault})", where=str(path))
    return Log(watts, skipped)


def _text(content: bytes) -> str:
    """UTF-8, or UTF-16 with a byte order mark; the last character may be half written."""
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    name = "utf-16" if wide else "utf-8-sig"
    return codecs.getincrementaldecoder(name)(errors="replace").decode(content, final=False)


@dataclass(frozen=True)
class _Columns:
    """Where a row has its time and its power."""

    separator: str
    times: tuple[int, ...]
    """One column, or that of the date and that of the time of day."""
    utc: bool
    power: int
    scale: float
    """Watts in the unit of the column."""

    def time_of(self, row: Row) -> str:
        """Empty where the row is too short."""
        whole = len(row) > max(self.times)
        return " ".join(row[place].strip() for place in self.times) if whole else ""

    def power_of(self, row: Row) -> str:
        return row[self.power].strip() if len(row) > self.power else ""


def _table(lines: Sequence[str], path: Path) -> tuple[_Columns, list[Row]]:
    """The columns, by the first line that names them, and the rows behind it."""
    separator, fault = None, None
    for place, line in enumerate(lines[:HEAD_LINES]):
        if match := re.fullmatch(r'"?sep=(.)"?', line.strip()):
            separator = match[1]
            continue
        found = separator or max(",;\t", key=line.count)
        try:
            names = next(csv.reader([line], delimiter=found), [])
            columns = _columns(names, found, f"{path}:{place + 1}")
            behind = csv.reader(lines[place + 1 :], delimiter=found)
            return columns, [row for row in behind if any(cell.strip() for cell in row)]
        except csv.Error as error:
            raise InputError(f"not a CSV file ({error})", where=str(path)) from error
        except InputError as error:
            if fault is None and not line.lstrip().startswith("#") and line.strip():
                fault = error
    if fault is None:
        _columns([], ",", f"{path}:1")
        raise AssertionError("no names are always refused")
    raise fault


def _columns(names: Sequence[str], separator: str, where: str) -> _Columns:
    words = [set(re.findall(r"[a-z]+", name.lower())) for name in names]
    times = [n for n, found in enumerate(words) if found & (_CLOCKS | _DATES)]
    if len(times) == 2:  # a date, and a time of day
        dates = [n for n in times if words[n] & _DATES and not words[n] & _CLOCKS]
        times = [*dates, *(n for n in times if n not in dates)] if len(dates) == 1 else []
    watts = [n for n, found in enumerate(words) if found & _WATTS.keys()]
    drawn = [n for n in watts if not words[n] & _OF_ANOTHER] if len(watts) > 1 else watts
    if len(times) not in (1, 2) or len(drawn) != 1:
        raise InputError(
            f"the columns {', '.join(map(repr, names)) or 'none'} do not tell time and power",
            where=where,
            allowed="one column of times (time, timestamp, epoch), or one of dates and one of times, "
            "and one of power with its unit (power_w, Power (mW), watts)",
            todo="Rename or remove columns",
        )
    unit = words[drawn[0]] & _WATTS.keys()
    return _Columns(
        separator=separator,
        times=tuple(times),
        utc=any("utc" in words[n] for n in times),
        power=drawn[0],
        scale=_WATTS[unit.pop()],
    )


def _number_reader(texts: Iterable[str], separator: str) -> Callable[[str], float]:
    """How numbers are written: by those in the file that can be read in one way only.

    ``23,5`` and ``1.023,5`` have a decimal comma, ``1,023.5`` and ``23.5`` a point. ``1,023`` tells
    nothing; where a semicolon or a tab separates, a comma is taken as decimal.
    """
    comma = point = False
    for text in texts:
        bare = text.lstrip("+-")
        comma |= bool(re.fullmatch(r"\d+,(\d{1,2}|\d{4,})|[1-9]\d{0,2}(\.\d{3})+,\d+|0,\d+", bare))
        point |= bool(
            re.fullmatch(r"\d+\.(\d{1,2}|\d{4,})|[1-9]\d{0,2}(,\d{3})+\.\d+|0\.\d+", bare)
        )

    def number(text: str) -> float:
        if comma and point and "," in text:
            raise ValueError(f"{text!r} has a comma, and other rows a point")
        if comma and not point:
            return float(text.replace(".", "").replace(",", "."))
        if "," in text and not point:
            if separator == ",":
                raise ValueError(f"{text!r} may be a thousand or a fraction")
            return float(text.replace(",", "."))
        return float(text.replace(",", "") if _grouped(text) else text)

    return number


def _grouped(text: str) -> bool:
    return bool(re.fullmatch(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?", text))


def _moment_reader(texts: Sequence[str], utc: bool, changed_s: float) -> Callable[[str], int]:
    """How times are written → nanoseconds since 1970.

    ``utc``: times without a zone are UTC. ``changed_s``: when the file was last written.
    """
    written = [found for text in texts if (found := _WRITTEN.fullmatch(text))]
    day_first = _day_first(written)
    local = None if utc else _zone_of(written, day_first, changed_s)

    def moment(text: str) -> int:
        found = _WRITTEN.fullmatch(text)
        if not found:
            return _counted(text)
        naive, zoned = _parts(found, day_first)
        if zoned is not None:
            return zoned
        if utc:
            return _ns(naive.replace(tzinfo=UTC))
        if local is None:
            raise ValueError(
                f"{text!r} has no zone; write Z or +01:00, or name the column time_utc"
            )
        return _ns(local(naive))

    return moment


def _counted(text: str) -> int:
    """A number since 1970, in a unit that its size tells."""
    try:
        count = float(text.replace(",", "."))
    except ValueError:
        return _ns(_iso(text))
    (earliest, latest), units = _SINCE_1970
    for unit in units:
        if earliest <= count * unit < latest:
            # Whole numbers keep their last digit; a float holds a time to a quarter of a µs.
            return int(text) * round(1e9 * unit) if text.isdecimal() else round(count * unit * 1e9)
    raise ValueError(f"{text!r} is not a time since 1970")


def _iso(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no zone; write Z or +01:00, or name the column time_utc")
    return moment


def _day_first(written: Sequence[re.Match[str]]) -> bool | None:
    """Whether dates with their year last begin with the day; ``None`` where nothing tells."""
    for found in written:
        if len(found["a"]) < 4:
            if found["mark"] == "." or int(found["a"]) > 12:
                return True
            if int(found["b"]) > 12:
                return False
    return None


def _parts(found: re.Match[str], day_first: bool | None) -> tuple[datetime, int | None]:
    """The moment as it is written, and as nanoseconds since 1970 where it says its zone."""
    a, b, c = (int(found[name]) for name in "abc")
    if len(found["a"]) == 4:
        year, month, day = a, b, c
    elif day_first is None:
        raise ValueError(f"{found[0]!r} may begin with the day or with the month; write 2026-11-25")
    else:
        year, month, day = (c, b, a) if day_first else (c, a, b)
    hour = int(found["h"])
    if found["half"]:
        hour = hour % 12 + (12 if found["half"].lower() == "pm" else 0)
    micro = round(float(f"0.{found['f'] or 0}") * 1e6)
    naive = datetime(year, month, day, hour, int(found["m"]), int(found["s"] or 0))
    naive += timedelta(microseconds=micro)
    zone = found["zone"]
    if zone is None:
        return naive, None
    sign = datetime.strptime("+0000" if zone[0] not in "+-" else zone.replace(":", ""), "%z")
    return naive, _ns(naive.replace(tzinfo=sign.tzinfo))


def _zone_of(
    written: Sequence[re.Match[str]], day_first: bool | None, changed_s: float
) -> Callable[[datetime], datetime] | None:
    """UTC or this machine's own zone, whichever has the last row when the file was written."""
    try:
        last = max(_parts(found, day_first)[0] for found in written if not found["zone"])
    except ValueError:  # none, or none that can be read
        return None

    def as_utc(naive: datetime) -> datetime:
        return naive.replace(tzinfo=UTC)

    def as_local(naive: datetime) -> datetime:
        return naive.astimezone()

    near = [
        zone for zone in (as_local, as_utc) if abs(zone(last).timestamp() - changed_s) < _NEAR_S
    ]
    return near[0] if near else None


def _ns(moment: datetime) -> int:
    return round(moment.timestamp() * 1e6) * 1000
