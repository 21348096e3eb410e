"""Deployment kinds: one file each.

Each file has ``capacity(deployment, profiles, workload)``, what limits the requests of a day (a list
of :class:`bench.simulate.limits.Limit`), ``quickest(deployment, profiles)``, the shortest response
time there can be,
``least_usage(deployment, profiles, days, requests)``, what it uses at the least to answer so many, and
``play(setting) -> Played``, which simulates one replication.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench.profile import Profile
from bench.scenario import Objective, Workload
from bench.simulate.control import Event, Span
from bench.simulate.demand import Demand
from bench.simulate.plane import Pool
from bench.simulate.results import OtherWork, Usage
from bench.simulate.service import ServiceTimes, service_times
from bench.simulate.tally import Tally
from bench.streams import Streams
from bench.ticks import ticks
from bench.units import DAY_S

LONGEST_WAIT_S = 30 * DAY_S
"""Who waits longer, waits for servers that can never keep up."""
STEP_S = 3600.0
"""So often it is asked whether all is answered."""
DRAIN_S = 600.0
"""However soon all is due, requests under way are given this long."""


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
    until: int
    """When the simulation ends: see :func:`until_of`."""
    tally: Tally
    resample: bool
    """Whether the replication draws the measured batches anew."""

    @property
    def midnight(self) -> int:
        """The last one: the accounting days end."""
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
    """Server-ticks ready to work, …"""
    busy: int
    """… and those of them spent on requests."""
    available: int
    """Server-ticks that there would be with as many servers as there may be, for a day's work."""
    batches: int
    served: int
    max_replicas: int
    usage: dict[str, Usage]
    other_work: OtherWork | None = None
    events: list[Event] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    """When each server was ready."""


def next_day_of(deployment: Any, workload: Workload, days: int) -> int:
    """When the work of the day after the last would begin."""
    batch = deployment.kind == "batch"
    return ticks(days * DAY_S + (deployment.window.opens if batch else workload.active.start))


def work_off(setting: Setting, pool: Pool) -> None:
    """Go on while requests are unanswered: to the end, or until there are none.

    Users of a closed loop stop at midnight, but who of them still waits, only the end tells.
    """
    until, now = setting.until, setting.midnight + ticks(DRAIN_S)
    while now < until and not _all_answered(setting, now):
        now = until if setting.demand.closed else min(now + ticks(STEP_S), until)
        pool.run(now)


def end_of_work(setting: Setting) -> int:
    """The last answer, not before the last midnight; the end where some are still missing."""
    demand, last = setting.demand, setting.tally["last_end"]
    missing = not demand.closed and not _all_answered(setting, setting.until)
    return setting.until if missing else min(max(last, setting.midnight), setting.until)


def _all_answered(setting: Setting, now: int) -> bool:
    demand, tally = setting.demand, setting.tally
    return demand.exhausted and tally["ended"] == demand.offered and tally["last_end"] < now


def until_of(workload: Workload, objective: Objective, days: int) -> int:
    """When a simulation ends, whatever the kind: late enough for every answer that is in time.

    No request comes after the last midnight. A day later, all that is due on the next day has been
    due, and a backlog of a day's work is worked off; a longer response limit gives the last request
    its time, up to :data:`LONGEST_WAIT_S`.
    """
    last_s = (days - 1) * DAY_S + workload.active.end
    limit_s = objective.response.limit if objective.response else 0.0
    return ticks(max(days * DAY_S + DAY_S, last_s + min(limit_s, LONGEST_WAIT_S)) + DRAIN_S)
