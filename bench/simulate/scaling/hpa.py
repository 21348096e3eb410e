"""The rule of Kubernetes' horizontal pod autoscaler on utilisation.

``desired = ceil(ready · utilisation / target)`` every 15 s; no change within 10 % of the target;
replicas that are not ready count as idle when scaling up; scaling down waits for the highest wish
of the last 300 s (Kubernetes documentation, "Horizontal Pod Autoscaling", algorithm details and
stabilization window).
"""

from __future__ import annotations

import math

from pydantic import Field, model_validator

from bench.record import Record
from bench.simulate.scaling import History, Observed, stabilised, times
from bench.units import Fraction, Period, Seconds


class Options(Record):
    """Bounds and target; the defaults are Kubernetes' own."""

    min_replicas: int = Field(ge=1, le=1000)
    max_replicas: int = Field(ge=1, le=1000)
    target: Fraction = Field(default=0.6, gt=0)
    period: Period = 15.0
    tolerance: Fraction = 0.1
    down_stabilisation: Seconds = 300.0

    @model_validator(mode="after")
    def _ordered(self) -> Options:
        if self.max_replicas < self.min_replicas:
            raise ValueError("max_replicas must not be below min_replicas")
        return self


def bounds(options: Options) -> tuple[int, int]:
    return options.min_replicas, options.max_replicas


def fewest(options: Options) -> int:
    return options.min_replicas


def period_s(options: Options) -> float | None:
    return options.period


def idle_s(options: Options) -> float | None:
    return None


def grown(options: Options, factor: float) -> Options:
    most = max(times(options.max_replicas, factor), options.min_replicas)
    return Options(**{**options.model_dump(), "max_replicas": most})


def desired(options: Options, observed: Observed, history: History) -> int:
    wish = min(max(_wish(options, observed), options.min_replicas), options.max_replicas)
    return stabilised(wish, observed, history, options.down_stabilisation)


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
