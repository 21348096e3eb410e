"""Who is turned away at the door: one rule, for live servers and simulated ones."""

from __future__ import annotations

from dataclasses import dataclass

from bench.ticks import FOREVER


@dataclass(frozen=True)
class Admission:
    """Limits of a queue. Shed and timed-out requests count against the SLO."""

    queue_limit: int = FOREVER
    """Requests that may wait in one queue while none of its servers is free."""
    shed_from: int = FOREVER
    shed_to: int = FOREVER
    """Between these queue lengths a growing share is shed (random early drop)."""
    timeout: int = FOREVER
    """Longest wait in the queue, in nanoseconds."""

    @property
    def draws(self) -> bool:
        """Whether luck has a say."""
        return self.shed_from < FOREVER


ADMIT_ALL = Admission()
"""Nobody is turned away, and nobody gives up."""


def turned_away(
    queue_limit: int, shed_from: int, shed_to: int, waiting: int, idle: bool, choice: float
) -> bool:
    """Whether a request that finds so many waiting is turned away: the queue is full, or bad luck.

    Args:
        idle: whether a server of this queue has nothing to do.
        choice: the request's own uniform number.

    Compiled for the fast method and called as it stands elsewhere.
    """
    if waiting >= queue_limit and not idle:
        return True
    if waiting < shed_from:
        return False
    # Its own bits of the uniform number: the first ones may have chosen the queue.
    luck = choice * 1048576.0
    return (luck - int(luck)) * max(shed_to - shed_from, 1) < waiting - shed_from + 1


__all__ = ["ADMIT_ALL", "Admission", "turned_away"]
