"""From what traffic on another deployment is cheaper: curves through simulated points.

Between neighbouring points, cost per million over requests a day is taken to be straight on
logarithmic axes. Nothing is said beyond the first and the last point, and nothing across a point
that a deployment could not serve.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise

from bench.record import Record

LEAST = 1e-12
"""What is free has no logarithm: so little stands for it."""


class PointCost(Record):
    """One deployment at one traffic."""

    deployment: str
    usd_per_million: float | None
    """``None`` where it could not be simulated."""
    feasible: bool


class TrafficPoint(Record):
    """One traffic, and what everything costs with it."""

    factor: float
    """Sources ÷ those of the scenario."""
    sources: int
    requests_per_day: float
    """On average; of a closed loop, the most there can be."""
    deployments: list[PointCost]


class Crossing(Record):
    """Where two curves cross: which is cheaper with less traffic, and which with more."""

    below: str
    above: str
    requests_per_day: float


class CheapestRange(Record):
    """Traffic in which one deployment is the cheapest that keeps the objective."""

    deployment: str | None
    """``None``: none keeps it."""
    from_requests_per_day: float
    to_requests_per_day: float


class BreakEven(Record):
    """Cost over traffic, where it crosses, and who is the cheapest where."""

    points: list[TrafficPoint]
    crossings: list[Crossing]
    cheapest: list[CheapestRange]
    """In the order of traffic. Between two ranges that do not touch, who keeps the objective
    changes, and nobody knows where."""
    left_out: list[str]
    """Traffic that was not simulated, and why."""
    sentence: str
    """The cheapest, in words."""


def break_even(points: Sequence[TrafficPoint], left_out: Sequence[str] = ()) -> BreakEven:
    """Draw the curves through ``points`` (in any order)."""
    ordered = sorted(points, key=lambda point: point.requests_per_day)
    cheapest = _merged(_pieces(ordered))
    return BreakEven(
        points=ordered,
        crossings=sorted(_crossings(ordered), key=lambda crossing: crossing.requests_per_day),
        cheapest=cheapest,
        left_out=list(left_out),
        sentence=_sentence(cheapest),
    )


def _crossings(points: Sequence[TrafficPoint]) -> Iterator[Crossing]:
    names = [cost.deployment for cost in points[0].deployments] if points else []
    for one, other in combinations(names, 2):
        before: tuple[TrafficPoint, float] | None = None
        level: float | None = None  # where both began to cost the same
        for point in points:
            step = _difference(point, one, other)
            if step is None:
                before = level = None
            elif step == 0:
                level = point.requests_per_day if level is None else level
            else:
                if before is not None and before[1] * step < 0:
                    at = _zero(before, (point, step)) if level is None else level
                    below, above = (one, other) if step > 0 else (other, one)
                    yield Crossing(below=below, above=above, requests_per_day=at)
                before, level = (point, step), None


def _difference(point: TrafficPoint, one: str, other: str) -> float | None:
    """Above zero where ``one`` is dearer."""
    first, second = _log_usd(point, one), _log_usd(point, other)
    return None if first is None or second is None else first - second


def _log_usd(point: TrafficPoint, name: str) -> float | None:
    usd = _costs(point)[name].usd_per_million
    return None if usd is None else math.log(max(usd, LEAST))


def _costs(point: TrafficPoint) -> dict[str, PointCost]:
    return {cost.deployment: cost for cost in point.deployments}


def _zero(left: tuple[TrafficPoint, float], right: tuple[TrafficPoint, float]) -> float:
    """The traffic at which a straight line on logarithmic axes is zero."""
    share = left[1] / (left[1] - right[1])
    begin, end = (math.log(point.requests_per_day) for point, _ in (left, right))
    return math.exp(begin + share * (end - begin))


def _pieces(points: Sequence[TrafficPoint]) -> Iterator[CheapestRange]:
    """Who is the cheapest at each point, and between neighbours as far as it is known."""
    for left, right in pairwise(points):
        yield _piece(_winner(left), left.requests_per_day, left.requests_per_day)
        yield from _between(left, right)
    if points:
        last = points[-1]
        yield _piece(_winner(last), last.requests_per_day, last.requests_per_day)


def _piece(name: str | None, begin: float, end: float) -> CheapestRange:
    return CheapestRange(deployment=name, from_requests_per_day=begin, to_requests_per_day=end)


def _winner(point: TrafficPoint) -> str | None:
    known = {
        cost.deployment: cost.usd_per_million
        for cost in point.deployments
        if cost.feasible and cost.usd_per_million is not None
    }
    return min(known, key=lambda name: known[name], default=None)


def _between(left: TrafficPoint, right: TrafficPoint) -> Iterator[CheapestRange]:
    """The lower envelope of the curves; nothing where its lowest may have ceased to be feasible."""
    at_left, at_right = _costs(left), _costs(right)
    able = [
        name
        for name in at_left
        if _log_usd(left, name) is not None
        and _log_usd(right, name) is not None
        and (at_left[name].feasible or at_right[name].feasible)
    ]
    if not {_winner(left), _winner(right)} <= {*able, None}:
        return
    begin, end = left.requests_per_day, right.requests_per_day
    cuts = [
        crossing.requests_per_day
        for crossing in _crossings([left, right])
        if {crossing.below, crossing.above} <= set(able)
    ]
    for low, high in pairwise([begin, *sorted(cuts), end]):
        middle = (math.log(low) + math.log(high)) / 2 - math.log(begin)
        share = middle / (math.log(end) - math.log(begin))
        usd = {name: _inside(left, right, name, share) for name in able}
        name = min(usd, key=lambda name: usd[name], default=None)
        if name is not None and at_left[name].feasible and at_right[name].feasible:
            yield _piece(name, low, high)


def _inside(left: TrafficPoint, right: TrafficPoint, name: str, share: float) -> float:
    begin, end = _log_usd(left, name), _log_usd(right, name)
    assert begin is not None and end is not None  # noqa: S101, PT018
    return begin + share * (end - begin)


def _sentence(cheapest: Sequence[CheapestRange]) -> str:
    said = []
    for span in cheapest:
        begin, end = span.from_requests_per_day, span.to_requests_per_day
        where = f"at {begin:,.0f}" if begin == end else f"from {begin:,.0f} to {end:,.0f}"
        said.append(f"{span.deployment or 'none'} {where}")
    return f"The cheapest that keeps the objective: {', '.join(said)} requests a day."


def _merged(pieces: Iterator[CheapestRange]) -> list[CheapestRange]:
    """Pieces that touch, of one deployment, are one."""
    found: list[CheapestRange] = []
    for piece in pieces:
        last = found[-1] if found else None
        touches = last is not None and last.to_requests_per_day == piece.from_requests_per_day
        if last and last.deployment == piece.deployment and (touches or last.deployment is None):
            changes = {"to_requests_per_day": piece.to_requests_per_day}
            found[-1] = last.model_copy(update=changes)
        else:
            found.append(piece)
    return found
