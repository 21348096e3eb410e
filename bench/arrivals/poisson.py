"""Independent sources, each a Poisson process of constant rate."""

from __future__ import annotations

import numpy as np

from bench.arrivals import Arrivals
from bench.record import Record
from bench.units import PerSecond


class Options(Record):
    """Rate of one source."""

    rate: PerSecond


def mean_rate(options: Options) -> float:
    return options.rate


def draw(options: Options, sources: int, length_s: float, rng: np.random.Generator) -> Arrivals:
    # Superposition: the sum of Poisson processes is one, and each event's source is uniform.
    # Given their number, the events are uniform on the interval.
    number = rng.poisson(options.rate * sources * length_s)
    return np.sort(rng.uniform(0, length_s, number)), rng.integers(0, sources, number)
