"""The requests of one day: the same for every deployment of a replication."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bench import extensions
from bench.errors import InputError
from bench.scenario import Workload
from bench.streams import Streams

ARRIVALS = "bench.arrivals"
MAX_REQUESTS = 20_000_000
"""More than this in one day is refused: the per-request method would take hours."""


@dataclass(frozen=True)
class Demand:
    """Scheduled arrivals in seconds after midnight, sorted, and the source of each."""

    arrival_s: npt.NDArray[np.float64]
    source: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.arrival_s)


def mean_rate(workload: Workload) -> float:
    """Requests per second of all sources together, while they are active."""
    module, options = _process(workload)
    return float(module.mean_rate(options)) * workload.sources


def draw_demand(workload: Workload, streams: Streams) -> Demand:
    """Draw one day.

    Raises:
        InputError: the day would hold more requests than can be simulated one by one.
    """
    expected = mean_rate(workload) * workload.active.length_s
    if expected > MAX_REQUESTS:
        raise InputError(
            f"the workload makes {expected:,.0f} requests a day",
            where="workload",
            allowed=f"up to {MAX_REQUESTS:,} a day",
            todo="Lower the rate, the number of sources, or the active hours",
        )
    module, options = _process(workload)
    rng = streams.get("arrivals")
    times, source = module.draw(options, workload.sources, workload.active.length_s, rng)
    return Demand(times + workload.active.start, source)


def _process(workload: Workload) -> tuple[Any, Any]:
    module = extensions.load(ARRIVALS, workload.arrivals.name)
    return module, module.Options.model_validate(workload.arrivals.options)
