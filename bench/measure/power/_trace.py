"""From readings to mean power: the arithmetic of a window, and the rules it must keep."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from bench.measure.power import Reading, Source
from bench.record import Estimate
from bench.stats import BATCH_MEANS, mean_interval

SHORTEST_WINDOW_S = 5.0
LARGEST_GAP_S = 3.0
COUNTER_TOLERANCE = 0.05
STALE_S = 1.0
"""A counter that has not moved for so long stands still: the slowest move every 100 ms."""
SHORTEST_BLOCK_S = 1.0
"""Some power readings are averages over 1 s; shorter blocks would repeat each other."""

_FAULTS = {
    "counter-stale": "stood still",
    "counter-went-back": "went back",
    "counter-jumped": "rose faster than anything draws power",
}

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Curve(ABC):
    """A function of time, given at two or more points in order, and straight between them."""

    at_s: Floats
    values: Floats

    @abstractmethod
    def joules(self, start_s: float, end_s: float) -> float:
        """Energy between two moments, both within the points."""

    def at(self, time_s: float) -> float:
        return float(np.interp(time_s, self.at_s, self.values))

    def covered(self, length_s: float) -> tuple[float, float]:
        """The part of the window from 0 to ``length_s`` that lies within the points."""
        return max(0.0, float(self.at_s[0])), min(length_s, float(self.at_s[-1]))

    def mean_w(self, length_s: float) -> float:
        start_s, end_s = self.covered(length_s)
        return self.joules(start_s, end_s) / (end_s - start_s)

    def largest_gap_s(self, length_s: float) -> float:
        """The longest time without a point; one that the window cuts counts in full."""
        first = max(int(np.searchsorted(self.at_s, 0.0, "right")) - 1, 0)
        last = int(np.searchsorted(self.at_s, length_s, "left")) + 1
        needed = self.at_s[first:last]
        bounds = [min(0.0, needed[0])], needed, [max(length_s, needed[-1])]
        return float(np.diff(np.concatenate(bounds)).max())

    def within(self, length_s: float) -> tuple[Floats, Floats]:
        inside = (self.at_s >= 0.0) & (self.at_s <= length_s)
        return self.at_s[inside], self.values[inside]


class Counter(Curve):
    """Cumulative joules."""

    def joules(self, start_s: float, end_s: float) -> float:
        return self.at(end_s) - self.at(start_s)

    def fault(self, length_s: float, most_w: float) -> str | None:
        """The code of what makes the counter useless in the window."""
        times, values = self.within(length_s)
        steps = np.diff(values)
        if (steps < 0).any():
            return "counter-went-back"
        if (steps > most_w * (np.diff(times) + STALE_S)).any():
            return "counter-jumped"
        moves = np.flatnonzero(steps) + 1
        firsts = np.concatenate(([0], moves))
        lasts = np.concatenate((moves, [times.size])) - 1
        still = times.size > 0 and (times[lasts] - times[firsts]).max() > STALE_S
        return "counter-stale" if still else None


class Power(Curve):
    """Watts."""

    def joules(self, start_s: float, end_s: float) -> float:
        """The trapezoidal rule with interpolated boundaries."""
        inside = (self.at_s > start_s) & (self.at_s < end_s)
        times = np.concatenate(([start_s], self.at_s[inside], [end_s]))
        return float(np.trapezoid(np.interp(times, self.at_s, self.values), times))


@dataclass(frozen=True)
class Window:
    """Mean power between two moments, or the reason why there is none."""

    length_s: float
    mean_w: Estimate
    source: Source
    samples: int
    largest_gap_s: float | None
    codes: frozenset[str]
    counter_j: float | None = None
    trapezoid_j: float | None = None


def evaluate(
    readings: Sequence[Reading],
    start_ns: int,
    end_ns: int,
    source: Source,
    most_w: float = float("inf"),
) -> Window:
    """Mean power between two moments of ``time.perf_counter_ns``.

    ``readings`` are in the order of time; ``source`` is what their sensor says of itself. What is
    below zero or above ``most_w``, more than such a thing can draw, is no power and left out. A
    counter is preferred; where it is at fault, the trapezoid takes its place and the window is
    ``sampled``. The mean over what the readings cover stands for the whole window; what they
    leave uncovered at its ends is a gap.
    """
    length_s = (end_ns - start_ns) / 1e9
    readings = [_plausible(reading, most_w) for reading in readings]
    counter = _curve(Counter, [(r.at_ns, r.energy_j) for r in readings], start_ns)
    power = _curve(Power, [(r.at_ns, r.power_w) for r in readings], start_ns)
    fault = counter.fault(length_s, most_w) if counter else None
    best = counter if counter and not fault else power
    gap_s = best.largest_gap_s(length_s) if best else None

    inside = [r for r in readings if start_ns <= r.at_ns <= end_ns]
    samples = sum(r.energy_j is not None or r.power_w is not None for r in inside)
    codes = {fault} if fault else set()
    codes.update(code for reading in inside for code in reading.codes)

    if best is None or gap_s is None or length_s < SHORTEST_WINDOW_S or gap_s > LARGEST_GAP_S:
        code, reason = _refusal(length_s, gap_s, fault)
        absent = Estimate.absent(reason, samples)
        return Window(length_s, absent, "none", samples, gap_s, frozenset(codes | {code}))
    counter_j = None if fault else _joules(counter, length_s)
    trapezoid_j = _joules(power, length_s)
    if best is counter and _differ(counter_j, trapezoid_j):
        codes.add("counter-and-trapezoid-differ")
    if source == "counter" and best is power:
        source = "sampled"
    mean_w = _block_mean(best, length_s, gap_s)
    return Window(
        length_s, mean_w, source, samples, gap_s, frozenset(codes), counter_j, trapezoid_j
    )


def _plausible(reading: Reading, most_w: float) -> Reading:
    if reading.power_w is None or 0 <= reading.power_w <= most_w:
        return reading
    return replace(reading, power_w=None, codes=reading.codes | {"power-implausible"})


C = TypeVar("C", bound=Curve)


def _curve(kind: type[C], points: list[tuple[int, float | None]], start_ns: int) -> C | None:
    """A curve in seconds since ``start_ns``, so that no nanosecond is lost to rounding."""
    known = [((at_ns - start_ns) / 1e9, value) for at_ns, value in points if value is not None]
    if len(known) < 2:
        return None
    at_s, values = np.array(known, dtype=float).T
    return kind(at_s, values)


def _refusal(length_s: float, gap_s: float | None, fault: str | None) -> tuple[str, str]:
    """The code and the reason why a window has no value."""
    if length_s < SHORTEST_WINDOW_S:
        least = f"energy needs {SHORTEST_WINDOW_S:g} s or more; raise the budget"
        return "window-shorter-than-5-s", f"the window is {length_s:.2f} s long; {least}"
    if gap_s is not None:
        most = f"at most {LARGEST_GAP_S:g} s may be bridged"
        return "gap-over-3-s", f"there are {gap_s:.1f} s without a reading; {most}"
    if fault:
        return (
            fault,
            f"the energy counter {_FAULTS[fault]}, and the sensor reads no power beside it",
        )
    return "gap-over-3-s", "the sensor gave fewer than two readings"


def _joules(curve: Curve | None, length_s: float) -> float | None:
    if curve is None or curve.largest_gap_s(length_s) > LARGEST_GAP_S:
        return None
    return curve.mean_w(length_s) * length_s


def _differ(counter_j: float | None, trapezoid_j: float | None) -> bool:
    if counter_j is None or trapezoid_j is None:
        return False
    return abs(counter_j - trapezoid_j) > COUNTER_TOLERANCE * counter_j


def _block_mean(curve: Curve, length_s: float, gap_s: float) -> Estimate:
    """Mean power with the interval of batch means over blocks of equal length.

    A block holds two readings or more and is no shorter than the averaging of the sensor, so
    that blocks are nearly independent. The interval is of the power drawn; it does not hold the
    error of the sensor.
    """
    start_s, end_s = curve.covered(length_s)
    fits = int((end_s - start_s) / max(SHORTEST_BLOCK_S, 2 * gap_s))
    edges = np.linspace(start_s, end_s, min(max(fits, 1), BATCH_MEANS) + 1)
    blocks = [curve.joules(a, b) / (b - a) for a, b in pairwise(edges.tolist())]
    return mean_interval(blocks)
