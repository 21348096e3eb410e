"""Batching policies: one file each, which makes a table of its options.

Each file has ``Options`` and ``rule(options, expected)``, where ``expected(size)`` is the mean
service time of a batch in nanoseconds. The :class:`Rule` it returns is all that a simulation, or a
server, needs: :func:`decide` reads it, and there is no other copy of the decision.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.ticks import FOREVER, Ticks

CONTRACT = ("Options", "rule")
Expected = Callable[[int], float]


@dataclass(frozen=True)
class Rule:
    """When a free server starts a batch, as a table."""

    full: int
    """So many waiting requests start at once, and no batch is larger."""
    patience: tuple[int, ...]
    """By the number waiting, 1 … ``full`` − 1: how long the oldest waits for company, in
    nanoseconds; ``FOREVER`` if only a full batch starts."""

    def __post_init__(self) -> None:
        if self.full < 1 or len(self.patience) != self.full - 1:
            raise ValueError("a rule needs one patience for each size below full")


def decide(
    full: int, patience: Sequence[int] | Ticks, waiting: int, oldest: int, now: int
) -> tuple[int, int]:
    """How many requests a free server starts now, the oldest first; if none, when to ask again.

    Args:
        waiting: requests in the queue, at least one.
        oldest: when the oldest of them came.

    Compiled for the fast method and called as it stands elsewhere.
    """
    if waiting >= full:
        return full, 0
    due = oldest + patience[waiting - 1]
    if now >= due:
        return waiting, 0
    return 0, due


def constant(full: int, patience: int) -> Rule:
    """The same patience at every size below ``full``."""
    return Rule(full, (patience,) * (full - 1))


__all__ = ["FOREVER", "Expected", "Rule", "constant", "decide"]
