"""Service times: draws from the measured distribution of each batch size and work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bench.profile import NO_GROWTH, Growth, Profile
from bench.requests import Floats
from bench.ticks import Ticks, tick_array

CORRELATED = 1.96
"""An autocorrelation beyond so many standard errors of none (1/√n) counts."""
LONGEST_BLOCK = 64


class ServiceTimes(NamedTuple):
    """Measured times of every batch size in one array, in the order they were measured.

    A size between measured ones has the times of the next larger one. Compiled code reads the same
    columns.
    """

    values: Ticks
    """Of batches of the work that ``work`` says."""
    first: Ticks
    """By batch size: where its values begin."""
    counts: Ticks
    """By batch size: how many there are."""
    work: Floats
    """By batch size: the requests' sizes together, on average."""
    growth: Floats
    """By batch size: the share by which a batch takes longer with each unit of work more. 0: no
    request takes longer than another."""
    padded: bool = False
    """Whether requests served together are each filled up to the largest; else their sizes add up."""
    block: int = 1
    """Consecutive batches of a server that are drawn from consecutive measured ones."""
    rested: float = 1.0
    """A server that has had nothing to do for long takes so many times as long for its next batch, …"""
    rest: int = 1
    """… and after so many ticks half of that more."""

    @classmethod
    def of(
        cls,
        seconds: Mapping[int, Sequence[float]],
        overhead_s: float = 0.0,
        block: int = 1,
        growth: Mapping[int, Growth] | None = None,
        padded: bool = False,
    ) -> ServiceTimes:
        """Times in seconds by batch size, each with ``overhead_s`` of the serving loop added.

        ``growth``: by the same batch sizes, how times follow the work of a batch.
        """
        largest = max(seconds)
        first, count = (np.zeros(largest + 1, np.int64) for _ in range(2))
        work, slope = (np.zeros(largest + 1) for _ in range(2))
        parts: list[Ticks] = []
        filled, known = 0, sorted(seconds)
        for below, size in zip([0, *known], known, strict=False):
            part = tick_array(np.asarray(seconds[size], float) + overhead_s)
            parts.append(part)
            line = (growth or {}).get(size, NO_GROWTH)
            for smaller in range(below + 1, size + 1):
                first[smaller], count[smaller] = filled, len(part)
                # As if it were filled up with others like them.
                share = 1.0 if padded else smaller / size
                work[smaller], slope[smaller] = line.work * share, line.rate / share
            filled += len(part)
        return cls(np.concatenate(parts), first, count, work, slope, padded, block)

    @property
    def largest(self) -> int:
        return len(self.counts) - 1

    def of_size(self, size: int) -> Ticks:
        return self.values[self.first[size] : self.first[size] + self.counts[size]]

    def mean(self, size: int) -> float:
        """Nanoseconds."""
        return float(self.of_size(size).mean())

    def slowed(self, factor: float) -> ServiceTimes:
        """The same distribution on a machine that takes ``factor`` times as long."""
        return self._replace(values=np.rint(self.values * factor).astype(np.int64))


def joined_work(padded: bool, work: float, size: float) -> float:
    """The work of a batch that so far has ``work``, with one more request of this size.

    Compiled for the fast method and called as it stands elsewhere, as is :func:`draw`.
    """
    return max(work, size) if padded else work + size


def draw(  # type: ignore[no-untyped-def]
    server, service: ServiceTimes, batch_size: int, luck: float, work: float, cold: float
) -> int:
    """Ticks that a batch takes: a measured time, in blocks if neighbours depend on each other.

    ``server`` keeps ``block_left``, ``block_offset`` and ``block_phase`` from batch to batch; ``cold`` is the
    share of its warmth that it has lost (:func:`cooled`).
    """
    count, first = service.counts[batch_size], service.first[batch_size]
    if service.block == 1:
        place = int(luck * count)
    else:
        if server.block_left == 0:
            server.block_left, server.block_offset, server.block_phase = service.block, 0, luck
        place = (int(server.block_phase * count) + server.block_offset) % count
        server.block_left -= 1
        server.block_offset += 1
    length = service.values[first + place]
    growth = service.growth[batch_size]
    if growth == 0.0 and service.rested == 1.0:
        return int(length)
    factor = 1.0 + growth * (work - service.work[batch_size])
    if service.rested != 1.0:
        factor *= 1.0 + (service.rested - 1.0) * cold
    return int(max(length * factor, 1.0))


def cooled(rest: int, half: int) -> float:
    """The share of its warmth that a server has lost after a rest; half of it after ``half`` ticks.

    Compiled for the fast method and called as it stands elsewhere.
    """
    return float(rest) / (float(rest) + half)


def service_times(profile: Profile, rng: np.random.Generator | None = None) -> ServiceTimes:
    """What a profile says a batch takes, the serving loop's own overhead included.

    With ``rng``, the batches measured are drawn anew, with replacement and in blocks as long as
    they depend on each other: one other profile that might as well have been measured (the
    bootstrap; Künsch, Annals of Statistics 17, 1989). How times grow with sizes is drawn within its
    standard error. A projected profile is
    multiplied by a factor as uncertain as the projection is. Replications that each draw their own
    carry the profile's uncertainty into every interval.
    """
    seconds = {size: np.asarray(values, float) for size, values in profile.service_s.items()}
    block = max(correlation_length(values) for values in seconds.values())
    if rng is not None:
        factor = np.exp(rng.normal(0.0, profile.log_error)) if profile.log_error else 1.0
        seconds = {size: factor * _resampled(seconds[size], block, rng) for size in sorted(seconds)}
    overhead = profile.loop_overhead_s or 0.0
    sizes = profile.sizes
    return ServiceTimes.of(
        {size: values.tolist() for size, values in seconds.items()},
        overhead,
        block,
        _growth(profile, overhead, rng) if sizes else None,
        sizes is not None and sizes.joined == "longest",
    )


def _growth(
    profile: Profile, overhead_s: float, rng: np.random.Generator | None
) -> dict[int, Growth]:
    """How times follow sizes: the same seconds for a unit of work, in what takes longer."""
    assert profile.sizes is not None  # noqa: S101
    luck = 0.0 if rng is None else float(rng.standard_normal())
    found = {}
    for size, line in profile.sizes.growth.items():
        mean = profile.mean_service_s(size)
        most = 1.0 / line.work if line.work else 0.0
        rate = min(max(line.rate + luck * line.rate_error, 0.0), most)
        found[size] = line.model_copy(update={"rate": rate * mean / (mean + overhead_s)})
    return found


def correlation_length(values: npt.NDArray[np.float64]) -> int:
    """How many consecutive values belong together: 1 where neighbours are independent.

    The first lag at which the autocorrelation of the ranks is within what independent values
    show, :data:`CORRELATED` / √n. Ranks, because one outlier would hide the rest.
    """
    n = len(values)
    if n < 3 * LONGEST_BLOCK:
        return 1
    ranks = np.argsort(np.argsort(values)).astype(float)
    ranks -= ranks.mean()
    power = float(ranks @ ranks)
    for lag in range(1, LONGEST_BLOCK):
        if float(ranks[lag:] @ ranks[:-lag]) / power < CORRELATED / n**0.5:
            return lag
    return LONGEST_BLOCK


def _resampled(
    values: npt.NDArray[np.float64], block: int, rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    starts = rng.integers(0, len(values), -(-len(values) // block))
    places = (starts[:, None] + np.arange(block)[None, :]).ravel()[: len(values)]
    drawn: npt.NDArray[np.float64] = values[places % len(values)]
    return drawn
