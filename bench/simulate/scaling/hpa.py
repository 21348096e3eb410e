"""Kubernetes' horizontal pod autoscaler on utilisation.

``desired = ceil(ready · utilisation / target)``; replicas that are not ready count as idle when
scaling up (Kubernetes documentation, "Horizontal Pod Autoscaling", "Algorithm details"). When it
decides and how far it goes at once: ``_kubernetes.py``.
"""

from __future__ import annotations

import math

from pydantic import Field

from bench.simulate.scaling import History, Observed
from bench.simulate.scaling._kubernetes import (
    Behaviour,
    bounds,
    fewest,
    first_s,
    followed,
    grown,
    passed,
    period_s,
)
from bench.units import Fraction


class Options(Behaviour):
    """Bounds and target; the defaults are Kubernetes' own."""

    target: Fraction = Field(default=0.6, gt=0)


def idle_s(options: Options) -> float | None:
    return None


def desired(options: Options, observed: Observed, history: History) -> int:
    return followed(options, _wish(options, observed), observed, history)


def calm(options: Options, observed: Observed, history: History) -> tuple[float, float] | None:
    """Where the wish stays what it has been for as long as it matters."""
    if len(history) != 1 or history[0][2] or history[0][1] > observed.replicas:
        return None
    wish, there = history[0][1], observed.replicas
    low, high = (wish - 1) / there, wish / there
    if wish == there:
        low, high = min(low, 1 - options.tolerance), 1 + options.tolerance
    else:
        high = min(high, 1 - options.tolerance)
    if wish == max(options.min_replicas, 1):
        low = -math.inf
    if wish == options.max_replicas:
        high = math.inf
    return low * options.target, high * options.target


def _wish(options: Options, observed: Observed) -> int:
    """As in Kubernetes' ``replica_calculator.go``: replicas that start dampen scaling up."""
    ratio = observed.busy / options.target
    if ratio > 1 and observed.ready < observed.replicas:
        dampened = ratio * observed.ready / observed.replicas
        if dampened <= 1 + options.tolerance:
            return observed.replicas
        return math.ceil(dampened * observed.replicas - 1e-9)
    if abs(ratio - 1) <= options.tolerance:
        return observed.replicas
    return math.ceil(ratio * observed.ready - 1e-9)


__all__ = [
    "Options", "bounds", "calm", "desired", "fewest", "first_s", "grown", "idle_s", "passed",
    "period_s",
]  # fmt: skip
