"""The way of a request to a service and back: what of its response is neither waiting nor service."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from bench.observe import Observed
from bench.requests import Floats
from bench.ticks import FOREVER

ROUNDS, FAR = 3, 4.0
"""What is beyond so many times the median miss of a line is left out of the next one."""
ABOUT = 12
"""A rest is about as long as so many that are next shorter, and next longer."""


@dataclass(frozen=True)
class Way:
    """What of a response time is neither waiting nor service, in nanoseconds."""

    rest: Floats
    """Of requests that came alone: how long nothing had come or gone before; in order."""
    alone: Floats
    """What each of these met. Whoever asks, the network stack and the server's front fall asleep, too."""
    up: float
    """More, for each request that came just before with it, …"""
    down: float
    """… and for each answer that left just before with it."""
    response: float
    """Of a request alone, from when it is due to its answer."""

    def usual(self, rest: Floats) -> Floats:
        """What requests alone meet after such a rest: the median of those whose rest is about as long."""
        reach = np.arange(-ABOUT, ABOUT + 1)
        found: Floats = np.median(self.alone[self._near(rest, reach[None, :])], axis=1)
        return found

    def drawn(self, rest: Floats, rng: np.random.Generator) -> Floats:
        """What each may meet: what one of these met."""
        reach = rng.integers(-ABOUT, ABOUT + 1, len(rest))
        found: Floats = self.alone[self._near(rest, reach[:, None])[:, 0]]
        return found

    def _near(self, rest: Floats, reach: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """So many places beside the one that a rest would have among all."""
        last = len(self.rest) - 1
        place = np.clip(np.searchsorted(self.rest, rest), min(ABOUT, last), max(last - ABOUT, 0))
        found: npt.NDArray[np.int64] = np.clip(place[:, None] + reach, 0, last)
        return found

    def rests(self, arrival: npt.NDArray[np.int64]) -> Floats:
        """Before each of these requests, in order, if the one before it is answered as one alone is."""
        since = np.diff(arrival, prepend=arrival[:1] - FOREVER // 2).astype(float)
        return np.where(since > self.response, since - self.response, since)


def way_of(waves: Sequence[Observed]) -> Way:
    """From waves, each in its own table.

    A straight line from what requests alone meet after such a rest, by how many came with one before it and
    how many answers of its batch left before its own.
    """
    detour, before, behind, rests = [], [], [], []
    ended = -FOREVER // 2
    for rows in waves:
        place = np.arange(len(rows))
        rests.append(np.full(len(rows), float(rows["arrival"].min() - ended)))
        ended = int(rows["finished"].max())
        in_batch = np.array([np.sum(rows["in_batch"][:k] == rows["in_batch"][k]) for k in place])
        detour.append(rows["finished"] - rows["arrival"] - rows["queue"] - rows["service"])
        before.append(place)
        behind.append(in_batch)
    y, x1, x2, rest = (np.concatenate(one).astype(float) for one in (detour, before, behind, rests))
    single = np.repeat([len(rows) == 1 for rows in waves], [len(rows) for rows in waves])
    order = np.argsort(rest[single], kind="stable")
    took = [rows["finished"][0] - rows["arrival"][0] for rows in waves if len(rows) == 1]
    way = Way(rest[single][order], y[single][order], 0.0, 0.0, float(np.median(took)))
    more, columns = y - way.usual(rest), np.stack([x1, x2], axis=1)
    kept = np.ones(len(y), bool)
    for _ in range(ROUNDS):
        found, *_ = np.linalg.lstsq(columns[kept], more[kept], rcond=None)
        misses = np.abs(more - columns @ found)
        kept = misses <= FAR * np.median(misses)
    return replace(way, up=max(float(found[0]), 0.0), down=max(float(found[1]), 0.0))
