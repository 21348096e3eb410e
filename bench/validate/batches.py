"""The batches in which requests were served, as the server says it, or as it was told from outside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bench.observe import Observed, answers_of
from bench.requests import Floats
from bench.simulate import cooled
from bench.ticks import FOREVER

REST = 40_000_000
"""A replica that has had nothing to do for so many nanoseconds has lost half of its warmth
(docs/fidelity.md)."""


class Batches(NamedTuple):
    """Batches that were served, in the order of time: of each column, a value for each."""

    size: npt.NDArray[np.int64]
    """Requests in it."""
    seconds: Floats
    cooled: Floats
    """The share of its warmth that its replica had lost, since it had had nothing to do."""
    sizes: list[list[float]]
    """Of its requests."""

    def of_size(self, size: int) -> Floats:
        """Seconds of those that are so large."""
        found: Floats = self.seconds[self.size == size]
        return found

    def mean_s(self) -> dict[int, float]:
        """Seconds on average, by size."""
        return {size: float(self.of_size(size).mean()) for size in np.unique(self.size).tolist()}


def batches_of(rows: Observed) -> Batches:
    """All of which every row is there."""
    found = list(in_batches(rows))
    return Batches(
        np.array([len(places) for places, _ in found], np.int64),
        np.array([rows["service"][places[0]] for places, _ in found], float) / 1e9,
        np.array([cooled(rest, REST) for _, rest in found], float),
        [rows["size"][places].tolist() for places, _ in found],
    )


def joined(each: Sequence[Batches]) -> Batches:
    """One after the other."""
    size, seconds, cold, sizes = zip(*each, strict=True)
    return Batches(
        np.concatenate(size),
        np.concatenate(seconds),
        np.concatenate(cold),
        list(chain.from_iterable(sizes)),
    )


def in_batches(rows: Observed) -> Iterator[tuple[npt.NDArray[np.intp], int]]:
    """Of each batch the places of its rows, and how long its replica had had nothing to do, in
    nanoseconds; a batch of which a row is missing is left out, as is one whose service nobody knows."""
    served = np.flatnonzero(rows["batch"] > 0)
    served = served[np.argsort(rows["in_batch"][served], kind="stable")]
    _, first = np.unique(rows["in_batch"][served], return_index=True)
    answers, ended = answers_of(rows), dict[int, int]()
    for places in np.split(served, first[1:]):
        if len(places) and len(places) == rows["batch"][places[0]]:
            server = int(rows["server"][places[0]])
            if rows["service"][places[0]] >= 0:
                rest = int(answers["start"][places].min()) - ended.get(server, -FOREVER)
                yield places, max(rest, 0)
            ended[server] = int(answers["served"][places].min())
