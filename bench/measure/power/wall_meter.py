"""A meter at the plug: the CSV file that its logger writes, named by ``$BENCH_WALL_METER``.

The first row names the columns; comma, semicolon and tab separate (with a semicolon or a tab, a
decimal comma is understood). Two columns are used, and found by the words in their names:

- one with ``time``, ``timestamp``, ``datetime``, ``date`` or ``epoch``: ISO 8601 with a zone
  (``2026-11-24T10:00:00+01:00``, ``…Z``), without one only where the column's name says ``utc``; or
  seconds since 1970, milliseconds where the name says ``ms``;
- one with the unit ``W``, ``mW``, ``kW`` or ``watts``: ``watts``, ``power_w``, ``Power (mW)``.

Rows may be out of order; of several for one time the last counts. Rows that cannot be read are
left out. The file is read after the run, so the logger should write each row at once, and the
clock of the machine that it runs on should be set by the same source as this one's.
"""

from __future__ import annotations

import csv
import math
import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.errors import InputError
from bench.measure.power import Forbidden, Measures, Reading, Scope, Source

MEASURES: Measures = "all"
VARIABLE = "BENCH_WALL_METER"

_TIMES = {"time", "timestamp", "datetime", "date", "epoch"}
_WATTS = {"w": 1.0, "watt": 1.0, "watts": 1.0, "mw": 1e-3, "kw": 1e3}
_EARLIEST_S = 946_684_800
"""The year 2000: a smaller number is not a time since 1970 but a count."""
_STEP_NS = 100_000_000
"""A larger change between the two clocks is no drift of theirs: somebody set the wall clock."""


class WallMeter:
    """The rows of a log on the clock of this process."""

    source: Source = "wall"
    scope: Scope = "system"

    def __init__(self, path: Path) -> None:
        self._path = path
        self.title = f"meter at the plug, logged in {path.name}"
        self._offset_ns = _offset_ns()

    def readings(self) -> Sequence[Reading]:
        """All rows that can be read, on ``time.perf_counter_ns``.

        Raises:
            InputError: the columns are not there, or not a single row can be read.
            OSError: the file cannot be read.
        """
        watts, skipped = _read(self._path)
        common = {"rows-skipped"} if skipped else set()
        if abs(_offset_ns() - self._offset_ns) > _STEP_NS:
            common.add("clock-stepped")
        return [
            Reading(at_ns - self._offset_ns, power_w=watts[at_ns], codes=frozenset(common))
            for at_ns in sorted(watts)
        ]


def find(path: Path | None = None) -> WallMeter | str:
    named = os.environ.get(VARIABLE)
    path = path or (Path(named) if named else None)
    if path is None:
        return f"set {VARIABLE} to the CSV file that the logger of a meter at the plug writes"
    try:
        _read(path)
    except PermissionError:
        return Forbidden(f"{path} may not be read")
    except InputError as error:
        return str(error)
    except OSError as error:
        return f"{path} cannot be read ({error.strerror})"
    return WallMeter(path)


def _offset_ns() -> int:
    """Wall clock less performance counter; the latter is read on both sides of the former."""
    before = time.perf_counter_ns()
    wall = time.time_ns()
    return wall - (before + time.perf_counter_ns()) // 2


@dataclass(frozen=True)
class _Columns:
    """Where a row has its time and its power, and how they are written."""

    time: int
    watts: int
    to_ns: Callable[[str], int]
    scale: float
    decimal: str

    def parse(self, row: Sequence[str]) -> tuple[int, float]:
        """Nanoseconds since 1970, and watts. Raises :class:`ValueError`."""
        watts = float(row[self.watts].replace(self.decimal, ".")) * self.scale
        if not math.isfinite(watts) or watts < 0:
            raise ValueError(f"{watts} W is no power drawn")
        return self.to_ns(row[self.time].strip().replace(self.decimal, ".")), watts


def _read(path: Path) -> tuple[dict[int, float], int]:
    """Watts by nanoseconds since 1970, and the number of rows that could not be read."""
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        head = file.readline()
        separator = max(",;\t", key=head.count)
        try:
            columns = _columns(next(csv.reader([head], delimiter=separator), []), separator, path)
            rows = [row for row in csv.reader(file, delimiter=separator) if row]
        except csv.Error as error:
            raise InputError(f"not a CSV file ({error})", where=str(path)) from error
    watts: dict[int, float] = {}
    skipped, fault = 0, "there is none"
    for row in rows:
        try:
            at_ns, value = columns.parse(row)
        except (ValueError, IndexError, OverflowError) as error:
            skipped, fault = skipped + 1, str(error)
        else:
            watts[at_ns] = value
    if not watts:
        raise InputError(f"no row after the first can be read ({fault})", where=str(path))
    return watts, skipped


def _columns(names: Sequence[str], separator: str, path: Path) -> _Columns:
    words = [set(re.findall(r"[a-z]+", name.lower())) for name in names]
    times = [n for n, found in enumerate(words) if found & _TIMES]
    watts = [n for n, found in enumerate(words) if found & _WATTS.keys()]
    if len(times) != 1 or len(watts) != 1:
        raise InputError(
            f"the columns {', '.join(map(repr, names)) or 'none'} do not tell time and power",
            where=f"{path}:1",
            allowed="one column of times (time, timestamp, epoch) and one of power with its unit "
            "(power_w, Power (mW), watts)",
            todo="Rename or remove columns",
        )
    unit = words[watts[0]] & _WATTS.keys()
    return _Columns(
        time=times[0],
        watts=watts[0],
        to_ns=_clock(words[times[0]]),
        scale=_WATTS[unit.pop()],
        decimal="." if separator == "," else ",",
    )


def _clock(words: set[str]) -> Callable[[str], int]:
    """How times are written, by the words in the name of their column."""
    unit_s = 1e-3 if "ms" in words else 1.0

    def to_ns(text: str) -> int:
        try:
            seconds = float(text) * unit_s
        except ValueError:
            return _iso_ns(text, utc="utc" in words)
        if not seconds > _EARLIEST_S:
            raise ValueError(f"{text!r} is not a time since 1970")
        return round(seconds * 1e9)

    return to_ns


def _iso_ns(text: str, *, utc: bool) -> int:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        if not utc:
            raise ValueError(
                f"{text!r} has no zone; write Z or +01:00, or name the column time_utc"
            )
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1e6) * 1000
