"""Scaling policies: one file each, a pure function of what the autoscaler sees.

Each file has ``Options``, ``bounds(options) -> (initial, maximum)`` replicas,
``period_s(options)`` between decisions (``None``: never) and
``desired(options, observed, history)`` → replicas wanted. ``history`` is a list the policy may
keep its memory in; it starts empty.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Observed:
    """The autoscaler's view at one tick."""

    now_s: float
    replicas: int
    """Wanted so far, those still starting included."""
    busy: float
    """Busy server-seconds since the last tick ÷ (ready replicas · period)."""
    waiting: int
