"""Multi-stream: queries of several samples at once, one query at a time (closed loop)."""

from __future__ import annotations

from pydantic import Field

from bench.measure.budget import Budget
from bench.measure.loads import Aim, Facts
from bench.measure.service import Service
from bench.record import Record


class Options(Record):
    """Samples of a query; MLPerf has 8."""

    samples: int = Field(default=8, ge=2, le=1024)


def aim(options: Options, budget: Budget) -> Aim:
    return Aim(percentile=99, queries=budget.multi_stream, duration_s=budget.duration_s)


def drive(service: Service, options: Options, budget: Budget, phase: str) -> Facts:
    service.closed_loop(
        phase, options.samples, budget.multi_stream, budget.duration_s, budget.limit_s
    )
    return Facts()
