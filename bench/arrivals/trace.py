"""Recorded arrivals: a CSV file with one request a line.

A trace is played once, as it was recorded, or resampled: windows of it are drawn with replacement, to
fill any length, and as many such sequences are laid over each other as the rate asked for needs
(of the last one, a share of the arrivals). It is never stretched: that would change how bursts
relate to service times.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from bench.arrivals import CHUNK, Chunk, Floats, Span
from bench.arrivals._recording import Recording, Unit, recording_of
from bench.errors import InputError
from bench.record import Caveat, Record
from bench.units import DAY_S, PerSecond, ShortPeriod, format_percent, format_seconds

PART = 0.25
"""A trace that lasts less of the simulated time than this is said to."""


class Options(Record):
    """The file, and how it is replayed. All sources together follow it."""

    file: Path
    column: str = Field(default="time_s", min_length=1)
    """Numbers from any moment on, or dates with times; not decreasing."""
    unit: Unit | None = None
    """Of numbers. By default what their size says, where they count from 1970, or the end of the
    column's name (``time_ms``); otherwise seconds, and the verdict says so."""
    sizes: str | None = Field(default=None, min_length=1)
    """The column with the size of each request, in the task's own unit; by default they have none
    of their own."""
    time_of_day: bool | None = None
    """Whether midnight of the trace is midnight of the simulation, by default where it has dates.
    Otherwise its first arrival comes at the start of the active hours."""
    rate: PerSecond | None = None
    """Resample to this mean rate; by default the trace is played once."""
    window: ShortPeriod = 60.0
    """Resampling draws windows of this length: bursts within one stay as they were."""


def mean_rate(options: Options, sources: int) -> float:
    recorded = recorded_rate(options)  # a file that cannot be read is said at once
    return recorded if options.rate is None else options.rate


def recorded_rate(options: Options) -> float:
    """Requests/s of the trace as it was recorded; one of a single moment is taken to last a second."""
    found = _recording(options)
    return len(found.times) / (found.length_s or 1.0)


def requests(options: Options, span: Span) -> float:
    if options.rate is not None:
        return mean_rate(options, span.sources) * span.length_s
    return float(len(_played(options, span)[0]))


def repeats(options: Options) -> bool:
    return options.rate is not None


def description(options: Options) -> str:
    """What the file was taken for."""
    found = _recording(options)
    number = len(found.times)
    length = "at one moment"
    if found.length_s:
        length = f"over {format_seconds(found.length_s)} ({recorded_rate(options):.3g}/s)"
    requests = f"{number:,} request{'s' * (number > 1)}"
    return f"{options.file.name}, {requests} {length}, {found.taken_as}"


def stream(options: Options, span: Span, rng: np.random.Generator) -> Iterator[Chunk]:
    if options.rate is not None:
        yield from span.cut(_resampled(options, _recording(options), span, rng))
        return
    times, sizes = _played(options, span)
    for first in range(0, len(times), CHUNK):
        part = slice(first, first + CHUNK)
        yield Chunk(times[part], span.pick(len(times[part]), rng), sizes[part])


def caveats(options: Options, span: Span) -> Iterator[Caveat]:
    """What was guessed, what is not played, and in how much of the time nothing comes."""
    found = _recording(options)
    if found.is_guess:
        yield Caveat(
            kind="trace-unit",
            text=f"the times of the trace are taken to be seconds ({description(options)}); if they "
            "are not, say arrivals: {unit: ms}, or us, or ns",
        )
    if options.rate is None:
        yield from _left_out(options, found, span)
        yield from _empty(options, found, span)


def _left_out(options: Options, found: Recording, span: Span) -> Iterator[Caveat]:
    clock, total = _clock(options, found, span), len(found.times)
    days = round(span.length_s / span.day_s)
    late = int(np.count_nonzero(clock >= days * DAY_S))
    idle = total - late - len(_played(options, span)[0])
    if late:
        yield Caveat(
            kind="trace-left-out",
            text=f"{_of(late, total)} requests of the trace come after the {days} simulated "
            f"day{'s' * (days > 1)} and are left out: simulate: {{days: {int(clock[-1] // DAY_S) + 1}}} "
            "reaches the last",
        )
    if idle:
        yield Caveat(
            kind="trace-left-out",
            text=f"{_of(idle, total)} requests of the trace come outside of the active hours and are "
            "left out: say other hours as workload.active",
        )


def _empty(options: Options, found: Recording, span: Span) -> Iterator[Caveat]:
    """Machines are paid for while nothing comes: the days of a simulation stand for all days."""
    played, _ = _played(options, span)
    if not len(played):
        return
    days = round(span.length_s / span.day_s)
    empty = days - len(np.unique(played // span.day_s))
    if empty:
        nothing = f"{empty} of the {days} simulated days have no request of the trace"
    elif found.length_s < PART * span.length_s:
        lasts = format_seconds(found.length_s) if found.length_s else "a moment"
        nothing = (
            f"the trace lasts {lasts} of the {format_seconds(span.length_s)} that are simulated, and "
            "nothing comes in the rest"
        )
    else:
        return
    yield Caveat(
        kind="trace-is-short",
        text=f"{nothing}: costs per million count the machines of all the time; a rate resamples the "
        "trace to fill it",
    )


def _of(number: int, total: int) -> str:
    return f"{number:,} of {total:,} ({format_percent(number / total, 1)})"


def _clock(options: Options, found: Recording, span: Span) -> Floats:
    """Seconds since midnight of the first day."""
    keeps = options.time_of_day
    if keeps is None:
        keeps = found.has_dates
    if not keeps:
        return found.times + span.start_s
    if found.first_clock_s is None:
        raise InputError(
            "the trace has no time of day", where=f"{options.file}",
            allowed="dates with times, or numbers that count from 1970, with time_of_day: true",
        )  # fmt: skip
    return found.times + found.first_clock_s


def _played(options: Options, span: Span) -> tuple[Floats, Floats]:
    """Those in the active hours of the simulated days, in active time, and their sizes."""
    found = _recording(options)
    if span.day_s == float("inf"):  # without a clock
        times, sizes = found.times, found.sizes
    else:
        clock = _clock(options, found, span)
        times, sizes = span.active(clock), _of_some(found.sizes, span.is_active(clock))
    kept = times < span.length_s
    return times[kept], _of_some(sizes, kept)


def _of_some(sizes: Floats, kept: npt.NDArray[Any]) -> Floats:
    """Those of ``sizes``, which may be none at all."""
    return sizes[kept] if len(sizes) else sizes


def _resampled(
    options: Options, found: Recording, span: Span, rng: np.random.Generator
) -> Iterator[Chunk]:
    assert options.rate is not None  # noqa: S101
    times = found.times
    if not found.length_s:
        raise InputError(
            "the trace has arrivals at one moment only, and no rate to resample",
            where=f"{options.file}", todo="Leave the rate out to play it once",
        )  # fmt: skip
    window = min(options.window, found.length_s)
    # From the first arrival to the last, there is one gap fewer than arrivals.
    copies = options.rate * found.length_s / (len(times) - 1)
    last_start = found.length_s - window
    now = 0.0
    while now < span.length_s:
        parts, sizes = [], []
        for copy in range(int(np.ceil(copies))):
            start = rng.uniform(0, last_start) if last_start > 0 else 0.0
            low, high = np.searchsorted(times, [start, start + window])
            part, size = times[low:high] - start, found.sizes[low:high]
            if copies - copy < 1:
                kept = rng.random(len(part)) < copies - copy
                part, size = part[kept], _of_some(size, kept)
            parts.append(part)
            sizes.append(size)
        drawn = np.concatenate(parts)
        order = np.argsort(drawn, kind="stable")
        if len(drawn):
            size = _of_some(np.concatenate(sizes), order)
            yield Chunk(drawn[order] + now, span.pick(len(drawn), rng), size)
        now += window


def _recording(options: Options) -> Recording:
    return recording_of(options.file, options.column, options.unit, options.sizes)


def sizes(options: Options) -> Floats:
    """Of all requests recorded; empty where the file is not asked for them."""
    return _recording(options).sizes


def read(path: Path, column: str, unit: Unit | None = None) -> Floats:
    """The times in ``path``, in seconds from the first one on."""
    return recording_of(path, column, unit).times
