"""Serverless: replicas follow the requests in progress, down to none.

The average concurrency of a window decides, ``ceil(concurrency / per_replica)`` (Knative's pod
autoscaler: a tick every 2 s, a stable window of 60 s). An empty service is kept warm for a while,
then goes; the next request wakes one replica and waits for it.
"""

from __future__ import annotations

import math

from pydantic import Field

from bench.record import Record
from bench.simulate.scaling import History, Observed, times
from bench.units import Period, PositiveSeconds, Seconds


class Options(Record):
    """Requests in progress a replica is meant for, and how long an empty service stays."""

    max_replicas: int = Field(default=1, ge=1, le=1000)
    per_replica: float = Field(default=1.0, gt=0)
    keep_warm: Seconds = 60.0
    period: Period = 2.0
    window: PositiveSeconds = 60.0


def bounds(options: Options) -> tuple[int, int]:
    return 0, options.max_replicas


def fewest(options: Options) -> int:
    return 0


def period_s(options: Options) -> float | None:
    return options.period if options.max_replicas > 1 else None


def idle_s(options: Options) -> float | None:
    return options.keep_warm


def grown(options: Options, factor: float) -> Options:
    most = times(options.max_replicas, factor)
    return Options(**{**options.model_dump(), "max_replicas": most})


def desired(options: Options, observed: Observed, history: History) -> int:
    """``history`` has the ticks at which there were replicas; there was nothing at the others."""
    if observed.replicas == 0:
        return 0
    now = observed.now_s
    history.append((now, observed.waiting + observed.in_service))
    while history[0][0] <= now - options.window:
        history.pop(0)
    seen = min(math.ceil(options.window / options.period - 1e-9), round(now / options.period))
    average = sum(requests for _, requests in history) / max(seen, len(history))
    return min(max(math.ceil(average / options.per_replica - 1e-9), 1), options.max_replicas)
