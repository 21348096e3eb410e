"""Recorded arrivals: a table or a log with one request a line (see ``bench.recordings``).

A trace is played once, as it was recorded, or resampled: windows of it are drawn with replacement, to
fill any length, and as many such sequences are laid over each other as the rate asked for needs
(of the last one, a share of the arrivals). It is never stretched: that would change how bursts
relate to service times.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bench.arrivals import CHUNK, Chunk, Floats, Span
from bench.arrivals._reader import recording_of
from bench.arrivals._recording import Recording, of_some
from bench.arrivals._source import Source
from bench.errors import InputError
from bench.record import Caveat
from bench.recordings import Unit
from bench.units import DAY_S, PerSecond, ShortPeriod, format_percent, format_seconds

PART = 0.25
"""A trace that lasts less of the simulated time than this is said to."""


class Options(Source):
    """The file, and how it is replayed. All sources together follow it."""

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


def missing(options: Options) -> list[str]:
    """What could be known of the requests of a service, and does not stand in the file."""
    found = _recording(options)
    known = {
        "response times": len(found.responses) > 0,
        "sizes of requests": len(found.sizes) > 0,
        "batches, and how long requests waited for them": found.has_batches,
    }
    return [name for name, is_there in known.items() if not is_there]


def stream(options: Options, span: Span, rng: np.random.Generator) -> Iterator[Chunk]:
    if options.rate is not None:
        yield from span.cut(_resampled(options, _recording(options), span, rng))
        return
    times, sizes = _played(options, span, _recording(options).drawn(rng))
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
    yield from _of_the_log(found)
    if options.rate is None:
        yield from _left_out(options, found, span)
        yield from _empty(options, found, span)


def _of_the_log(found: Recording) -> Iterator[Caveat]:
    """What lines of it are no arrivals, and what is not known of the others."""
    if said := found.left_out.in_words():
        yield Caveat(kind="trace-lines", text=f"{said}: these are left out")
    if found.stamped is not None:
        evenly = "requests are spread evenly within them"
        drawn = "where requests come within them is drawn at random, anew in each replication"
        yield Caveat(
            kind="trace-seconds",
            text="the times of the trace are whole seconds: "
            f"{evenly if found.stamped.evenly else drawn}, and how they crowd in less than a second "
            "is not known (spread: none has all of a second come at once)",
        )
    if found.are_ends:
        yield Caveat(
            kind="trace-ends",
            text="the trace says no response times: requests are taken to come when their lines were "
            "written, in a log mostly when they were answered",
        )


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


def _clock(options: Options, found: Recording, span: Span, times: Floats | None = None) -> Floats:
    """Seconds since midnight of the first day.

    Of a log, that is the day of its first line: requests that came before are taken to come as it begins.
    """
    times = found.times if times is None else times
    keeps = options.time_of_day
    if keeps is None:
        keeps = found.has_dates
    if not keeps:
        return times + span.start_s
    if found.first_clock_s is None:
        raise InputError(
            "the trace has no time of day", where=f"{options.file}",
            allowed="dates with times, or numbers that count from 1970, with time_of_day: true",
        )  # fmt: skip
    return np.maximum(times + found.first_clock_s, 0.0)


def _played(
    options: Options, span: Span, drawn: tuple[Floats, Floats] | None = None
) -> tuple[Floats, Floats]:
    """Those in the active hours of the simulated days, in active time, and their sizes."""
    found = _recording(options)
    times, sizes = drawn or (found.times, found.sizes)
    if span.day_s != float("inf"):  # with a clock
        clock = _clock(options, found, span, times)
        times, sizes = span.active(clock), of_some(sizes, span.is_active(clock))
    kept = times < span.length_s
    return times[kept], of_some(sizes, kept)


def _resampled(
    options: Options, found: Recording, span: Span, rng: np.random.Generator
) -> Iterator[Chunk]:
    assert options.rate is not None  # noqa: S101
    times, all_sizes = found.drawn(rng)
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
            part, size = times[low:high] - start, all_sizes[low:high]
            if copies - copy < 1:
                kept = rng.random(len(part)) < copies - copy
                part, size = part[kept], of_some(size, kept)
            parts.append(part)
            sizes.append(size)
        drawn = np.concatenate(parts)
        order = np.argsort(drawn, kind="stable")
        if len(drawn):
            size = of_some(np.concatenate(sizes), order)
            yield Chunk(drawn[order] + now, span.pick(len(drawn), rng), size)
        now += window


def _recording(options: Options) -> Recording:
    """Remembered whatever is asked of how it is replayed."""
    return recording_of(Source(**{name: getattr(options, name) for name in Source.model_fields}))


def sizes(options: Options) -> Floats:
    """Of all requests recorded; empty where the file is not asked for them."""
    return _recording(options).sizes


def responses(options: Options) -> Floats:
    """Seconds that the requests took as they were recorded, in their order; empty where the file has none.

    Not a number where there was no answer."""
    return _recording(options).responses


def days(options: Options, span: Span) -> int | None:
    """In how many days all of it comes; ``None`` where it is resampled, to any number of them."""
    if options.rate is not None:
        return None
    return int(_clock(options, _recording(options), span)[-1] // DAY_S) + 1


def read(path: Path, column: str, unit: Unit | None = None) -> Floats:
    """The times in ``path``, in seconds from the first one on."""
    return recording_of(Source(file=path, column=column, unit=unit)).times
