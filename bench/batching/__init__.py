"""Batching policies: one file each, which makes a table of its options.

Each file has ``Options`` and ``rule(options, expected)``, where ``expected(size)`` is the mean
service time of a batch in nanoseconds. The :class:`Rule` it returns is all that a simulation, or a
server, needs: :func:`decide` reads it, and there is no other copy of the decision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench import extensions
from bench.batching._waiting import Waiting
from bench.errors import InputError
from bench.ticks import FOREVER, Ticks

BATCHING = "bench.batching"
CONTRACT = ("Options", "rule")
Expected = Callable[[int], float]


@dataclass(frozen=True)
class Rule:
    """When waiting requests become a batch, as a table."""

    full: int
    """So many waiting requests start at once, and no batch is larger."""
    patience: tuple[int, ...]
    """By the number waiting, 1 … ``full`` − 1: how long the oldest waits for company, in
    nanoseconds; ``FOREVER`` if only a full batch starts."""
    at_door: bool = False
    """Whether a batch is formed as soon as it may be, and then waits for a server as it is. Otherwise
    it is formed when a server is free for it, of all that wait by then."""

    def __post_init__(self) -> None:
        if self.full < 1 or len(self.patience) != self.full - 1:
            raise ValueError("a rule needs one patience for each size below full")


def decide(
    full: int, patience: Sequence[int] | Ticks, waiting: int, oldest: int, now: int
) -> tuple[int, int]:
    """How many requests become a batch now, the oldest first; if none, when to ask again.

    Args:
        waiting: requests in no batch yet, at least one.
        oldest: when the oldest of them came.

    Compiled for the fast method and called as it stands elsewhere.
    """
    if waiting >= full:
        return full, 0
    due = oldest + patience[waiting - 1]
    if now >= due:
        return waiting, 0
    return 0, due


def rule_of(name: str, options: Mapping[str, Any], expected: Expected = lambda size: 0.0) -> Rule:
    """The table of a policy, where batches take as long as expected; by default, no time at all."""
    module = extensions.load(BATCHING, name)
    found: Rule = module.rule(module.Options.model_validate(options), expected)
    return found


def taken_up(rule: Rule, where: str) -> Rule:
    """The rule of one loop, which takes up what waits whenever it is free.

    Raises:
        InputError: batches are formed at the door, and such a loop has none.
    """
    if rule.at_door:
        raise InputError(
            "these batches are formed at the door, before a server is free, and one loop takes up what "
            "waits when it is",
            where=where, allowed="a policy such as greedy or dynamic",
        )  # fmt: skip
    return rule


def constant(full: int, patience: int) -> Rule:
    """The same patience at every size below ``full``."""
    return Rule(full, (patience,) * (full - 1))


__all__ = [
    "BATCHING",
    "FOREVER",
    "Expected",
    "Rule",
    "Waiting",
    "constant",
    "decide",
    "rule_of",
    "taken_up",
]
