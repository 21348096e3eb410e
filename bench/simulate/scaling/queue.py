"""The length of the queue decides, as KEDA does it.

``desired = ceil(waiting / per_replica)`` at every poll, at least the minimum; scaling down waits for
the highest wish of the last 300 s. With a minimum of 0 the service is scaled to zero after it has
been empty for ``cooldown``; KEDA would notice a new request at its next poll, this at once.
"""

from __future__ import annotations

import math

from pydantic import Field, model_validator

from bench.record import Record
from bench.simulate.scaling import History, Observed, stabilised, times
from bench.units import Period, Seconds


class Options(Record):
    """Bounds, and how many waiting requests one replica is good for; KEDA's own times."""

    min_replicas: int = Field(default=1, ge=0, le=1000)
    max_replicas: int = Field(ge=1, le=1000)
    per_replica: float = Field(gt=0)
    period: Period = 30.0
    down_stabilisation: Seconds = 300.0
    cooldown: Seconds = 300.0

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
    return options.cooldown if options.min_replicas == 0 else None


def grown(options: Options, factor: float) -> Options:
    most = max(times(options.max_replicas, factor), options.min_replicas)
    return Options(**{**options.model_dump(), "max_replicas": most})


def desired(options: Options, observed: Observed, history: History) -> int:
    if observed.replicas == 0:  # asleep: a request wakes it
        return 0
    wish = math.ceil(observed.waiting / options.per_replica)
    wish = min(max(wish, options.min_replicas, 1), options.max_replicas)
    return stabilised(wish, observed, history, options.down_stabilisation)
