"""What blocks of calibration say of a live service: how long batches take.

Nothing of it comes from a block of load, so that a forecast is of what it has not seen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.observe import Observed
from bench.profile import Growth, Joined, better, growth_of, work_of
from bench.requests import Floats
from bench.simulate import ServiceTimes, correlation_length
from bench.validate.batches import REST, batches_of, in_batches, joined


def span_s(rows: Observed) -> float:
    """From the first request to the last answer."""
    return float(rows["finished"].max() - rows["arrival"].min()) / 1e9 if len(rows) else 0.0


@dataclass(frozen=True)
class Drift:
    """How far what a block shows holds for what lies beside it, found from blocks of calibration alone."""

    kept: float
    """Of what those around a block differ from all, so much is found in the block itself: 0 where the
    machine forgets from block to block, 1 where it changes slowly."""
    apart: Floats
    """What is left of each, without what differs by chance."""

    @classmethod
    def of(cls, factors: Floats, by_chance: Sequence[float]) -> Drift:
        """A straight line through each block's factor by the mean of the two around it."""
        around, own = (factors[:-2] + factors[2:]) / 2 - 1.0, factors[1:-1] - 1.0
        power = float(around @ around)
        kept = min(max(float(around @ own) / power, 0.0), 1.0) if power else 0.0
        left = own - kept * around
        seen = float(np.mean(left**2)) if len(left) else 0.0
        true = max(seen - float(np.mean(by_chance)), 0.0)
        return cls(kept, left * math.sqrt(true / seen) if seen else np.zeros(1))


class Calibration:
    """All blocks of it, and what they say together.

    Args:
        blocks: the rows of each, in the order of time.
        largest: requests in the largest batch that may come.
    """

    def __init__(self, blocks: Sequence[Observed], largest: int) -> None:
        each = [batches_of(rows) for rows in blocks]
        self.batches = joined(each)
        self._block = np.repeat(np.arange(len(each)), [len(one.size) for one in each])
        self._blocks = len(each)
        self._joined, self._growth = self._lines()
        took = self.batches.seconds / self._longer()
        self.rested = _rested(took / self._expected(took), self.batches.size, self.batches.rested)
        """A batch of a replica that has rested takes so many times as long."""
        took = took / np.where(self.batches.rested, self.rested, 1.0)
        self.factors = self._factors(took)
        """Of each block: what its batches took, in what all took that are like them."""
        self.drift = Drift.of(self.factors, self._by_chance(took))
        self._length_s = float(np.mean([span_s(rows) for rows in blocks]))
        self.steady = self._service_times(took / self.factors[self._block], largest)
        """As if the machine had been equally fast in all of them."""

    def drawn(self, before: int, length_s: float, rng: np.random.Generator) -> ServiceTimes:
        """Service times of what lay between two blocks.

        The machine is as fast as in these two, but for what a block differs by from those around it.
        Blocks differ by chance too: what of their variance is the machine's is what is drawn. And what
        lasts longer differs less, as the mean of several shorter stretches does.

        Args:
            before: the number of the first of the two.
            length_s: how long what lay between them lasted.
        """
        lasting = math.sqrt(min(self._length_s / length_s, 1.0)) if length_s else 1.0
        return self.steady.slowed(
            self._near(before) + lasting * float(rng.choice(self.drift.apart))
        )

    def expected(self, rows: Observed, before: int) -> Observed:
        """The same batches, served as long as calibration says on average; see :meth:`drawn`."""
        near, found = self._near(before), rows.copy()
        for places, rest in in_batches(rows):
            size = min(len(places), self.steady.largest)
            work = work_of(rows["size"][places].tolist(), self._joined)
            line = 1.0 + self.steady.growth[size] * (work - self.steady.work[size])
            warmth = self.rested if rest >= REST else 1.0
            found["service"][places] = round(near * line * warmth * self.steady.mean(size))
        return found

    def _near(self, before: int) -> float:
        """How slow the machine is between two blocks, as far as they tell."""
        around = float(np.mean(self.factors[before : before + 2]))
        return 1.0 + self.drift.kept * (around - 1.0)

    def _lines(self) -> tuple[Joined, dict[int, Growth]]:
        """How the requests of a batch add up, and by batch size how times follow that."""
        own = self.batches
        places = {size: np.flatnonzero(own.size == size) for size in np.unique(own.size).tolist()}
        sizes = {size: [own.sizes[k] for k in some] for size, some in places.items()}
        seconds = {size: own.seconds[some].tolist() for size, some in places.items()}
        how = better(sizes, seconds)
        return how, {
            size: growth_of([work_of(one, how) for one in sizes[size]], seconds[size])
            for size in places
        }

    def _longer(self) -> Floats:
        """Of each batch: what it takes by its work, in what one of average work takes."""
        own = zip(self.batches.size.tolist(), self.batches.sizes, strict=True)
        factors = [self._growth[size].factor(work_of(sizes, self._joined)) for size, sizes in own]
        found: Floats = np.maximum(np.array(factors), 1e-3)
        return found

    def _mean(self, took: Floats) -> Floats:
        """Of each batch: what all of its size took on average."""
        size = self.batches.size
        found: Floats = (np.bincount(size, took) / np.maximum(np.bincount(size), 1))[size]
        return found

    def _factors(self, took: Floats) -> Floats:
        """Of each block; 1 of one in which nothing was answered."""
        own, like = (
            np.bincount(self._block, one, self._blocks) for one in (took, self._mean(took))
        )
        found: Floats = np.where(like > 0, own / np.where(like > 0, like, 1.0), 1.0)
        return found

    def _expected(self, took: Floats) -> Floats:
        """Of each batch: the average of its size, on a machine as fast as in its block."""
        found: Floats = self._mean(took) * self._factors(took)[self._block]
        return found

    def _by_chance(self, took: Floats) -> list[float]:
        """The variance that the factor of each block has by chance."""
        ratios = took / self._mean(took)
        each = [ratios[self._block == block] for block in np.unique(self._block)]
        return [float(np.var(own)) / len(own) for own in each]

    def _service_times(self, took: Floats, largest: int) -> ServiceTimes:
        """As if the machine had never changed. Sizes that never came take as long as the next one."""
        known = [size for size in np.unique(self.batches.size).tolist() if size <= largest]
        steady = {size: took[self.batches.size == size].tolist() for size in known}
        length = max(correlation_length(np.array(values)) for values in steady.values())
        growth = {size: self._growth[size] for size in known}
        last = max(known)
        steady[largest], growth[largest] = steady[last], growth[last]
        times = ServiceTimes.of(steady, 0.0, length, growth, self._joined == "longest")
        return times._replace(rest=REST, rested=self.rested)


def _rested(ratios: Floats, size: npt.NDArray[np.int64], rested: npt.NDArray[np.bool_]) -> float:
    """How many times as long a batch takes that finds its replica rested, beyond what chance makes of it.

    The mean difference within each batch size, shrunk by the share of its square that is chance.

    Args:
        ratios: what batches took, in what is expected of their size and block.
    """
    both = [
        (ratios[(size == one) & ~rested], ratios[(size == one) & rested]) for one in np.unique(size)
    ]
    both = [(warm, cold) for warm, cold in both if len(warm) and len(cold)]
    if not both:
        return 1.0
    weights = np.array([len(warm) * len(cold) / (len(warm) + len(cold)) for warm, cold in both])
    apart = float(weights @ [cold.mean() - warm.mean() for warm, cold in both] / weights.sum())
    left = np.concatenate([part - part.mean() for pair in both for part in pair])
    by_chance = float(np.mean(left**2)) / float(weights.sum())
    return 1.0 + max(apart - by_chance / apart, 0.0) if apart > 0 else 1.0
