"""Single stream: one request at a time, the next when the last is answered (closed loop)."""

from __future__ import annotations

from bench.measure.budget import Budget
from bench.measure.loads import Aim, Facts
from bench.measure.service import Service
from bench.record import Record


class Options(Record):
    """None: the budget says how many."""


def aim(options: Options, budget: Budget) -> Aim:
    # MLPerf judges this scenario by its p90.
    return Aim(percentile=90, queries=budget.single_stream, duration_s=budget.duration_s)


def drive(service: Service, options: Options, budget: Budget, phase: str) -> Facts:
    service.closed_loop(phase, 1, budget.single_stream, budget.duration_s, budget.limit_s)
    return Facts()
