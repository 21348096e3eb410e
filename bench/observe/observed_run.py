"""The records of a live service that was observed: what it was asked, and what became of it."""

from __future__ import annotations

from collections import Counter

import numpy as np
from pydantic import Field

from bench.observe.rows import Observed
from bench.record import SCHEMA_VERSION, Estimate, Record
from bench.stats import queued_quantile
from bench.units import DAY_S, PerSecond, format_percent, format_seconds

PERCENTILES = (50, 90, 99)
LATE_NS = 1_000_000
"""A send is late that comes so long after it was due."""
LATE_SHARE = 0.01
"""More of them than this are said to be."""


class Asking(Record):
    """What a live service is asked."""

    url: str
    """Of the server."""
    model: str
    rate: PerSecond | None = None
    """Requests per second; ``None``: the scenario's own."""
    length_s: float = Field(gt=0, le=DAY_S)

    @property
    def infer(self) -> str:
        """Where requests are posted."""
        return f"{self.url}/v2/models/{self.model}/infer"


class ObservedRun(Record):
    """``observed-run.json``: what stands in ``observed.parquet``, summed up."""

    schema_version: int = SCHEMA_VERSION
    asked: Asking
    started_utc: str
    interrupted: bool
    """Whether it was told to end before; then, its rows are those that were answered by then."""
    requests: int
    offered: float
    """Requests per second."""
    throughput: float
    """Answers per second, from the first that was due to the last that was there."""
    statuses: dict[str, int]
    """By HTTP status; ``"0"``: there was no answer."""
    response_s: dict[str, Estimate]
    """Of what was answered, from when a request was due."""
    late_share: float
    """Of the sends, more than a millisecond after they were due."""
    environment: dict[str, object]
    """Of the client."""

    @classmethod
    def of(
        cls, asked: Asking, rows: Observed, interrupted: bool, started_utc: str,
        environment: dict[str, object],
    ) -> ObservedRun:  # fmt: skip
        """Of the rows of at least one request."""
        answered = rows[is_answered(rows)]
        took = (answered["finished"] - answered["arrival"]) / 1e9
        first, last = int(rows["arrival"].min()), int(rows["arrival"].max())
        until = int(rows["finished"].max())
        counts = Counter(rows["status"].tolist())
        return cls(
            asked=asked,
            started_utc=started_utc,
            interrupted=interrupted,
            requests=len(rows),
            offered=len(rows) / max((last - first) / 1e9, asked.length_s * (not interrupted), 1e-9),
            throughput=len(answered) / max((until - first) / 1e9, 1e-9),
            statuses={str(status): counts[status] for status in sorted(counts)},
            response_s={f"p{q}": queued_quantile(took, q / 100) for q in PERCENTILES},
            late_share=float(np.mean(rows["sent"] - rows["arrival"] > LATE_NS)),
            environment=environment,
        )

    @property
    def in_words(self) -> str:
        """For people."""
        times = (f"{name} {format_seconds(one.value)}" for name, one in self.response_s.items())
        answers = (
            f"{number:,} {f'with HTTP {status}' if status != '0' else 'not at all'}"
            for status, number in self.statuses.items()
        )
        said = [
            f"{self.requests:,} requests, {self.offered:.4g}/s; answered {', '.join(answers)}",
            f"response times: {', '.join(times)}; {self.throughput:.4g} answers/s",
            f"sent over 1 ms late: {format_percent(self.late_share, 1)}",
        ]
        busy = "; this client is busy, and its delays are part of these times"
        return "\n".join(said) + busy * (self.late_share > LATE_SHARE)


def is_answered(rows: Observed) -> Observed:
    """Which of them."""
    found: Observed = (rows["status"] >= 200) & (rows["status"] < 400)
    return found
