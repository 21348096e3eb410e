"""A recorded trace: when requests came, how large they were, and how long they took."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.arrivals import NO_SIZES, Floats
from bench.arrivals._seconds import Stamped
from bench.arrivals._source import Source
from bench.arrivals._times import Times
from bench.recordings import Fields

FAILED = 400
"""The least status of a request that was not answered."""


@dataclass
class LeftOut:
    """Lines of the file that are no arrivals of the trace."""

    lines: int = 0
    """In all."""
    others: int = 0
    """That were not asked for."""
    failed: int = 0
    strays: int = 0
    """Of another form."""
    first_stray: int | None = None

    def in_words(self) -> str:
        """Empty where nothing is left out."""
        parts = [
            (self.others, "are not those asked for (path, only)"),
            (self.failed, f"have no status below {FAILED} (failed: true keeps them)"),
            (self.strays, f"are of another form (the first: {self.first_stray})"),
        ]
        told = ", ".join(f"{number:,} {what}" for number, what in parts if number)
        return f"of {self.lines:,} lines, {told}" if told else ""


@dataclass(frozen=True)
class Recording:
    """One trace, by the time of arrival."""

    times: Floats
    """Seconds from the earliest on."""
    taken_as: str
    """In words."""
    left_out: LeftOut
    first_clock_s: float | None = None
    """Time of day of the earliest; ``None`` where it is not known. Below zero: the day before."""
    has_dates: bool = False
    """Whether the file says days and hours, and not just numbers."""
    is_guess: bool = False
    """Whether nothing says that the numbers are seconds."""
    sizes: Floats = field(default_factory=lambda: NO_SIZES)
    """Of the requests; empty where the file was not asked for them."""
    responses: Floats = field(default_factory=lambda: NO_SIZES)
    """Seconds, not a number where there was no answer; empty where the file has none."""
    are_ends: bool = False
    """Whether the times are those of lines of a log, of which it is not known how long before that
    their requests came."""
    has_batches: bool = False
    """Whether the file says in which batches requests were."""
    stamped: Stamped | None = None
    """Where times are whole seconds, and requests are placed within."""

    @property
    def length_s(self) -> float:
        """From the first arrival to the last."""
        return float(self.times[-1])

    def drawn(self, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """Times and sizes as they may have been: others every time where a second is all that is
        known."""
        return (self.times, self.sizes) if self.stamped is None else self.stamped.placed(rng)[:2]


def recording(
    source: Source, fields: Fields, is_log: bool, left_out: LeftOut, times: Times,
    responses: Floats, sizes: Floats,
) -> Recording:  # fmt: skip
    """In the order of arrival."""
    stamps, ends = times.since_first, fields.stamp == "end" and len(responses) > 0
    before = responses if ends else np.zeros(len(stamps))
    earliest = float((stamps - before).min())
    spread = source.spread or ("random" if is_log else "none")
    stamped = None
    if times.are_whole and spread != "none":
        by = np.argsort(stamps, kind="stable")
        stamped = Stamped(stamps[by] - earliest, before[by], of_some(sizes, by), spread == "even")
        arrivals, sizes, order = stamped.placed(np.random.default_rng(0))
        order = by[order]
    else:
        arrivals = stamps - before - earliest
        order = np.argsort(arrivals, kind="stable")
        arrivals, sizes = arrivals[order], of_some(sizes, order)
    said = [fields.title, times.taken_as]
    if ends:
        said.append(f"less {fields.response!r} ({fields.response_unit})")
    return Recording(
        arrivals,
        ", ".join(filter(None, said)),
        left_out,
        first_clock_s=None if times.clock_s is None else times.clock_s + earliest,
        has_dates=times.has_dates,
        is_guess=times.is_guess,
        sizes=sizes,
        responses=of_some(responses, order),
        are_ends=is_log and fields.stamp != "start" and not ends,
        has_batches=fields.has_batches,
        stamped=stamped,
    )


def of_some(values: Floats, chosen: npt.NDArray[Any]) -> Floats:
    """Those of ``values``, which may be none at all."""
    return values[chosen] if len(values) else values
