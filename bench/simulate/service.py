"""Service times: draws from the measured distribution of each batch size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.profile import Profile
from bench.ticks import Ticks, tick_array

CORRELATED = 1.96
"""An autocorrelation beyond so many standard errors of none (1/√n) counts."""
LONGEST_BLOCK = 64


@dataclass(frozen=True)
class ServiceTimes:
    """Measured times of every batch size in one array, in the order they were measured.

    A size between measured ones has the times of the next larger one.
    """

    values: Ticks
    first: Ticks
    """By batch size: where its values begin."""
    count: Ticks
    """By batch size: how many there are."""
    block: int = 1
    """Consecutive batches of a server that are drawn from consecutive measured ones."""

    @classmethod
    def of(
        cls,
        seconds: Mapping[int, Sequence[float]],
        overhead_s: float = 0.0,
        block: int = 1,
    ) -> ServiceTimes:
        """Times in seconds by batch size, each with ``overhead_s`` of the serving loop added."""
        largest = max(seconds)
        first = np.zeros(largest + 1, np.int64)
        count = np.zeros(largest + 1, np.int64)
        parts: list[Ticks] = []
        filled = 0
        for size in sorted(seconds):
            part = tick_array(np.asarray(seconds[size], float) + overhead_s)
            parts.append(part)
            first[size], count[size] = filled, len(part)
            filled += len(part)
        for size in range(largest - 1, 0, -1):
            if not count[size]:
                first[size], count[size] = first[size + 1], count[size + 1]
        return cls(np.concatenate(parts), first, count, block)

    @property
    def largest(self) -> int:
        return len(self.count) - 1

    def of_size(self, size: int) -> Ticks:
        return self.values[self.first[size] : self.first[size] + self.count[size]]

    def mean(self, size: int) -> float:
        """Nanoseconds."""
        return float(self.of_size(size).mean())

    def slowed(self, factor: float) -> ServiceTimes:
        """The same distribution on a machine that takes ``factor`` times as long."""
        slower = np.rint(self.values * factor).astype(np.int64)
        return ServiceTimes(slower, self.first, self.count, self.block)


def service_times(profile: Profile, rng: np.random.Generator | None = None) -> ServiceTimes:
    """What a profile says a batch takes, the serving loop's own overhead included.

    With ``rng``, the batches measured are drawn anew, with replacement and in blocks as long as
    they depend on each other: one other profile that might as well have been measured (the
    bootstrap; Künsch, Annals of Statistics 17, 1989). A projected profile is
    multiplied by a factor as uncertain as the projection is. Replications that each draw their own
    carry the profile's uncertainty into every interval.
    """
    seconds = {size: np.asarray(values, float) for size, values in profile.service_s.items()}
    block = max(correlation_length(values) for values in seconds.values())
    if rng is not None:
        factor = np.exp(rng.normal(0.0, profile.log_error)) if profile.log_error else 1.0
        seconds = {size: factor * _resampled(seconds[size], block, rng) for size in sorted(seconds)}
    overhead = profile.loop_overhead_s or 0.0
    return ServiceTimes.of(
        {size: values.tolist() for size, values in seconds.items()}, overhead, block
    )


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
