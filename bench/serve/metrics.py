"""What a live server tells Prometheus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from bench.requests import Outcome
from bench.serve.pool import Pool, Request
from bench.ticks import PER_SECOND

SECONDS = (
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0,
)  # fmt: skip
FAILED = "failed"
SIZES = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """Counts of what ended, and how long it took; each server has its own.

    Args:
        stages: where there are several, what is counted has the stage as a label.
    """

    def __init__(self, stages: Sequence[str]) -> None:
        self._has_several = len(stages) > 1
        own = ["stage"] if self._has_several else []
        self._registry = CollectorRegistry()
        self._ended = Counter(
            "bench_requests", "Requests that ended, by what became of them.", [*own, "outcome"],
            registry=self._registry,
        )  # fmt: skip
        self._wait, self._service = (
            Histogram(f"bench_{name}_seconds", text, own, buckets=SECONDS, registry=self._registry)
            for name, text in (
                ("wait", "From the door to the start of service, of requests that were served."),
                ("service", "Of the batch that a request was served in."),
            )
        )
        self._batch = Histogram(
            "bench_batch_size", "Requests served together, by request.", own, buckets=SIZES,
            registry=self._registry,
        )  # fmt: skip
        self._restarts = Counter(
            "bench_replica_restarts", "Replicas that ended and were started anew.", own,
            registry=self._registry,
        )  # fmt: skip
        self._refused = Counter(
            "bench_refused", "HTTP requests refused before they came to a queue, by status.",
            ["status"], registry=self._registry,
        )  # fmt: skip
        self._inside, self._waiting, self._ready = (
            Gauge(f"bench_{name}", text, own, registry=self._registry)
            for name, text in (
                ("requests_inside", "Requests that have not ended: in queues, or in a batch."),
                ("requests_waiting", "Requests in queues."),
                ("replicas_ready", "Replicas that take requests."),
            )
        )

    def of(self, stage: str) -> StageMetrics:
        """Those of one stage."""
        own = [stage] if self._has_several else []

        def child(metric: Any) -> Any:
            return metric.labels(*own) if own else metric

        outcomes = [*(outcome.name.lower() for outcome in Outcome), FAILED]
        return StageMetrics(
            outcomes={name: self._ended.labels(*own, name) for name in outcomes},
            wait=child(self._wait),
            service=child(self._service),
            batch=child(self._batch),
            restarts=child(self._restarts),
            inside=child(self._inside),
            waiting=child(self._waiting),
            ready=child(self._ready),
        )

    def refused(self, status: int) -> None:
        """Count what was asked over HTTP and is no request of the model's."""
        self._refused.labels(str(status)).inc()

    def exposition(self) -> tuple[bytes, str]:
        """All of it, and its type."""
        return generate_latest(self._registry), CONTENT_TYPE_LATEST


@dataclass(frozen=True)
class StageMetrics:
    """What is counted of one stage."""

    outcomes: Mapping[str, Counter]
    wait: Histogram
    service: Histogram
    batch: Histogram
    restarts: Counter
    inside: Gauge
    waiting: Gauge
    ready: Gauge

    def ended(self, request: Request, outcome: Outcome) -> None:
        """Count a request; one that was served and has no answer has failed, whoever is to blame."""
        has_failed = bool(request.served and request.answer.error)
        self.outcomes[FAILED if has_failed else outcome.name.lower()].inc()
        if request.served:
            self.wait.observe((request.start - request.reach) / PER_SECOND)
            self.service.observe((request.served - request.start) / PER_SECOND)
            self.batch.observe(request.batch)

    def restarted(self) -> None:
        """Count a replica."""
        self.restarts.inc()

    def watch(self, pool: Pool) -> None:
        """Say, whenever asked, how many are in it."""
        self.inside.set_function(lambda: pool.inside)
        self.waiting.set_function(lambda: pool.waiting)
        self.ready.set_function(lambda: pool.ready)
