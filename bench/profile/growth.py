"""How times and bytes follow the sizes of requests: straight lines, and how well they hold.

A task may say how large each of its inputs is, in its own unit: pixels of width, seconds, word pieces.
Batches of mixed sizes do one of two things: all are filled up to the longest, or each costs its own.
Which of them a backend does with a task is measured, not assumed: the line that foretells held-out
batches better is taken.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from bench.record import Record

Floats = npt.NDArray[np.float64]
Number = TypeVar("Number", int, float)
Joined = Literal["longest", "sum"]
"""The work of a batch: as many times its longest request, or the sum of all."""

CLASSES = 16
"""Of about as many batches each, whose medians a figure shows."""
FOLDS = 5
ROUNDS = 20
FAR = 1.345
"""In standard deviations: beyond, a batch counts less. With a normal distribution 95 % as good as least
squares."""
MEDIAN_MISS = 0.6745
"""Of a normal distribution, in standard deviations."""
LEAST = 10
"""Batches of one batch size under which no line is drawn."""


class SizeClass(Record):
    """Batches of about equal work: the median of it, and of what was measured."""

    work: float
    median: float
    batches: int


class Growth(Record):
    """A quantity q that follows the work w of a batch: q(w) = q(work) · (1 + rate · (w - work))."""

    work: float = Field(ge=0, le=1e15)
    """On average, of the batches measured."""
    rate: float = Field(ge=0, le=1e15)
    """The share by which a unit more adds to it; at most 1 / work, where nothing costs nothing."""
    rate_error: float = Field(default=0.0, ge=0, le=1e15)
    """Its standard error."""
    held_out_error: float | None = None
    """Mean of |foretold / measured - 1| over batches that the line was not drawn through."""
    without: float | None = None
    """The same, were the size not known."""
    classes: list[SizeClass] = Field(default=[])
    """What it was drawn through, to look at."""

    def factor(self, work: float) -> float:
        """What ``work`` takes, in what the average takes."""
        return 1.0 + self.rate * (work - self.work)

    def at(self, work: float) -> Growth:
        """The same line, seen from other work."""
        scale = self.factor(work)
        return self.model_copy(
            update={
                "work": work, "rate": self.rate / scale, "rate_error": self.rate_error / scale,
            }
        )  # fmt: skip


NO_GROWTH = Growth(work=0.0, rate=0.0)


class MeasuredSizes(Record):
    """What was learnt of sizes while an arm was measured."""

    unit: str
    joined: Joined
    inputs: list[float] = Field(min_length=1)
    """The size of each input measured, in the order of the task."""
    skipped: list[int] = Field(default=[])
    """Places among the inputs of a whole chain of those that this task of it is not asked about."""
    least: float
    """Of the requests that this is about, none is smaller."""
    work: dict[int, list[float]]
    """By batch size: of each batch in ``Profile.service_s``, in the same order. Empty where the times
    are of average work already."""
    growth: dict[int, Growth]
    """By batch size: of its service time."""
    input_bytes: Growth
    """Of one request."""
    output_bytes: Growth

    @property
    def rows(self) -> list[float]:
        """The size of each input of the whole chain: 0 where this task is not asked."""
        return in_rows(self.inputs, self.skipped)

    def at(self, mean: float, least: float, largest_of: Callable[[int], float]) -> MeasuredSizes:
        """The same of other requests, and of times that are those of their average work.

        Args:
            mean: size of a request.
            least: none is smaller.
            largest_of: the largest of so many, on average.
        """
        return self.model_copy(
            update={
                "least": least,
                "work": {},
                "growth": {
                    size: line.at(largest_of(size) if self.joined == "longest" else size * mean)
                    for size, line in self.growth.items()
                },
                "input_bytes": self.input_bytes.at(mean),
                "output_bytes": self.output_bytes.at(mean),
            }
        )

    def spread_to(self, batch_sizes: Sequence[int]) -> MeasuredSizes:
        """The same lines for other batch sizes, of times that are those of average work."""
        growth = {size: self.growth_at(size) for size in batch_sizes}
        return self.model_copy(update={"work": {}, "growth": growth})

    def growth_at(self, batch_size: int) -> Growth:
        """Of a batch of any size: of the next larger measured one, or the largest."""
        known = min((s for s in self.growth if s >= batch_size), default=max(self.growth))
        line = self.growth[known]
        if self.joined == "longest":
            return line
        share = batch_size / known  # as if it were filled up with others like them
        return line.model_copy(
            update={
                "work": line.work * share,
                "rate": line.rate / share,
                "rate_error": line.rate_error / share,
            }
        )

    def least_factor(self, batch_size: int) -> float:
        """What a batch of the smallest requests takes, in what an average one takes."""
        line = self.growth_at(batch_size)
        return line.factor(self.least if self.joined == "longest" else batch_size * self.least)


def in_rows(measured: Sequence[Number], skipped: Collection[int]) -> list[Number]:
    """What was measured of some inputs of a chain, with zeros at the places of the others."""
    found = list(measured)
    for place in sorted(skipped):
        found.insert(place, found[0] * 0)
    return found


def work_of(sizes: Sequence[float], joined: Joined) -> float:
    """The work of a batch of requests of these sizes."""
    return max(sizes) if joined == "longest" else float(sum(sizes))


def growth_of(work: Sequence[float], measured: Sequence[float]) -> Growth:
    """The straight line through what was measured of batches of this work.

    It makes relative errors small, and single batches that were held up do not bend it. Where it would
    fall, it is flat; where it would start below nothing, it starts at nothing.
    """
    x, y = np.asarray(work, float), np.asarray(measured, float)
    if len(x) < LEAST or x.min() == x.max():
        return Growth(work=float(x.mean()), rate=0.0)
    rate, error = _rate(x, y)
    return Growth(
        work=float(x.mean()),
        rate=rate,
        rate_error=error,
        held_out_error=_held_out(x, y, _rate),
        without=_held_out(x, y, lambda x, y: (0.0, 0.0)),
        classes=[
            SizeClass(work=place, median=level, batches=round(count))
            for place, level, count in zip(*_classes(x, y), strict=True)
        ],
    )


def better(
    sizes: Mapping[int, Sequence[Sequence[float]]], seconds: Mapping[int, Sequence[float]]
) -> Joined:
    """How requests in a batch add up: what foretells held-out batches better.

    Args:
        sizes: by batch size, the sizes in each batch.
        seconds: by batch size, how long each took.
    """
    misses = {
        joined: [
            growth.held_out_error
            for size, batches in sizes.items()
            if size > 1
            for growth in [growth_of([work_of(one, joined) for one in batches], seconds[size])]
            if growth.held_out_error is not None
        ]
        for joined in ("longest", "sum")
    }
    if not misses["longest"]:
        return "longest"
    return "sum" if np.mean(misses["sum"]) < np.mean(misses["longest"]) else "longest"


def measured_sizes(
    unit: str,
    sizes: Mapping[int, Sequence[Sequence[float]]],
    seconds: Mapping[int, Sequence[float]],
    inputs: Sequence[float],
    answered: pd.DataFrame,
    skipped: Sequence[int] = (),
) -> MeasuredSizes:
    """What batches of known sizes say.

    Args:
        sizes: by batch size, the sizes in each batch.
        seconds: by batch size, how long each took.
        inputs: the size of each.
        answered: ``size``, ``input_bytes`` and ``output_bytes`` of each that was answered, once.
        skipped: places of inputs of a whole chain that this task is not asked about.
    """
    joined = better(sizes, seconds)
    work = {size: [work_of(batch, joined) for batch in batches] for size, batches in sizes.items()}
    each = answered["size"].tolist()
    return MeasuredSizes(
        unit=unit,
        joined=joined,
        inputs=list(inputs),
        skipped=list(skipped),
        least=min(inputs),
        work=work,
        growth={size: growth_of(work[size], seconds[size]) for size in work},
        input_bytes=growth_of(each, answered["input_bytes"].tolist()),
        output_bytes=growth_of(each, answered["output_bytes"].tolist()),
    )


def _rate(x: Floats, y: Floats) -> tuple[float, float]:
    """Relative slope at the mean of ``x``, and its standard error.

    Least squares of relative errors in which those far from the line count less: weights of Huber
    (Annals of Mathematical Statistics 35, 1964), found again as the line moves.
    """
    if x.min() == x.max() or not np.median(y) > 0:
        return 0.0, 0.0
    steps, lowest = x - x.mean(), 1e-3 * float(np.median(y))
    level, slope = float(np.median(y)), 0.0
    weights = np.ones(len(x))
    scatter = 0.0
    for _ in range(ROUNDS):
        line = np.maximum(level + slope * steps, lowest)
        misses = np.abs(y / line - 1.0)
        scatter = max(float(np.median(misses)) / MEDIAN_MISS, 1e-12)
        weights = np.minimum(1.0, FAR * scatter / np.maximum(misses, 1e-300)) / line**2
        middle = float(weights @ steps / weights.sum())
        spread = float(weights @ (steps - middle) ** 2)
        slope = float(weights @ ((steps - middle) * y)) / spread
        level = float(weights @ y / weights.sum()) - slope * middle
    if level <= 0:
        return 0.0, 0.0
    rate = min(max(slope / level, 0.0), 1.0 / float(x.mean()))
    return rate, scatter / math.sqrt(spread) / level


def _classes(x: Floats, y: Floats) -> tuple[Floats, Floats, Floats]:
    """Median work, median level and number of batches of each class."""
    values, label = np.unique(x, return_inverse=True)
    if len(values) > CLASSES:
        edges = np.quantile(x, np.linspace(0, 1, CLASSES + 1)[1:-1])
        label = np.searchsorted(np.unique(edges), x, side="right")
    groups = [label == one for one in np.unique(label)]
    levels = np.array([np.median(y[group]) for group in groups])
    places = np.array([np.median(x[group]) for group in groups])
    counts = np.array([float(group.sum()) for group in groups])
    found = levels > 0
    return places[found], levels[found], counts[found]


def _held_out(x: Floats, y: Floats, rate_of: object) -> float:
    """Each fold foretold by the others, whose median sets the level."""
    misses: list[float] = []
    for fold in range(FOLDS):
        out = np.arange(len(x)) % FOLDS == fold
        rate, _ = rate_of(x[~out], y[~out])  # type: ignore[operator]
        lines = 1.0 + rate * (x - x[~out].mean())
        level = float(np.median(y[~out] / lines[~out]))
        foretold, seen = level * lines[out], y[out]
        misses += np.abs(foretold[seen > 0] / seen[seen > 0] - 1.0).tolist()
    return float(np.mean(misses)) if misses else 0.0
