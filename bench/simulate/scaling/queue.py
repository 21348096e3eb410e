"""The length of the queue decides, as KEDA does it.

``desired = ceil(waiting / per_replica)``: KEDA hands the length of the queue to Kubernetes'
horizontal pod autoscaler, as an external metric with an average value for its target, and the
autoscaler decides when and how far to go (``_kubernetes.py``). KEDA itself only takes the last replica
away, once the service has been empty for ``cooldown``, and starts the first one, when it finds a
request at its next poll (KEDA documentation, "Scaling Deployments, StatefulSets & Custom Resources"
and "ScaledObject specification": ``pollingInterval`` 30 s, ``cooldownPeriod`` 300 s).
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
    period_s,
)
from bench.units import Period, Seconds


class Options(Behaviour):
    """Bounds, and how many waiting requests one replica is good for; KEDA's own times."""

    min_replicas: int = Field(default=1, ge=0, le=1000)
    per_replica: float = Field(gt=0)
    polling: Period = 30.0
    """Between two looks at the queue of a service that was scaled to zero."""
    cooldown: Seconds = 300.0
    """A service with a minimum of 0 is scaled to zero when it has been empty for so long."""


def idle_s(options: Options) -> float | None:
    return options.cooldown if options.min_replicas == 0 else None


def poll_s(options: Options) -> float | None:
    return options.polling


def desired(options: Options, observed: Observed, history: History) -> int:
    if observed.replicas == 0:  # asleep: KEDA wakes it
        return 0
    return followed(options, _wish(options, observed), observed, history)


def _wish(options: Options, observed: Observed) -> int:
    """As in Kubernetes' ``replica_calculator.go``, ``GetExternalPerPodMetric``."""
    wanted = observed.waiting / options.per_replica
    if abs(wanted / observed.replicas - 1) <= options.tolerance:
        return observed.replicas
    return math.ceil(wanted - 1e-9)


__all__ = [
    "Options", "bounds", "desired", "fewest", "first_s", "grown", "idle_s", "period_s", "poll_s",
]  # fmt: skip
