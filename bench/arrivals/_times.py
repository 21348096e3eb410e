"""When requests came, as a file writes it: numbers that count from somewhere, or dates with times."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench.arrivals import Floats
from bench.errors import InputError
from bench.recordings import Unit
from bench.units import DAY_S, format_seconds

PER_SECOND: dict[Unit, float] = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
SINCE_1970 = (631_152_000.0, 4_102_444_800.0)
"""Seconds from 1970 to 1990 and to 2100: numbers in between count from 1970."""
LONGEST_S = 8 * DAY_S
"""Numbers without a unit that would last longer as seconds are hardly seconds."""
YEARS = (1700, 2200)
"""Of dates that fit into 64 bits of nanoseconds, with room to spare."""
_NAMED = re.compile(
    r"(?:^|[^a-z0-9])(?:(s|secs?|seconds?)|(ms|msecs?|millis|milliseconds?)"
    r"|(us|µs|usecs?|micros|microseconds?)|(ns|nsecs?|nanos|nanoseconds?))[)\]]?$",
    re.IGNORECASE,
)
"""A unit at the end of a column's name: ``time_ms``, ``offset (us)``."""
Values = npt.NDArray[Any]


@dataclass(frozen=True)
class Times:
    """All times of a file, in its order."""

    since_first: Floats
    """Seconds since the earliest."""
    taken_as: str
    """In words."""
    clock_s: float | None
    """Time of day of the earliest; ``None`` where it is not known."""
    has_dates: bool
    """Whether the file says days and hours, and not just numbers."""
    is_guess: bool
    """Whether nothing says that the numbers are seconds."""
    are_whole: bool
    """Whether all are whole seconds, and written without a fraction."""


class Column:
    """Takes the cells of a file chunk by chunk: numbers, or dates where the first chunk has no number."""

    def __init__(self, file: str, name: str, unit: Unit | None, may_go_back: bool) -> None:
        self._file, self._name, self._unit = file, name, unit
        self._may_go_back = may_go_back
        self.parts: list[Values] = []
        self._first = ""
        self._dates = False

    def add(self, cells: pd.Series[Any]) -> None:
        """Raises:
        InputError: a cell that is no time, or one that goes back in time where none may.
        """
        if not self.parts:
            self._dates = not np.isfinite(numbers_of(cells).astype(float)).any()
            self._first = text_of(cells.iloc[0])
        values, wrong = _moments(cells) if self._dates else _finite(numbers_of(cells))
        if wrong.any():
            place = int(np.argmax(wrong))
            text = text_of(cells.iloc[place])
            raise InputError(
                f"{text!r} is not a time" if text.strip() else "the time is missing",
                where=f"{self._file}:{cells.index[place]}",
                allowed="a number, or dates with times as 2023-11-16 18:15:46.68",
            )
        last = self.parts[-1][-1] if self.parts else values[0]
        back = np.flatnonzero(np.diff(values, prepend=last) < 0)
        if back.size and not self._may_go_back:
            raise InputError(
                "the trace goes back in time",
                where=f"{self._file}:{cells.index[int(back[0])]}",
                allowed="times that do not decrease", todo="Sort the file by time",
            )  # fmt: skip
        self.parts.append(values)

    def times(self) -> Times:
        """Of all cells, of which there is one at least.

        Raises:
            InputError: it cannot be told what the numbers count.
        """
        values = np.concatenate(self.parts)
        return self._of_dates(values) if self._dates else self._of_numbers(values)

    def _of_dates(self, values: Values) -> Times:
        """The clock is that of the first line, as it is written: with its offset from UTC, if any."""
        offset = pd.Timestamp(self._first).utcoffset()
        since_midnight = values.min() + (offset.total_seconds() * 1e9 if offset else 0)
        return Times(
            _since_first(values, PER_SECOND["ns"]),
            f"dates with times, from {self._first.strip()} on",
            clock_s=float(since_midnight % (DAY_S * 1e9) / 1e9),
            has_dates=True,
            is_guess=False,
            are_whole=self._are_whole(values, PER_SECOND["ns"]),
        )

    def _of_numbers(self, values: Values) -> Times:
        first = float(values[0])
        by_size, named = _since_1970(first), unit_in(self._name)
        counts = self._unit or by_size or named or "s"
        since_1970 = by_size == counts
        said = (
            "as asked"
            if self._unit
            else "by their size"
            if by_size
            else f"by the name {self._name!r}"
        )
        # Of a single moment, the unit does not matter.
        guess = not (self._unit or by_size or named) and bool((values != values[0]).any())
        found = Times(
            _since_first(values, PER_SECOND[counts]),
            f"numbers taken as {counts}{' since 1970' * since_1970} ({'a guess' if guess else said})",
            clock_s=float(values.min()) / PER_SECOND[counts] % DAY_S if since_1970 else None,
            has_dates=False,
            is_guess=guess,
            are_whole=self._are_whole(values, PER_SECOND[counts]),
        )
        if guess and (length_s := float(found.since_first.max())) > LONGEST_S:
            raise InputError(
                f"nothing says what the numbers in {self._name!r} count: as seconds they would last "
                f"{format_seconds(length_s)}, as milliseconds {format_seconds(length_s / 1e3)}",
                where=self._file, allowed="unit: s, ms, us or ns in workload.arrivals",
            )  # fmt: skip
        return found

    def _are_whole(self, values: Values, per_second: float) -> bool:
        return "." not in self._first and bool((values % per_second == 0).all())


def unit_in(name: str) -> Unit | None:
    """The unit that the name of a column ends with."""
    match = _NAMED.search(name)
    if match is None:
        return None
    return next(unit for unit, found in zip(PER_SECOND, match.groups(), strict=True) if found)


def require(
    wrong: npt.NDArray[np.bool_], cells: pd.Series[Any], file: str, said: str, allowed: str
) -> None:
    """Raises:
    InputError: one of the cells is wrong, on its line.
    """
    if wrong.any():
        raise InputError(
            said, where=f"{file}:{cells.index[int(np.argmax(wrong))]}", allowed=allowed
        )


def numbers_of(cells: pd.Series[Any]) -> Values:
    """Whole ones stay exact: nanoseconds since 1970 are long."""
    found = pd.to_numeric(cells, errors="coerce").to_numpy()
    return found if found.dtype.kind == "i" else found.astype(float)


def _finite(values: Values) -> tuple[Values, npt.NDArray[np.bool_]]:
    return values, ~np.isfinite(values)


def _moments(cells: pd.Series[Any]) -> tuple[Values, npt.NDArray[np.bool_]]:
    """Nanoseconds since 1970, and which cells are no date."""
    texts = [text_of(cell) for cell in cells]
    found = pd.Series(pd.to_datetime(texts, errors="coerce", format="ISO8601", utc=True))
    fits = found.dt.year.between(*YEARS).to_numpy()
    values = found.where(fits, pd.Timestamp(0, tz="UTC")).dt.as_unit("ns").astype("int64")
    return values.to_numpy(), ~fits


def text_of(cell: object) -> str:
    """Nothing is no text."""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    return "" if cell is None or cell != cell else str(cell)


def _since_first(values: Values, per_second: float) -> Floats:
    found: Floats = (values - values.min()).astype(float) / per_second
    return found


def _since_1970(number: float) -> Unit | None:
    begin, end = SINCE_1970
    return next(
        (unit for unit, scale in PER_SECOND.items() if begin * scale <= number < end * scale), None
    )
