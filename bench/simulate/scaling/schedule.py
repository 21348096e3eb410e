"""A number of replicas by the time of day, as somebody who knows the traffic would set it."""

from __future__ import annotations

from pydantic import Field, model_validator

from bench.record import Record
from bench.simulate.scaling import History, Observed, times
from bench.units import DAY_S, ClockTime


class Step(Record):
    """From this time of day on, so many."""

    at: ClockTime
    replicas: int = Field(ge=0, le=1000)


class Options(Record):
    """The steps of a day; the last one holds over midnight."""

    steps: list[Step] = Field(min_length=1, max_length=96)

    @model_validator(mode="after")
    def _in_order(self) -> Options:
        times = [step.at for step in self.steps]
        if sorted(set(times)) != times:
            raise ValueError("the steps must be in the order of their times, each time once")
        if not any(step.replicas for step in self.steps):
            raise ValueError("at least one step needs a replica")
        return self


def bounds(options: Options) -> tuple[int, int]:
    return _at(options, 0.0), max(step.replicas for step in options.steps)


def fewest(options: Options) -> int:
    return min(step.replicas for step in options.steps)


def period_s(options: Options) -> float | None:
    return 60.0


def idle_s(options: Options) -> float | None:
    return None


def grown(options: Options, factor: float) -> Options:
    steps = [Step(at=s.at, replicas=times(s.replicas, factor)) for s in options.steps]
    return Options(steps=steps)


def desired(options: Options, observed: Observed, history: History) -> int:
    return _at(options, observed.now_s % DAY_S)


def _at(options: Options, clock_s: float) -> int:
    past = [step for step in options.steps if step.at <= clock_s]
    return (past or options.steps)[-1].replicas
