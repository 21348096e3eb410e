"""Offline: everything is there at the start; only the throughput counts."""

from __future__ import annotations

from pydantic import Field

from bench.measure.budget import Budget
from bench.measure.loads import Aim, Facts
from bench.measure.service import Service
from bench.record import Record


class Options(Record):
    """How the backlog is worked off."""

    batch: int = Field(default=8, ge=1, le=4096)
    pipelined: int = Field(default=1, ge=1, le=64)
    """Batches in flight at once; more than one overlaps transfers with computation."""


def aim(options: Options, budget: Budget) -> Aim:
    return Aim(percentile=None, queries=budget.offline, duration_s=budget.duration_s)


def drive(service: Service, options: Options, budget: Budget, phase: str) -> Facts:
    service.backlog(
        phase, options.batch, options.pipelined, budget.offline, budget.duration_s, budget.limit_s
    )
    return Facts()
