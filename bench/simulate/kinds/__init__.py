"""Deployment kinds: one file each.

Each file has ``capacity(deployment, profiles, workload)``, the requests per second it can serve at
most, ``quickest(deployment, profiles)``, the shortest response time there can be,
``least_usage(deployment, profiles, days, requests)``, what it uses at the least to answer so many, and
``play(setting) -> Played``, which simulates one replication.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench.profile import Profile
from bench.scenario import Workload
from bench.simulate.control import Event, Span
from bench.simulate.demand import Demand
from bench.simulate.results import OtherWork, Usage
from bench.simulate.service import ServiceTimes, service_times
from bench.simulate.tally import Tally
from bench.streams import Streams
from bench.ticks import ticks
from bench.units import DAY_S

DRAIN_S = 600.0
"""After the last midnight, requests under way are answered for this long."""


@dataclass(frozen=True)
class Setting:
    """One replication of one deployment."""

    deployment: Any
    profiles: Mapping[str, Profile]
    """By the name of the deployment's part."""
    workload: Workload
    demand: Demand
    streams: Streams
    method: Any
    """The package of one method: ``Pool`` and ``Fleet``."""
    days: int
    tally: Tally
    resample: bool
    """Whether the replication draws the measured batches anew."""

    @property
    def midnight(self) -> int:
        """The last one: machines are held until then."""
        return ticks(self.days * DAY_S)

    def service(self, part: str) -> ServiceTimes:
        """Deployments that share an arm share its luck in being measured."""
        profile = self.profiles[part]
        return service_times(
            profile, self.streams.get(f"profile {profile.arm}") if self.resample else None
        )

    def rng(self, role: str) -> np.random.Generator:
        return self.streams.get(role)


@dataclass(frozen=True)
class Played:
    """What was used, beside what the tally has counted."""

    ready: int
    """Server-ticks ready to work."""
    busy: int
    batches: int
    served: int
    max_replicas: int
    usage: dict[str, Usage]
    other_work: OtherWork | None = None
    events: list[Event] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    """When each server was ready."""


def until_of(kind: str, deployment: Any, days: int) -> int:
    """When the simulation of a deployment ends: late enough for answers that are late."""
    if kind == "batch":
        return ticks(days * DAY_S + deployment.window.opens)
    return ticks(days * DAY_S + (DRAIN_S if kind == "real_time" else DAY_S))
