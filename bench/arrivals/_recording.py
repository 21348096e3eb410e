"""The times of a recorded trace, read from its file, and what they were taken for."""

from __future__ import annotations

import csv
import functools
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from bench.arrivals import NO_SIZES, Floats
from bench.errors import InputError
from bench.files import LARGE, require_file
from bench.units import DAY_S, LARGEST_SIZE, LEAST_SIZE, format_seconds

Unit = Literal["s", "ms", "us", "ns"]
PER_SECOND: dict[Unit, float] = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
SINCE_1970 = (631_152_000.0, 4_102_444_800.0)
"""Seconds from 1970 to 1990 and to 2100: numbers in between count from 1970."""
LONGEST_S = 8 * DAY_S
"""Numbers without a unit that would last longer as seconds are hardly seconds."""
_NAMED = re.compile(
    r"(?:^|[^a-z0-9])(?:(s|secs?|seconds?)|(ms|msecs?|millis|milliseconds?)"
    r"|(us|µs|usecs?|micros|microseconds?)|(ns|nsecs?|nanos|nanoseconds?))[)\]]?$",
    re.IGNORECASE,
)
"""A unit at the end of a column's name: ``time_ms``, ``offset (us)``."""


@dataclass(frozen=True)
class Recording:
    """One trace."""

    times: Floats
    """Seconds from the first arrival on; not a number where there was none."""
    taken_as: str
    """In words."""
    first_clock_s: float | None = None
    """Time of day of the first arrival; ``None`` where it is not known."""
    has_dates: bool = False
    """Whether the file says days and hours, and not just numbers."""
    is_guess: bool = False
    """Whether nothing says that the numbers are seconds."""
    sizes: Floats = field(default_factory=lambda: NO_SIZES)
    """Of the requests; empty where the file was not asked for them."""

    @property
    def length_s(self) -> float:
        """From the first arrival to the last."""
        return float(self.times[-1])


def recording_of(path: Path, column: str, unit: Unit | None, sizes: str | None = None) -> Recording:
    """Read a trace, or remember it if it was read before and has not changed.

    Raises:
        InputError: no such file or column, a value that is no time or no size, times that go back, or
            numbers of which it cannot be told what they count.
    """
    try:
        require_file(path, LARGE)
        found = path.stat()
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    return _read(path, column, unit, sizes, (found.st_mtime_ns, found.st_size))


@functools.lru_cache(maxsize=8)
def _read(
    path: Path, column: str, unit: Unit | None, sizes: str | None, version: tuple[int, int]
) -> Recording:
    text = _column(path, column)
    numbers = pd.to_numeric(text, errors="coerce")
    if np.isfinite(numbers.to_numpy(dtype=float)).any():
        found = _of_numbers(path, column, numbers, unit)
    else:
        found = _of_dates(text)
    wrong = np.flatnonzero(~np.isfinite(found.times))
    if wrong.size:
        value = text.iloc[int(wrong[0])]
        raise InputError(
            f"{value!r} is not a time" if value.strip() else "the time is missing",
            where=f"{path}:{_line_of(path, int(wrong[0]))}",
            allowed="a number, or dates with times as 2023-11-16 18:15:46.68",
        )
    back = np.flatnonzero(np.diff(found.times) < 0)
    if back.size:
        raise InputError(
            "the trace goes back in time", where=f"{path}:{_line_of(path, int(back[0]) + 1)}",
            allowed="times that do not decrease", todo="Sort the file by time",
        )  # fmt: skip
    if found.is_guess and found.length_s > LONGEST_S:
        raise InputError(
            f"nothing says what the numbers in {column!r} count: as seconds they would last "
            f"{format_seconds(found.length_s)}, as milliseconds {format_seconds(found.length_s / 1e3)}",
            where=str(path), allowed="unit: s, ms, us or ns in workload.arrivals",
        )  # fmt: skip
    return found if sizes is None else replace(found, sizes=_sizes(path, sizes))


def _sizes(path: Path, column: str) -> Floats:
    sizes = pd.to_numeric(_column(path, column), errors="coerce").to_numpy(dtype=float)
    wrong = np.flatnonzero(~((sizes >= LEAST_SIZE) & (sizes <= LARGEST_SIZE)))
    if wrong.size:
        raise InputError(
            f"the column {column!r} holds what is no size",
            where=f"{path}:{_line_of(path, int(wrong[0]))}",
            allowed=f"numbers from {LEAST_SIZE:g} to {LARGEST_SIZE:g}, in the task's unit",
        )
    return sizes


def _column(path: Path, column: str) -> pd.Series[str]:
    options: dict[str, Any] = {"dtype": str, "keep_default_na": False, "index_col": False}
    try:
        header = list(pd.read_csv(path, nrows=0, index_col=False).columns)
        table = pd.read_csv(path, usecols=lambda name: name == column, **options)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    if column not in header:
        raise InputError(
            f"the trace has no column {column!r}", where=str(path),
            allowed=", ".join(header) or "a header line",
        )  # fmt: skip
    if table.empty:
        raise InputError("the trace holds no arrival", where=str(path))
    text: pd.Series[str] = table[column].fillna("")
    return text


def _unreadable(path: Path, error: Exception) -> InputError:
    return InputError(f"the trace cannot be read ({error})", where=str(path))


def _of_numbers(path: Path, column: str, numbers: pd.Series[float], unit: Unit | None) -> Recording:
    values = numbers.to_numpy()
    if values.dtype.kind != "i":  # whole numbers stay exact: nanoseconds since 1970 are long
        values = values.astype(float)
    first = float(values[0])
    by_size = _since_1970(first)
    named = _named(column)
    counts = unit or by_size or named or "s"
    times = (values - values[0]).astype(float) / PER_SECOND[counts]
    since_1970 = by_size == counts
    said = "as asked" if unit else "by their size" if by_size else f"by the name {column!r}"
    # Of a single moment, the unit does not matter.
    guess = not (unit or by_size or named) and bool(values[-1] != values[0])
    return Recording(
        times,
        f"numbers taken as {counts}{' since 1970' * since_1970} ({'a guess' if guess else said})",
        first_clock_s=first / PER_SECOND[counts] % DAY_S if since_1970 else None,
        is_guess=guess,
    )


def _since_1970(number: float) -> Unit | None:
    begin, end = SINCE_1970
    return next(
        (unit for unit, scale in PER_SECOND.items() if begin * scale <= number < end * scale), None
    )


def _named(column: str) -> Unit | None:
    match = _NAMED.search(column)
    if match is None:
        return None
    return next(unit for unit, found in zip(PER_SECOND, match.groups(), strict=True) if found)


def _of_dates(text: pd.Series[str]) -> Recording:
    """The clock is that of the first line, as it is written: with its offset from UTC, if it has one."""
    moments = pd.to_datetime(text, errors="coerce", format="ISO8601", utc=True)
    times = np.asarray((moments - moments.iloc[0]).dt.total_seconds(), np.float64)
    if not np.isfinite(times[0]):  # nor is any other, then
        return Recording(times, "dates")
    first = pd.Timestamp(text.iloc[0])
    return Recording(
        times,
        f"dates with times, from {text.iloc[0].strip()} on",
        first_clock_s=(first - first.normalize()).total_seconds(),
        has_dates=True,
    )


def _line_of(path: Path, row: int) -> int:
    """The line of the file on which a row stands: blank lines are none."""
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        reader = csv.reader(file)
        rows = (
            reader.line_num
            for cells in reader
            if any(cell.strip() for cell in cells[:1]) or len(cells) > 1
        )
        next(rows)  # the header
        for number, line in enumerate(rows):
            if number == row:
                return line
    return row + 2
