"""Server: requests come when they come (open loop), from a generator in a process of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field

from bench import extensions
from bench.arrivals import Span, draw
from bench.measure.budget import Budget
from bench.measure.loads import Aim, Facts
from bench.measure.open_loop import TakeUp, ask, check_generator
from bench.measure.service import Service
from bench.scenario import Choice
from bench.stats import sample_floor
from bench.units import PositiveSeconds

ARRIVALS = "bench.arrivals"
MARGIN = 1.05
"""A random process may bring a few requests fewer than its rate times the duration."""


class Options(TakeUp):
    """The arrivals, the limit on the response time, and how requests are taken up."""

    arrivals: Choice
    percentile: float = Field(default=99, gt=0, lt=100)
    limit: PositiveSeconds | None = None
    duration: PositiveSeconds | None = None
    """In place of the budget's; a run shorter than the budget's is INVALID."""


def aim(options: Options, budget: Budget) -> Aim:
    return Aim(
        percentile=options.percentile,
        queries=max(budget.server, sample_floor(options.percentile / 100)),
        duration_s=budget.duration_s,
        limit_s=options.limit,
        offered=_rate(options.arrivals),
    )


def drive(service: Service, options: Options, budget: Budget, phase: str) -> Facts:
    rule = options.rule(service, phase)
    needed = aim(options, budget).queries / budget.replicates
    length_s = options.duration or max(
        budget.duration_s, MARGIN * needed / max(_rate(options.arrivals), 1e-9)
    )
    module, drawn = _process(options.arrivals)
    times = draw(module, drawn, Span(1, length_s), service.rng).times
    schedule_s = np.asarray(times, dtype=float)
    check = check_generator(service, schedule_s)
    late = ask(service, phase, schedule_s, rule, options.concurrency)
    return Facts(generator=check.model_copy(update={"sends": len(schedule_s), "late_share": late}))


def _rate(arrivals: Choice) -> float:
    module, options = _process(arrivals)
    return float(module.mean_rate(options, 1))


def _process(arrivals: Choice) -> tuple[Any, Any]:
    module = extensions.load(ARRIVALS, arrivals.name)
    return module, module.Options.model_validate(arrivals.options)
