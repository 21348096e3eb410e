"""Readings that are known beforehand: tapes, and a constructed card and plug.

``l4_card.csv`` and ``l4_plug.csv`` are constructed, not recorded: an inference server with one L4
is at rest until 6 s and under load from 7 s on. The card draws 16 W and then 70 W, the box 260 W
and then 330 W; the plug's clock begins at 10:00:00 in Berlin.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from bench.measure.metering import Meter, PowerReading
from bench.measure.power import Reading, Scope, Source, wall_meter
from bench.record import Estimate

DATA = Path(__file__).parent / "data" / "power"
SECOND = 1_000_000_000


def seconds(value: float) -> int:
    return round(value * SECOND)


class Tape:
    """A sensor with a record of its own: whatever a test wrote on it."""

    scope: Scope = "board"
    title = "tape"

    def __init__(self, readings: Iterable[Reading], source: Source = "counter") -> None:
        self._readings = list(readings)
        self.source = source

    def readings(self) -> Sequence[Reading]:
        return self._readings


def width(estimate: Estimate) -> float:
    """Of the interval."""
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.high - estimate.low


def steady(
    watts: float,
    length_s: float,
    *,
    every_s: float = 0.1,
    counter: Callable[[float], float] | None = None,
    power_read: bool = True,
    codes: Iterable[str] = (),
) -> list[Reading]:
    """Readings of constant power, with a right counter unless another is given."""
    counter = counter or (lambda at_s: watts * at_s)
    return [
        Reading(seconds(at_s), counter(at_s), watts if power_read else None, frozenset(codes))
        for at_s in np.arange(0, length_s + every_s / 2, every_s).tolist()
    ]


def card() -> list[Reading]:
    with (DATA / "l4_card.csv").open() as file:
        return [
            Reading(seconds(float(r["at_s"])), float(r["energy_j"]), float(r["power_w"]))
            for r in csv.DictReader(file)
        ]


def metered(tape: Tape | wall_meter.WallMeter, origin_ns: int = 0) -> PowerReading:
    """Rest from 0.5 s to 5.5 s; 600 inferences one after the other from 8 s to 14 s."""
    meter = Meter(tape)
    meter.rested(origin_ns + seconds(0.5), origin_ns + seconds(5.5))
    return meter.between(origin_ns + seconds(8), origin_ns + seconds(14), inferences=600)
