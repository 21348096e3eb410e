"""Arrival processes: one file each.

Each file has ``Options``, ``mean_rate(options, sources)`` (requests/s of all sources together while
they are active) and ``stream(options, span, rng)``, which yields chunks of arrivals, each sorted and
none before the last of the chunk before, so that a month needs no more memory than a minute.

A file may say more where its rate over the active hours does not say it all:
``requests(options, span)``, how many to expect in all; ``repeats(options)``, whether one day is like
the next; ``COUNTED``, whether the number is certain; ``caveats(options, span)``, what is left out;
``description(options)``, what a file was taken for;
``sizes(options)``, of the requests recorded, where there are some.

Times are seconds of *active time*: they run on from the active hours of one day to those of the
next. A process that depends on the time of day asks ``span.clock``. Where ``CLOSED`` is true, a
source waits for its answer before it asks again, and ``stream`` yields think times instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

CONTRACT = ("Options", "mean_rate", "stream")
Floats = npt.NDArray[np.float64]
NO_SIZES = np.zeros(0)


class Chunk(NamedTuple):
    """Arrivals that follow each other."""

    times: Floats
    """Seconds."""
    source: npt.NDArray[np.int32]
    """From 0 on."""
    size: Floats = NO_SIZES
    """Empty where the process has none of its own."""

    def upto(self, count: int) -> Chunk:
        """The first so many."""
        return Chunk(self.times[:count], self.source[:count], self.size[:count])


CHUNK = 1 << 15
"""Arrivals in a chunk, about: large enough for vectors, small enough for a processor's cache."""


@dataclass(frozen=True)
class Span:
    """Whose requests, and for how long."""

    sources: int
    length_s: float
    """Active time in all."""
    start_s: float = 0.0
    """Time of day at which the active hours begin."""
    day_s: float = float("inf")
    """Active time of one day."""

    def clock(self, active_s: Floats) -> Floats:
        """Seconds since midnight of the first day."""
        if self.day_s >= 86_400.0:
            return active_s + self.start_s if self.start_s else active_s
        day = np.floor(active_s / self.day_s)
        elapsed: Floats = self.start_s + active_s + day * (86_400.0 - self.day_s)
        return elapsed

    def active(self, clock_s: Floats) -> Floats:
        """Active time at those seconds since midnight of the first day that are active."""
        day, since_start = self._since_start(clock_s)
        found: Floats = (day * self.day_s + since_start)[self.is_active(clock_s)]
        return found

    def is_active(self, clock_s: Floats) -> npt.NDArray[np.bool_]:
        """Whether those seconds since midnight of the first day are."""
        _, since_start = self._since_start(clock_s)
        found: npt.NDArray[np.bool_] = (since_start >= 0) & (since_start < self.day_s)
        return found

    def _since_start(self, clock_s: Floats) -> tuple[Floats, Floats]:
        """The day, and the seconds since its active hours began."""
        day = np.floor(clock_s / 86_400.0)
        return day, clock_s - day * 86_400.0 - self.start_s

    def cut(self, chunks: Iterable[Chunk]) -> Iterator[Chunk]:
        """The chunks up to the end of the span."""
        for chunk in (Chunk(*one) for one in chunks):
            if len(chunk.times) and chunk.times[-1] >= self.length_s:
                inside = int(np.searchsorted(chunk.times, self.length_s))
                if inside:
                    yield chunk.upto(inside)
                return
            yield chunk

    def pick(self, count: int, rng: np.random.Generator) -> npt.NDArray[np.int32]:
        """A source for each of ``count`` requests, at random."""
        if self.sources == 1:
            return np.zeros(count, np.int32)
        return rng.integers(0, self.sources, count, dtype=np.int32)


def is_closed(module: ModuleType) -> bool:
    return bool(getattr(module, "CLOSED", False))


def draw(module: ModuleType, options: Any, span: Span, rng: np.random.Generator) -> Chunk:
    """All arrivals of a span at once."""
    chunks = [Chunk(*one) for one in module.stream(options, span, rng)]
    if not chunks:
        return Chunk(np.zeros(0), np.zeros(0, np.int32))
    return Chunk(*map(np.concatenate, zip(*chunks, strict=True)))
