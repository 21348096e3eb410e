"""Deployment kinds: one file each.

Each file has ``capacity(deployment, profile, workload)``, the requests per second it can serve at
most, and ``play(setting) -> Outcome``, which simulates one day.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.profile import Profile
from bench.scenario import Workload
from bench.simulate.demand import Demand
from bench.simulate.results import Usage
from bench.streams import Streams


@dataclass(frozen=True)
class Setting:
    """One day of one deployment."""

    deployment: Any
    profile: Profile
    workload: Workload
    demand: Demand
    streams: Streams


@dataclass(frozen=True)
class Outcome:
    """When each request was answered (``inf``: not within the simulated time), and the cost drivers."""

    finished_s: npt.NDArray[np.float64]
    ready_s: float
    """Server-seconds ready to work."""
    busy_s: float
    mean_batch: float
    max_replicas: int
    usage: Usage
