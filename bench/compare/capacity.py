"""How many machines the traffic needs, and whether one of them holds what runs on it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from statistics import fmean

from bench.compare.device_memory import too_large
from bench.hardware import Device, Offer
from bench.profile import Profile
from bench.record import Record
from bench.scenario import (
    Deployment,
    Objective,
    Part,
    ResolvedScenario,
    Workload,
)
from bench.simulate import (
    DeploymentResult,
    expected_requests,
    mean_rate,
    server_rate,
    sites_of,
)
from bench.units import DAY_S

PLANNED_UTILISATION = 0.7
"""Share of the time that a server is planned to be busy. A choice: with one server and random
arrivals, the mean wait is 2.3 service times at 0.7, 4 at 0.8 and 9 at 0.9 (M/M/1)."""
GIB = 2.0**30


class PartCapacity(Record):
    """One part of a deployment: the servers that its mean traffic needs, beside those it held."""

    deployment: str
    part: str
    offer: str
    arrivals_per_s: float
    """Requests that the part must work at, on average over the hours there are for it: the active
    hours, with a due time all until it, and of a batch its window. Of a closed loop, the most there
    can be."""
    server_rate_per_s: float
    """Requests/s of one server that always finds the batch it likes best."""
    servers_at_full_load: int
    """At the edge, at least one at each site."""
    servers_planned: int
    """At :data:`PLANNED_UTILISATION`; bursts and start-ups may need more, the simulation shows it."""
    machines: int
    """Planned servers ÷ those that share a machine."""
    accelerators: int
    """In these machines."""
    most_replicas: int | None
    """The most that any replication held; ``None`` if it was not simulated."""
    memory_bytes: float
    """Peak resident memory of the measuring processes, for as many as share a machine."""
    memory_gib: float
    """Of one machine."""
    fits: bool
    reason: str | None
    """Why it does not."""


def capacity_plan(
    scenario: ResolvedScenario,
    profiles: Mapping[str, Profile],
    deployment: Deployment,
    result: DeploymentResult,
) -> Iterator[PartCapacity]:
    """The capacity plan of every part; ``profiles`` by arm."""
    asked = scenario.scenario
    workload, objective, days = asked.workload, asked.objective, asked.simulate.days
    for stage in deployment.line:
        name, part = stage.name, stage.part
        offer, profile = scenario.offers[name], profiles[scenario.arms[name].name]
        arrivals = _arrivals_per_s(workload, objective, days, deployment, name, part, result)
        rate = server_rate(stage, profile, workload)
        sites = sites_of(workload) if part.at_sources else 1
        planned = sites * _ceil(arrivals / sites / (PLANNED_UTILISATION * rate))
        machines = _ceil(planned / part.per_node)
        reason = misfit(part, profile, offer, scenario.arms[name].device)
        yield PartCapacity(
            deployment=deployment.name,
            part=name,
            offer=offer.name,
            arrivals_per_s=arrivals,
            server_rate_per_s=rate,
            servers_at_full_load=sites * _ceil(arrivals / sites / rate),
            servers_planned=planned,
            machines=machines,
            accelerators=machines * offer.machine.accelerators,
            most_replicas=_most(part, result),
            memory_bytes=_memory_bytes(part, profile),
            memory_gib=offer.machine.memory_gib,
            fits=reason is None,
            reason=reason,
        )


def misfit(part: Part, profile: Profile, offer: Offer, device: Device) -> str | None:
    """Why a machine of the offer cannot hold the servers that are to share it.

    Args:
        device: what the profile was measured on.
    """
    needed, there = _memory_bytes(part, profile), offer.machine.memory_gib
    if needed > there * GIB:
        shared = f" for {part.per_node} replicas" if part.per_node > 1 else ""
        return f"needs {needed / 1e9:.3g} GB{shared}, the machine has {there:g} GiB"
    if is_accelerator_of(offer, device) and (why := too_large(part, profile, offer, device)):
        return why
    return _crowded(part, profile, offer, device)


def _crowded(part: Part, profile: Profile, offer: Offer, device: Device) -> str | None:
    """Why replicas would get in each other's way: each was measured with all it needs to itself."""
    replicas, machine = part.per_node, offer.machine
    if replicas == 1:
        return None
    if is_accelerator_of(offer, device):
        return _too_many(replicas, "accelerator", "", machine.accelerators, replicas)
    threads = f" of {profile.threads} threads" if profile.threads > 1 else ""
    return _too_many(replicas, "vCPU", threads, machine.vcpus, replicas * profile.threads)


def _too_many(replicas: int, what: str, each: str, there: int, needed: int) -> str | None:
    if needed <= there:
        return None
    many = f"{there} {what}{'s' * (there != 1)}"
    return (
        f"{replicas} replicas{each} would share a machine of {many}, and each was measured with its "
        f"own: at most {max(there * replicas // needed, 1)} may"
    )


def is_accelerator_of(offer: Offer, device: Device) -> bool:
    """Whether the device is one of those that the offer counts, beside the machine's processor."""
    known = {device.name, *device.stands_for}
    return offer.machine.accelerators > 0 and offer.machine.device in known


def _memory_bytes(part: Part, profile: Profile) -> float:
    return float(profile.memory_bytes * part.per_node)


def _arrivals_per_s(
    workload: Workload,
    objective: Objective,
    days: int,
    deployment: Deployment,
    name: str,
    part: Part,
    result: DeploymentResult,
) -> float:
    hours_s = _time_for(part, workload, objective)
    if name != deployment.line[0].name:
        # What is passed on, only the simulation knows; without it, all may be.
        passed = [day.usage[name].served / day.days / hours_s for day in result.replications]
        if passed:
            return fmean(passed)
    if objective.due is None and part.window is None:
        return mean_rate(workload)
    return expected_requests(workload, days) / days / hours_s


def _time_for(part: Part, workload: Workload, objective: Objective) -> float:
    """Seconds of a day in which its requests can be worked at and be in time."""
    active, window = workload.active, part.window
    begin, length_s = active.start, active.length_s
    if window is not None:
        begin, length_s = window.opens, window.length_s
    if objective.due is None:
        return length_s
    until_due_s = DAY_S + objective.due.by - begin
    return min(DAY_S if window is None else length_s, until_due_s)


def _most(part: Part, result: DeploymentResult) -> int | None:
    if not result.replications:
        return None
    if part.at_sources:
        return part.number
    return max(day.max_replicas for day in result.replications)


def _ceil(number: float) -> int:
    """Rounded up; the hair of a binary fraction does not count."""
    return math.ceil(max(number - 1e-9, 0.0))
