"""What Kubernetes' horizontal pod autoscaler makes of a wish, wherever the wish comes from.

It decides every 15 s. A wish within 10 % of what there is changes nothing. Scaling down waits for the
highest wish of the last 300 s; then at most 100 % go in 15 s. Scaling up waits for nothing, but in
15 s at most 4 replicas or 100 % come, whichever is more (Kubernetes documentation, "Horizontal Pod
Autoscaling", "Default Behavior"; ``horizontal.go``, ``convertDesiredReplicasWithBehaviorRate`` and
``stabilizeRecommendationWithBehaviors``). KEDA leaves all of this to it, from one replica on.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Self

from pydantic import Field, model_validator

from bench.record import Record
from bench.simulate.scaling import PHASE, History, Observed, times
from bench.units import Fraction, Period, Seconds, Share


class Limit(Record):
    """At most so many replicas, or such a share of those there were, come or go in a period."""

    pods: int | None = Field(default=None, ge=1, le=1000)
    share: Share | None = None
    period: Period = 15.0

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.pods is None) == (self.share is None):
            raise ValueError("give pods or share, and not both")
        return self

    def after(self, replicas: int, sign: int) -> int:
        """The most (or with ``sign`` -1 the fewest) there may be, of those when the period began."""
        if self.pods is not None:
            return replicas + sign * self.pods
        bound = replicas * (1 + sign * (self.share or 0.0))
        return math.ceil(bound - 1e-9) if sign > 0 else math.floor(bound + 1e-9)


class Behaviour(Record):
    """Bounds and behaviour; the defaults are Kubernetes' own."""

    min_replicas: int = Field(ge=1, le=1000)
    max_replicas: int = Field(ge=1, le=1000)
    period: Period = 15.0
    """Between decisions."""
    tolerance: Fraction = 0.1
    """Of what is wished for, so much more or less than there is changes nothing."""
    up_stabilisation: Seconds = 0.0
    """Scaling up waits for the lowest wish of so long."""
    down_stabilisation: Seconds = 300.0
    """Scaling down waits for the highest wish of so long."""
    scale_up: list[Limit] = Field(
        default=[Limit(pods=4), Limit(share=1.0)], min_length=1, max_length=10
    )
    """The most that come; the most generous limit counts."""
    scale_down: list[Limit] = Field(default=[Limit(share=1.0)], min_length=1, max_length=10)
    """The most that go; the most generous limit counts."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.max_replicas < self.min_replicas:
            raise ValueError("max_replicas must not be below min_replicas")
        return self


def bounds(options: Behaviour) -> tuple[int, int]:
    return options.min_replicas, options.max_replicas


def fewest(options: Behaviour) -> int:
    return options.min_replicas


def period_s(options: Behaviour) -> float | None:
    return options.period


def first_s(options: Behaviour) -> float:
    return PHASE * options.period


def grown(options: Behaviour, factor: float) -> Behaviour:
    most = max(times(options.max_replicas, factor), options.min_replicas)
    return type(options)(**{**options.model_dump(), "max_replicas": most})


def followed(options: Behaviour, wish: int, observed: Observed, history: History) -> int:
    """The replicas to have from now on, of those wished for.

    ``history`` keeps when, the wish, and the change that was made.
    """
    now, current = observed.now_s, observed.replicas
    wish = min(max(wish, options.min_replicas, 1), options.max_replicas)
    limits = [*options.scale_up, *options.scale_down]
    longest = max(
        options.up_stabilisation, options.down_stabilisation, *(limit.period for limit in limits)
    )
    while history and history[0][0] < now - longest:
        history.pop(0)
    settled = _settled(options, wish, observed, history)
    if settled > current:
        most = max(_reached(options.scale_up, observed, history, +1), current)
        decided = min(settled, most)
    else:
        least = min(_reached(options.scale_down, observed, history, -1), current)
        decided = max(settled, least)
    decided = min(max(decided, options.min_replicas, 1), options.max_replicas)
    if history and history[-1][1:] == (wish, 0) and decided == current:
        history.pop()  # the same wish, later, says all that it said
    history.append((now, wish, decided - current))
    return decided


def passed(history: History, now_s: float) -> None:
    """The same wish as ever, until then."""
    history[-1] = (now_s, *history[-1][1:])


def _settled(options: Behaviour, wish: int, observed: Observed, history: History) -> int:
    """What there is, moved as far as all wishes of the time agree on."""

    def wishes(window_s: float) -> Iterator[float]:
        yield wish
        yield from (then for at, then, _ in history if at >= observed.now_s - window_s)

    lowest = min(wishes(options.up_stabilisation))
    highest = max(wishes(options.down_stabilisation))
    return int(min(max(observed.replicas, lowest), highest))


def _reached(limits: Sequence[Limit], observed: Observed, history: History, sign: int) -> int:
    """The farthest that any of the limits allows, counted from where its period began."""

    def end(limit: Limit) -> int:
        since = observed.now_s - limit.period
        begun = observed.replicas - int(sum(change for at, _, change in history if at > since))
        return limit.after(begun, sign)

    ends = [end(limit) for limit in limits]
    return max(ends) if sign > 0 else min(ends)
