"""Independent sources with gamma-distributed gaps: burstier than Poisson, or more even.

A coefficient of variation of 1 is the Poisson process; 2 to 4 are common for bursty services.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import Field

from bench.arrivals import Arrivals
from bench.record import Record
from bench.units import PerSecond


class Options(Record):
    """Rate of one source, and the coefficient of variation of the gaps."""

    rate: PerSecond
    cv: float = Field(default=2.0, gt=0, le=20)


def mean_rate(options: Options) -> float:
    return options.rate


def draw(options: Options, sources: int, length_s: float, rng: np.random.Generator) -> Arrivals:
    streams = [_one(options, length_s, rng) for _ in range(sources)]
    times = np.concatenate(streams)
    source = np.repeat(np.arange(sources), [len(stream) for stream in streams])
    order = np.argsort(times, kind="stable")
    return times[order], source[order]


def _one(options: Options, length_s: float, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    shape = 1 / options.cv**2
    scale = 1 / (options.rate * shape)
    # The process has run for ever before the start: begin inside a gap picked by its length.
    # A gap seen at a random moment is gamma with shape + 1, and the moment is uniform in it.
    times = [np.array([rng.gamma(shape + 1, scale) * rng.uniform()])]
    while times[-1][-1] < length_s:
        expected = (length_s - times[-1][-1]) * options.rate
        gaps = rng.gamma(shape, scale, int(expected + 4 * options.cv * expected**0.5) + 16)
        times.append(times[-1][-1] + np.cumsum(gaps))
    joined = np.concatenate(times)
    return joined[joined < length_s]
