"""A constant number of replicas."""

from __future__ import annotations

from pydantic import Field

from bench.record import Record
from bench.simulate.scaling import History, Observed, times


class Options(Record):
    """How many."""

    replicas: int = Field(ge=1, le=1000)


def bounds(options: Options) -> tuple[int, int]:
    return options.replicas, options.replicas


def fewest(options: Options) -> int:
    return options.replicas


def period_s(options: Options) -> float | None:
    return None


def idle_s(options: Options) -> float | None:
    return None


def grown(options: Options, factor: float) -> Options:
    return Options(replicas=times(options.replicas, factor))


def desired(options: Options, observed: Observed, history: History) -> int:
    return options.replicas
