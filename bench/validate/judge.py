"""Live against simulated, figure by figure, beside what two live runs of the same requests differ by.

Blocks are what repeats: each is simulated with exactly its own requests, so that the luck of the traffic
cancels, and errors are those of the model and of the machine's changing speed. Intervals come from
drawing whole blocks anew (the bootstrap; a block is as long as anything in it depends on each other), with
Student's factor for their small number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from bench.record import Estimate
from bench.stats import student
from bench.validate.figures import Answered, Figure, figure_of, in_order
from bench.validate.validation import Compared, Judgement

DRAWS = 100
MOST_SWAPS = 64
CONFIDENCE = 0.95
LEAST = 0.05
"""Of the mean response time: a part of it that is smaller does not matter."""
FALSE_ALARMS = 0.01
"""Of sessions in which nothing is off, so many may say that something is."""
Figures = Mapping[str, float]
Figured = Callable[[Sequence[Answered]], Figures]


@dataclass(frozen=True)
class Pair:
    """One block of load: what was seen, and what might have been by the simulator."""

    traffic: tuple[float, int]
    """The same for two runs of the same requests."""
    live: Answered
    simulated: Sequence[Answered]


def compare(
    pairs: Sequence[Pair], figured: Figured, looks: int, rng: np.random.Generator
) -> list[Compared]:
    """Every figure that both sides have.

    Args:
        figured: figures of several blocks together.
        looks: figures that the whole session compares; the more, the surer one must be to be off.
    """
    live, simulated = _of_both(pairs, figured)
    draws = [_drawn(pairs, figured, rng) for _ in range(DRAWS)]
    halves = _halves(pairs, figured, rng)
    found = []
    for name in in_order(name for name in live if name in simulated):
        known = [(one[name], other[name]) for one, other in draws if one and other]
        swapped = [(one[name], other[name]) for one, other in halves if one and other]
        least = 0.0 if figure_of(name).unit != "s" else LEAST * live["mean"]
        found.append(
            _compared(name, (live[name], simulated[name]), known, swapped, least, len(pairs), looks)
        )
    return found


def _compared(
    name: str,
    value: tuple[float, float],
    drawn: Sequence[tuple[float, float]],
    swapped: Sequence[tuple[float, float]],
    least: float,
    blocks: int,
    looks: int,
) -> Compared:
    """One figure, live and simulated: as seen, of blocks drawn anew, and of two live runs."""
    figure = figure_of(name)
    errors = [_error(figure, *both, least) for both in drawn]
    error = _error(figure, *value, least)
    spread = _spread(figure, swapped, least)
    seen = _estimate(error, errors, blocks, CONFIDENCE)
    sure = _estimate(error, errors, blocks, 1 - FALSE_ALARMS / looks)
    return Compared(
        figure=name,
        unit=figure.unit,
        in_points=figure.in_points,
        live=_estimate(value[0], [one for one, _ in drawn], blocks, CONFIDENCE),
        simulated=_estimate(value[1], [other for _, other in drawn], blocks, CONFIDENCE),
        error=seen,
        spread=spread,
        tolerance=figure.tolerance,
        verdict=judge(seen, sure, spread, figure.tolerance),
    )


def judge(seen: Estimate, sure: Estimate, spread: float | None, tolerance: float) -> Judgement:
    """What an error comes to.

    Within the tolerance: its whole interval is. Within the spread: the error is no more than two live runs
    differ by. Off: it is more than that, and even its widest interval lies beyond the tolerance. Else
    more blocks are needed to tell.

    Args:
        seen: the error, with its interval.
        sure: the same, so wide that of all figures of a session hardly any is missed.
    """
    if seen.value is None or None in (seen.low, seen.high, sure.low, sure.high):
        return "UNDECIDED"
    assert seen.low is not None and seen.high is not None  # noqa: S101, PT018
    assert sure.low is not None and sure.high is not None  # noqa: S101, PT018
    if -tolerance <= seen.low and seen.high <= tolerance:
        return "WITHIN TOLERANCE"
    if spread is not None and abs(seen.value) <= spread:
        return "WITHIN SPREAD"
    if sure.low > tolerance or sure.high < -tolerance:
        return "OFF"
    return "UNDECIDED"


def _drawn(
    pairs: Sequence[Pair], figured: Figured, rng: np.random.Generator
) -> tuple[Figures, Figures]:
    """Of as many blocks, drawn with replacement."""
    return _of_both([pairs[place] for place in rng.integers(0, len(pairs), len(pairs))], figured)


def _of_both(pairs: Sequence[Pair], figured: Figured) -> tuple[Figures, Figures]:
    """Of these blocks live, and the median over simulations of the same blocks.

    All simulations together would be another experiment: one so much longer that it meets moments that
    are rarer than these blocks can show, which percentiles tell.
    """
    sessions = [figured(one) for one in zip(*(pair.simulated for pair in pairs), strict=True)]
    known = [session for session in sessions if session]
    names = known[0].keys() if known else ()
    simulated = {name: float(np.median([one[name] for one in known])) for name in names}
    return figured([pair.live for pair in pairs]), simulated


def _halves(
    pairs: Sequence[Pair], figured: Figured, rng: np.random.Generator
) -> list[tuple[Figures, Figures]]:
    """Figures of two live runs of the same requests, for every way to call one of two the first, or some."""
    twice = {
        traffic: [pair.live for pair in pairs if pair.traffic == traffic][:2]
        for traffic in {pair.traffic for pair in pairs}
    }
    runs = [both for both in twice.values() if len(both) == 2]
    if not runs:
        return []
    return [
        (
            figured([both[first] for both, first in zip(runs, (0, *swap), strict=True)]),
            figured([both[1 - first] for both, first in zip(runs, (0, *swap), strict=True)]),
        )
        for swap in _swaps(len(runs) - 1, rng)
    ]


def _swaps(pairs: int, rng: np.random.Generator) -> list[list[int]]:
    """Of so many pairs: all choices of one of two, or where they are many, as many as are drawn."""
    if 2**pairs <= MOST_SWAPS:
        return [list(choice) for choice in product((0, 1), repeat=pairs)]
    drawn: list[list[int]] = rng.integers(0, 2, (MOST_SWAPS, pairs)).tolist()
    return drawn


def _spread(figure: Figure, halves: Sequence[tuple[float, float]], least: float) -> float | None:
    """What two live runs differ by, at most in nineteen of twenty cases were it normal."""
    if not halves:
        return None
    errors = np.array([_error(figure, one, other, least) for one, other in halves])
    return float(1.96 * np.sqrt(np.mean(errors**2)))


def _error(figure: Figure, live: float, simulated: float, least: float) -> float:
    """``least``: what is smaller is not worth a relative error of its own."""
    if figure.in_points:
        return simulated - live
    return (simulated - live) / max(live, least)


def _estimate(value: float, drawn: Sequence[float], blocks: int, confidence: float) -> Estimate:
    if blocks < 2 or len(drawn) < 2:
        return Estimate(value=value, n=blocks)
    # Drawn blocks vary by (n - 1) / n of what true ones would.
    wide = student(confidence, blocks - 1) * float(np.std(drawn)) * math.sqrt(blocks / (blocks - 1))
    return Estimate(
        value=value, low=value - wide, high=value + wide, n=blocks, confidence=confidence
    )
