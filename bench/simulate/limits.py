"""What a deployment can get done in a day at most."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limit:
    """One place that no more than so many requests a day get past, whatever their luck."""

    per_day: float
    what: str
    """With its verb: ``2 replicas serve``."""
    waits: bool
    """Whether all that is too much waits there, and none is turned away, gives up or gets lost."""
    share: float = 1.0
    """Of the requests: those that wait there ever longer, if more come in all."""
    steady: bool = True
    """Whether it is spread evenly over the day."""


def counted(number: int, name: str, verb: str) -> str:
    """``1 replica serves``, ``2 replicas serve``."""
    return f"{number} {name} {verb}s" if number == 1 else f"{number} {name}s {verb}"
