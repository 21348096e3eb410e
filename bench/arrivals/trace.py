"""Recorded arrivals: a CSV file with one request a line.

A trace is played as it was recorded, or resampled: windows of it are drawn with replacement, to
fill any length, and as many such sequences are laid over each other as the rate asked for needs
(of the last one, a share of the arrivals). It is never stretched: that would change how bursts
relate to service times.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from bench.arrivals import Chunk, Floats, Span
from bench.errors import InputError
from bench.files import LARGE, require_file
from bench.record import Record
from bench.units import PerSecond, ShortPeriod


class Options(Record):
    """The file, and how it is replayed. All sources together follow it."""

    file: Path
    column: str = Field(default="time_s", min_length=1)
    """Seconds from any moment, or dates with times; not decreasing."""
    rate: PerSecond | None = None
    """Resample to this mean rate; by default the trace is played once, from its start."""
    window: ShortPeriod = 60.0
    """Resampling draws windows of this length: bursts within one stay as they were."""


def mean_rate(options: Options, sources: int) -> float:
    return recorded_rate(options) if options.rate is None else options.rate


def recorded_rate(options: Options) -> float:
    """Requests/s of the trace as it was recorded."""
    times = read(options.file, options.column)
    return float(len(times) / max(times[-1], 1e-9))


def stream(options: Options, span: Span, rng: np.random.Generator) -> Iterator[Chunk]:
    times = read(options.file, options.column)
    if options.rate is None:
        inside = times[times < span.length_s]
        yield inside, span.pick(len(inside), rng)
    else:
        yield from span.cut(_resampled(options, times, span, rng))


def _resampled(
    options: Options, times: Floats, span: Span, rng: np.random.Generator
) -> Iterator[Chunk]:
    assert options.rate is not None  # noqa: S101
    window = min(options.window, float(times[-1]))
    copies = options.rate / recorded_rate(options)
    last_start = float(times[-1]) - window
    now = 0.0
    while now < span.length_s:
        parts: list[Floats] = []
        for copy in range(int(np.ceil(copies))):
            start = rng.uniform(0, last_start) if last_start > 0 else 0.0
            low, high = np.searchsorted(times, [start, start + window])
            part = times[low:high] - start
            if copies - copy < 1:
                part = part[rng.random(len(part)) < copies - copy]
            parts.append(part)
        found = np.sort(np.concatenate(parts)) + now
        if len(found):
            yield found, span.pick(len(found), rng)
        now += window


@functools.lru_cache(maxsize=8)
def read(path: Path, column: str) -> npt.NDArray[np.float64]:
    """The times in ``path``, in seconds from the first one on.

    Raises:
        InputError: no such file or column, a value that is no time, or times that go back.
    """
    try:
        require_file(path, LARGE)
        table = pd.read_csv(path, usecols=lambda name: name == column, dtype=str)
        header = list(pd.read_csv(path, nrows=0).columns)
    except (OSError, ValueError) as error:
        raise InputError(f"the trace cannot be read ({error})", where=str(path)) from error
    if column not in header:
        raise InputError(
            f"the trace has no column {column!r}", where=str(path),
            allowed=", ".join(header) or "a header line",
        )  # fmt: skip
    if table.empty:
        raise InputError("the trace holds no arrival", where=str(path))
    text = table[column]
    values = pd.to_numeric(text, errors="coerce").to_numpy(dtype=float)
    if not np.isfinite(values).any():
        moments = pd.to_datetime(text, errors="coerce", format="ISO8601", utc=True)
        values = (moments - moments.min()).dt.total_seconds().to_numpy(dtype=float)
    wrong = np.flatnonzero(~np.isfinite(values))
    if wrong.size:
        raise InputError(
            f"{text.iloc[int(wrong[0])]!r} is not a time", where=f"{path}:{wrong[0] + 2}",
            allowed="a number of seconds, or dates with times as 2023-11-16 18:15:46.68",
        )  # fmt: skip
    back = np.flatnonzero(np.diff(values) < 0)
    if back.size:
        raise InputError(
            "the trace goes back in time", where=f"{path}:{back[0] + 3}",
            allowed="times that do not decrease", todo="Sort the file by time",
        )  # fmt: skip
    since_first: npt.NDArray[np.float64] = values - values[0]
    return since_first
