"""Recorded arrivals, replayed: a CSV file with one time a line."""

from __future__ import annotations

import csv
import functools
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import Field

from bench.arrivals import Arrivals
from bench.errors import InputError
from bench.record import Record


class Options(Record):
    """The file, and how it is replayed. All sources together follow it."""

    file: Path
    column: str = "time_s"
    """Seconds from any moment, not decreasing."""
    speed: float = Field(default=1.0, gt=0, le=1e6)
    """2 plays it twice as fast."""


def mean_rate(options: Options) -> float:
    times = read(options.file, options.column)
    return float(len(times) / max(times[-1], 1e-9) * options.speed)


def draw(options: Options, sources: int, length_s: float, rng: np.random.Generator) -> Arrivals:
    """The trace from its start, once; what lies beyond ``length_s`` is cut."""
    times = read(options.file, options.column) / options.speed
    times = times[times < length_s]
    return times, rng.integers(0, sources, len(times))


@functools.lru_cache(maxsize=8)
def read(path: Path, column: str) -> npt.NDArray[np.float64]:
    """The times in ``path``, from the first one on.

    Raises:
        InputError: no such file or column, a value that is no number, or times that go back.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file)
            if column not in (rows.fieldnames or ()):
                raise InputError(
                    f"the trace has no column {column!r}", where=str(path),
                    allowed=", ".join(rows.fieldnames or ("a header line",)),
                )  # fmt: skip
            values = [_number(row[column], path, line) for line, row in enumerate(rows, start=2)]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the trace cannot be read ({error})", where=str(path)) from error
    if not values:
        raise InputError("the trace holds no arrival", where=str(path))
    times = np.array(values)
    back = np.flatnonzero(np.diff(times) < 0)
    if back.size:
        raise InputError(
            "the trace goes back in time", where=f"{path}:{back[0] + 3}",
            allowed="times that do not decrease", todo="Sort the file by time",
        )  # fmt: skip
    since_first: npt.NDArray[np.float64] = times - times[0]
    return since_first


def _number(text: str | None, path: Path, line: int) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise InputError(
            f"{text!r} is not a time", where=f"{path}:{line}", allowed="a number of seconds"
        )
    return value
