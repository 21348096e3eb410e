"""The rule of Kubernetes' horizontal pod autoscaler on utilisation.

``desired = ceil(replicas · utilisation / target)`` every 15 s; no change within 10 % of the
target; scaling down waits for the highest wish of the last 300 s (Kubernetes documentation,
"Horizontal Pod Autoscaling", algorithm details and stabilization window).
"""

from __future__ import annotations

import math

from pydantic import Field, model_validator

from bench.record import Record
from bench.simulate.scaling import Observed
from bench.units import Fraction, PositiveSeconds, Seconds


class Options(Record):
    """Bounds and target; the defaults are Kubernetes' own."""

    min_replicas: int = Field(ge=1, le=1000)
    max_replicas: int = Field(ge=1, le=1000)
    target: Fraction = Field(default=0.6, gt=0)
    period: PositiveSeconds = 15.0
    tolerance: Fraction = 0.1
    down_stabilisation: Seconds = 300.0

    @model_validator(mode="after")
    def _ordered(self) -> Options:
        if self.max_replicas < self.min_replicas:
            raise ValueError("max_replicas must not be below min_replicas")
        return self


def bounds(options: Options) -> tuple[int, int]:
    return options.min_replicas, options.max_replicas


def period_s(options: Options) -> float | None:
    return options.period


def desired(options: Options, observed: Observed, history: list[tuple[float, int]]) -> int:
    ratio = observed.busy / options.target
    wish = observed.replicas
    if abs(ratio - 1) > options.tolerance:
        wish = math.ceil(observed.replicas * ratio - 1e-9)
    wish = min(max(wish, options.min_replicas), options.max_replicas)
    history.append((observed.now_s, wish))
    horizon = observed.now_s - options.down_stabilisation
    while history[0][0] < horizon:
        history.pop(0)
    if wish >= observed.replicas:
        return wish
    return min(observed.replicas, max(recommendation for _, recommendation in history))
