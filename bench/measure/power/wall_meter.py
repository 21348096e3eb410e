"""A meter at the plug: the CSV file that its logger writes, named by ``$BENCH_WALL_METER``.

UTF-8, or UTF-16 with a byte order mark. Comma, semicolon and tab separate; what a logger says of
itself may stand before the line that names the columns, which are found by the words in it:

- one with ``time``, ``timestamp``, ``datetime`` or ``epoch``, or one with ``date`` and one with
  ``time``. Dates are ISO 8601, day.month.year, or with slashes where a day above 12 tells which is
  which; or a count since 1970, in seconds, ms, µs or ns, which its size tells. A time without a zone
  is UTC where the column's name says ``utc``; else it is taken for this machine's or for UTC by which
  of them has the last row at the moment the file was last written;
- one with the unit ``W``, ``mW``, ``kW`` or ``watts``: ``watts``, ``power_w``, ``Power (mW)``; of several
  the one that is no minimum, maximum or peak. Numbers may have a decimal comma where that is clear.

Rows may be out of order; of several for one time the last counts. Rows that cannot be read are
left out. The file is read after the run, so the logger should write each row at once, and the
clock of the machine that it runs on should be set by the same source as this one's.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from bench.errors import InputError
from bench.measure.power import Forbidden, Measures, Reading, Scope, Source
from bench.measure.power._meter_log import Log, read_log

MEASURES: Measures = "all"
VARIABLE = "BENCH_WALL_METER"

_AHEAD_S = 2.0
"""A row is no later than now: more is no rounding of its time but another clock."""
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
            InputError: the columns are not there, not a single row can be read, or the logger's
                clock is ahead.
            OSError: the file cannot be read.
        """
        log = _read(self._path)
        common = {"rows-skipped"} if log.skipped else set()
        if abs(_offset_ns() - self._offset_ns) > _STEP_NS:
            common.add("clock-stepped")
        return [
            Reading(at_ns - self._offset_ns, power_w=log.watts[at_ns], codes=frozenset(common))
            for at_ns in sorted(log.watts)
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


def _read(path: Path) -> Log:
    log = read_log(path)
    ahead_s = (max(log.watts) - time.time_ns()) / 1e9
    if ahead_s > _AHEAD_S:
        raise InputError(
            f"the last row is from {ahead_s:.0f} s in the future: the logger's clock is ahead of "
            "this machine's, or its times are in another zone",
            where=str(path), todo="Set both clocks by the same source, and write times with a zone",
        )  # fmt: skip
    return log
