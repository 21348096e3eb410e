"""What blocks of calibration say of a live service: how long batches take, and what the way costs.

Nothing of it comes from a block of load, so that a forecast is of what it has not seen.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from bench.observe import Observed, answers_of
from bench.profile import better, growth_of, work_of
from bench.simulate import ServiceTimes, correlation_length
from bench.ticks import FOREVER

ROUNDS, FAR = 3, 4.0
"""What is beyond so many times the median miss of a line is left out of the next one."""
ABOUT = 12
"""A rest is about as long as so many that are next shorter, and next longer."""
REST = 10_000_000
"""A replica that has had nothing to do for so many nanoseconds has lost its warmth (docs/fidelity.md)."""
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Batches:
    """Batches that were served: of one size, in the order of time."""

    seconds: list[float]
    sizes: list[list[float]]
    """Of the requests in each."""
    rested: list[bool]
    """Whether their replica had had nothing to do for :data:`REST`."""


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


def batches_of(rows: Observed) -> dict[int, Batches]:
    """By batch size, in the order of time."""
    found: dict[int, Batches] = {}
    for places, rest in _in_batches(rows):
        own = found.setdefault(len(places), Batches([], [], []))
        own.rested.append(rest >= REST)
        own.seconds.append(float(rows["service"][places[0]]) / 1e9)
        own.sizes.append(rows["size"][places].tolist())
    return dict(sorted(found.items()))


def _in_batches(rows: Observed) -> Iterator[tuple[npt.NDArray[np.intp], int]]:
    """Of each batch the places of its rows, and how long its replica had had nothing to do, in
    nanoseconds; a batch of which a row is missing is left out."""
    served = np.flatnonzero(rows["batch"] > 0)
    served = served[np.argsort(rows["in_batch"][served], kind="stable")]
    _, first = np.unique(rows["in_batch"][served], return_index=True)
    answers, ended = answers_of(rows), dict[int, int]()
    for places in np.split(served, first[1:]):
        if len(places) and len(places) == rows["batch"][places[0]]:
            server = int(rows["server"][places[0]])
            if rows["service"][places[0]] >= 0:
                yield places, int(answers["start"][places].min()) - ended.get(server, -FOREVER)
            ended[server] = int(answers["served"][places].min())


class Calibration:
    """All blocks of it, and what they say together.

    Args:
        blocks: the rows of each, in the order of time.
        largest: requests in the largest batch that may come.
    """

    def __init__(self, blocks: Sequence[Observed], largest: int) -> None:
        each = [batches_of(rows) for rows in blocks]
        self.batches = _together(each)
        seconds = {size: one.seconds for size, one in self.batches.items()}
        sizes = {size: one.sizes for size, one in self.batches.items()}
        self._joined = better(sizes, seconds)
        self._growth = {
            size: growth_of([work_of(one, self._joined) for one in sizes[size]], seconds[size])
            for size in seconds
        }
        average = [self._at_average(block) for block in each]
        mean = _means(average)
        self.factors = np.array([_factor(block, mean) for block in average])
        self.rested = _rested(each, average, mean, self.factors)
        """A batch of a replica that has rested takes so many times as long."""
        average = [self._when_warm(block, own) for block, own in zip(each, average, strict=True)]
        mean = _means(average)
        self.factors = np.array([_factor(block, mean) for block in average])
        """Of each block: what its batches took, in what all took that are like them."""
        self.drift = Drift.of(self.factors, [_scatter(block, mean) for block in average])
        self._length_s = float(np.mean([span_s(rows) for rows in blocks]))
        self.steady = self._service_times(average, largest)
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
        for places, rest in _in_batches(rows):
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

    def _at_average(self, block: Mapping[int, Batches]) -> dict[int, list[float]]:
        """By batch size, seconds as if each batch had been of average work."""
        return {
            size: [
                max(took / self._growth[size].factor(work_of(own, self._joined)), 1e-9)
                for took, own in zip(one.seconds, one.sizes, strict=True)
            ]
            for size, one in block.items()
        }

    def _when_warm(
        self, block: Mapping[int, Batches], average: Mapping[int, list[float]]
    ) -> dict[int, list[float]]:
        """By batch size, seconds as if no replica had rested."""
        return {
            size: [
                took / self.rested if rested else took
                for took, rested in zip(average[size], one.rested, strict=True)
            ]
            for size, one in block.items()
        }

    def _service_times(
        self, average: Sequence[Mapping[int, list[float]]], largest: int
    ) -> ServiceTimes:
        """As if the machine had never changed. Sizes that never came take as long as the next one."""
        steady: dict[int, list[float]] = {size: [] for size in self.batches if size <= largest}
        for block, factor in zip(average, self.factors.tolist(), strict=True):
            for size in steady.keys() & block.keys():
                steady[size] += [took / factor for took in block[size]]
        length = max(correlation_length(np.array(values)) for values in steady.values())
        growth = {size: self._growth[size] for size in steady}
        last = max(steady)
        steady[largest], growth[largest] = steady[last], growth[last]
        times = ServiceTimes.of(steady, 0.0, length, growth, self._joined == "longest")
        return times._replace(rest=REST, rested=self.rested)


def _means(average: Sequence[Mapping[int, list[float]]]) -> dict[int, float]:
    """By batch size, of all blocks."""
    sizes = sorted({size for block in average for size in block})
    return {
        size: float(np.mean([took for block in average for took in block.get(size, [])]))
        for size in sizes
    }


def _rested(
    each: Sequence[Mapping[int, Batches]],
    average: Sequence[Mapping[int, list[float]]],
    mean: Mapping[int, float],
    factors: Floats,
) -> float:
    """How many times as long a batch takes that finds its replica rested, beyond what chance makes of it.

    The mean difference within each batch size, of times in those of their block; shrunk by the share of its
    square that is chance.
    """
    ratios: dict[int, tuple[list[float], list[float]]] = {size: ([], []) for size in mean}
    for block, own, factor in zip(each, average, factors.tolist(), strict=True):
        for size, one in block.items():
            for took, rested in zip(own[size], one.rested, strict=True):
                ratios[size][rested].append(took / (mean[size] * factor))
    both = [(np.array(warm), np.array(cold)) for warm, cold in ratios.values() if warm and cold]
    if not both:
        return 1.0
    weights = np.array([len(warm) * len(cold) / (len(warm) + len(cold)) for warm, cold in both])
    apart = float(weights @ [cold.mean() - warm.mean() for warm, cold in both] / weights.sum())
    left = np.concatenate([part - part.mean() for pair in both for part in pair])
    by_chance = float(np.mean(left**2)) / float(weights.sum())
    return 1.0 + max(apart - by_chance / apart, 0.0) if apart > 0 else 1.0


def _factor(block: Mapping[int, list[float]], mean: Mapping[int, float]) -> float:
    expected = sum(mean[size] * len(seconds) for size, seconds in block.items())
    return sum(sum(seconds) for seconds in block.values()) / expected


def _scatter(block: Mapping[int, list[float]], mean: Mapping[int, float]) -> float:
    """The variance that the factor of a block has by chance."""
    ratios = [took / mean[size] for size, seconds in block.items() for took in seconds]
    return float(np.var(ratios)) / len(ratios)


def _together(blocks: Sequence[Mapping[int, Batches]]) -> dict[int, Batches]:
    found: dict[int, Batches] = {}
    for block in blocks:
        for size, one in block.items():
            own = found.setdefault(size, Batches([], [], []))
            own.seconds.extend(one.seconds)
            own.sizes.extend(one.sizes)
            own.rested.extend(one.rested)
    return dict(sorted(found.items()))


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
