"""Capacity: the highest rate at which a percentile of the response time keeps its limit.

The rate is doubled until a trial fails, then the bracket is halved. Each trial is an open-loop
run of its own; its verdict is MLPerf-style early stopping, so that a lucky short trial does not pass.
"""

from __future__ import annotations

from collections.abc import Callable

from pydantic import Field

from bench.measure.budget import Budget
from bench.measure.loads import Aim, Facts
from bench.measure.open_loop import TakeUp, check_generator, poisson_schedule, try_rate
from bench.measure.service import Service
from bench.units import PerSecond, PositiveSeconds

DOUBLINGS = 16
GUESSES = 10


class Options(TakeUp):
    """The objective, how finely it is searched, and how requests are taken up."""

    limit: PositiveSeconds
    percentile: float = Field(default=99, gt=0, lt=100)
    start: PerSecond | None = None
    """The first rate tried; by default four tenths of what one request after another allows."""
    halvings: int = Field(default=4, ge=1, le=12)
    """The bracket ends at a factor of ``2 ** (1 / 2 ** halvings)``."""


def aim(options: Options, budget: Budget) -> Aim:
    return Aim(
        percentile=options.percentile,
        queries=0,
        duration_s=budget.trial_s,
        limit_s=options.limit,
    )


def drive(service: Service, options: Options, budget: Budget, phase: str) -> Facts:
    rule = options.rule(service, phase)
    trials = []

    def kept(rate: float) -> bool | None:
        trial = try_rate(service, phase, rate, options, budget, rule, options.concurrency)
        trials.append(trial)
        return trial.kept

    low, high = bracket(kept, options.start or _guess(service))
    if low is not None and high is not None:
        for _ in range(options.halvings):
            middle = (low * high) ** 0.5
            low, high = (middle, high) if kept(middle) else (low, middle)
    hardest = max((t.rate for t in trials if t.kept), default=trials[0].rate)
    check = check_generator(service, poisson_schedule(hardest, budget.trial_s, service.rng))
    return Facts(generator=check, trials=trials)


def bracket(
    kept: Callable[[float], bool | None], start: float
) -> tuple[float | None, float | None]:
    """Neighbouring rates, one kept and twice as high one not; ``None`` where there is none."""
    rate = start
    if kept(rate):
        for _ in range(DOUBLINGS):
            if not kept(rate * 2):
                return rate, rate * 2
            rate *= 2
        return rate, None
    for _ in range(DOUBLINGS):
        answer = kept(rate / 2)
        if answer is None:  # slower still would take longer still
            return None, rate
        if answer:
            return rate / 2, rate
        rate /= 2
    return None, rate


def _guess(service: Service) -> float:
    times = [service.try_out(1).service_s for _ in range(GUESSES)]
    return 0.4 / max(sum(times) / GUESSES, 1e-6)
