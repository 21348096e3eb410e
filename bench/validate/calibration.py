"""What blocks of calibration say of a live service: how long batches take.

Nothing of it comes from a block of load, so that a forecast is of what it has not seen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.observe import Observed
from bench.profile import Growth, Joined, better, growth_of, work_of
from bench.requests import Floats
from bench.simulate import ServiceTimes, cooled, correlation_length
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
        self.rested = _rested(took / self._expected(took), self.batches.size, self.batches.cooled)
        """A batch of a replica that has rested for long takes so many times as long."""
        took = took / self._colder(self.batches.cooled)
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

    def expected(self, rows: Observed) -> Observed:
        """The same batches, served as long as calibration says on average."""
        found = rows.copy()
        for places, rest in in_batches(rows):
            size = min(len(places), self.steady.largest)
            work = work_of(rows["size"][places].tolist(), self._joined)
            line = 1.0 + self.steady.growth[size] * (work - self.steady.work[size])
            took = line * self._colder(cooled(rest, REST)) * self.steady.mean(size)
            found["service"][places] = round(took)
        return found

    def steadied(self, rows: Observed, before: int) -> Observed:
        """As if the machine had been as fast as on average, as far as those around it tell; see :meth:`drawn`."""
        found = rows.copy()
        found["service"] = np.rint(rows["service"] / self._near(before))
        return found

    def _colder(self, cold: Any) -> Any:
        """What a replica takes that has lost such a share of its warmth, or shares, in what a warm one does."""
        return 1.0 + (self.rested - 1.0) * cold

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

    def _factors(self, took: Floats) -> Floats:
        """Of each block; 1 of one in which nothing was answered."""
        own, like = (
            np.bincount(self._block, one, self._blocks)
            for one in (took, _mean_of(took, self.batches.size))
        )
        found: Floats = np.where(like > 0, own / np.where(like > 0, like, 1.0), 1.0)
        return found

    def _expected(self, took: Floats) -> Floats:
        """Of each batch: the average of its size, on a machine as fast as in its block."""
        found: Floats = _mean_of(took, self.batches.size) * self._factors(took)[self._block]
        return found

    def _by_chance(self, took: Floats) -> list[float]:
        """The variance that the factor of each block has by chance."""
        ratios = took / _mean_of(took, self.batches.size)
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
        return times._replace(rested=self.rested, rest=REST)


def _rested(ratios: Floats, size: npt.NDArray[np.int64], cold: Floats) -> float:
    """How many times as long a batch takes whose replica has lost all its warmth, beyond what chance makes
    of it.

    The slope of a straight line through the batches of each size, shrunk by the share of its square that is
    chance.

    Args:
        ratios: what batches took, in what is expected of their size and block.
        cold: the share of its warmth that the replica of each had lost.
    """
    x, y = (values - _mean_of(values, size) for values in (cold, ratios))
    power = float(x @ x)
    slope = float(x @ y) / power if power else 0.0
    by_chance = float(np.mean((y - slope * x) ** 2)) / power if power else 0.0
    return 1.0 + max(slope - by_chance / slope, 0.0) if slope > 0 else 1.0


def _mean_of(values: Floats, size: npt.NDArray[np.int64]) -> Floats:
    """Of each batch: the average of all of its size."""
    found: Floats = (np.bincount(size, values) / np.maximum(np.bincount(size), 1))[size]
    return found
