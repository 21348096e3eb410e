"""Rounds: one fresh process of each side, in the order that a fair coin says."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from bench.gate.asked import SIDES, SideName
from bench.gate.figures import Figure
from bench.record import Record


class Process(Record):
    """What one process of one side said."""

    figures: Mapping[str, Figure]
    seconds: float
    failure: str | None = None
    """Why it said nothing."""
    controls: Mapping[str, float] = {}
    """Seconds of work that no change can touch, done just before."""


class Round(Record):
    """One process of each side."""

    first: SideName
    base: Process
    head: Process

    def of(self, side: SideName) -> Process:
        return self.base if side == "base" else self.head


def play(
    run: Callable[[Sequence[SideName]], Mapping[SideName, Process]],
    coin: np.random.Generator,
    most_s: float,
) -> Iterator[Round]:
    """Play rounds until there is no time for another; whoever takes them stops when enough are seen.

    The coin is fair and each throw of its own, on which the decision rests: an order that is balanced
    over some rounds could be foreseen at their end.
    """
    begun = time.monotonic()
    longest = 0.0
    while (at := time.monotonic()) - begun + longest <= most_s:
        first: SideName = SIDES[coin.integers(2)]
        second: SideName = "head" if first == "base" else "base"
        said = run((first, second))
        longest = max(longest, time.monotonic() - at)
        yield Round(first=first, base=said["base"], head=said["head"])
