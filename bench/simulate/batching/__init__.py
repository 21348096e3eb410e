"""Batching policies: one file each, a pure function of what the queue looks like.

Each file has ``Options``, ``largest(options)`` (the biggest batch it can form) and
``decide(options, waiting, oldest_s, now_s) -> Dispatch | WaitUntil``, asked whenever a server is
free and at least one request waits.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Dispatch:
    """Start a batch of this many requests now, the oldest first."""

    size: int


@dataclass(frozen=True)
class WaitUntil:
    """Ask again when another request comes, or at this time (seconds) at the latest."""

    time_s: float


Decision = Dispatch | WaitUntil
