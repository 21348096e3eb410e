"""What a live server tells Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from bench.requests import Outcome
from bench.serve.pool import Request
from bench.ticks import PER_SECOND

SECONDS = (
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0,
)  # fmt: skip
FAILED = "failed"
SIZES = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """Counts of what ended, and how long it took; each server has its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._ended = Counter(
            "bench_requests", "Requests that ended, by what became of them.", ["outcome"],
            registry=self._registry,
        )  # fmt: skip
        for name in (*(outcome.name.lower() for outcome in Outcome), FAILED):
            self._ended.labels(name)
        self._wait, self._service = (
            Histogram(f"bench_{name}_seconds", text, buckets=SECONDS, registry=self._registry)
            for name, text in (
                ("wait", "From the door to the start of service, of requests that were served."),
                ("service", "Of the batch that a request was served in."),
            )
        )
        self._batch = Histogram(
            "bench_batch_size", "Requests served together, by request.", buckets=SIZES,
            registry=self._registry,
        )  # fmt: skip
        self._restarts = Counter(
            "bench_replica_restarts", "Replicas that ended and were started anew.",
            registry=self._registry,
        )  # fmt: skip
        self._refused = Counter(
            "bench_refused", "HTTP requests refused before they came to a queue, by status.",
            ["status"], registry=self._registry,
        )  # fmt: skip
        self.inside, self.waiting, self.ready = (
            Gauge(f"bench_{name}", text, registry=self._registry)
            for name, text in (
                ("requests_inside", "Requests that have not ended: in queues, or in a batch."),
                ("requests_waiting", "Requests in queues."),
                ("replicas_ready", "Replicas that take requests."),
            )
        )

    def ended(self, request: Request, outcome: Outcome) -> None:
        """Count a request; one that was served and has no answer has failed, whoever is to blame."""
        has_failed = bool(request.served and request.answer.error)
        self._ended.labels(FAILED if has_failed else outcome.name.lower()).inc()
        if request.served:
            self._wait.observe((request.start - request.reach) / PER_SECOND)
            self._service.observe((request.served - request.start) / PER_SECOND)
            self._batch.observe(request.batch)

    def refused(self, status: int) -> None:
        """Count what was asked over HTTP and is no request of the model's."""
        self._refused.labels(str(status)).inc()

    def restarted(self) -> None:
        """Count a replica."""
        self._restarts.inc()

    def exposition(self) -> tuple[bytes, str]:
        """All of it, and its type."""
        return generate_latest(self._registry), CONTENT_TYPE_LATEST
