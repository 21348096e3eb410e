"""The candidates: every offer × what runs on it × batching × scaling, nodes or devices.

The scenario's own deployments are templates: they say over which network a kind of deployment is
reached, how long nodes take to start, and when a batch runs. They are candidates themselves, too.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from bench.hardware import Offer, PurchasedOffer, Region, RentedOffer
from bench.plan.names import name_of
from bench.profile import Profile
from bench.scenario import (
    Arm,
    BatchDeployment,
    Choice,
    Deployment,
    EdgeDeployment,
    HybridDeployment,
    LineDeployment,
    PlanSpace,
    RealTimeDeployment,
    ResolvedScenario,
    Spot,
)
from bench.simulate import largest_batch
from bench.units import DAY_S

BATCHES = (2, 4, 8, 16, 32, 64)
WAITS_S = (0.002, 0.005, 0.01)
REPLICAS = (1, 2, 3, 4, 6, 8)
AUTOSCALED = ((1, 4), (2, 8))
TARGET = 0.6
LARGEST_ON_LINE = 8
SPOT = Spot(mean_life=DAY_S)
"""Larger batches are searched for batch deployments only."""


@dataclass(frozen=True)
class Runs:
    """What can run on the machine of one offer."""

    offer: Offer
    region: Region | None
    arms: Sequence[Arm]
    carried: bool = False
    """Whether it goes about with the one person it serves, as a phone does."""


@dataclass(frozen=True)
class Candidate:
    """One deployment to judge, with the offers and arms of its parts."""

    deployment: Deployment
    offers: Mapping[str, Offer]
    arms: Mapping[str, Arm]
    regions: Mapping[str, Region | None]


Whole = BatchDeployment | RealTimeDeployment | EdgeDeployment
"""Of one stage, which may be put elsewhere."""


def candidates(
    scenario: ResolvedScenario, runs: Sequence[Runs], profiles: Mapping[str, Profile]
) -> Iterator[Candidate]:
    """All of them; ``profiles`` by arm. The scenario's own deployments come first."""
    space = _with_life_of_spot(scenario.scenario.plan, scenario.scenario.deployments)
    taken = {deployment.name for deployment in scenario.scenario.deployments}
    for deployment in scenario.scenario.deployments:
        yield Candidate(
            deployment,
            {part: scenario.offers[part] for part in deployment.parts},
            {part: scenario.arms[part] for part in deployment.parts},
            {part: scenario.regions[part] for part in deployment.parts},
        )
    sites = scenario.scenario.workload.sites or 1
    carried = {run.offer.name for run in runs if run.carried}
    for template in _templates(scenario.scenario.deployments):
        for run in runs:
            if not any(fnmatchcase(run.offer.name, pattern) for pattern in space.offers):
                continue
            for arm in run.arms:
                profile = profiles[arm.name]
                for variant in _variants(template, run.offer, profile, space, sites, carried):
                    candidate = _named(variant, run, arm, taken)
                    taken.add(candidate.deployment.name)
                    yield candidate


def _with_life_of_spot(space: PlanSpace, deployments: Sequence[Deployment]) -> PlanSpace:
    """Candidates are never on spot nodes that are not evicted."""
    said = (
        part.spot
        for deployment in deployments
        for part in deployment.parts.values()
        if part.spot is not None
    )
    return space.model_copy(update={"spot": space.spot or next(said, SPOT)})


def _templates(deployments: Sequence[Deployment]) -> Iterator[Whole]:
    """The first at each place; stages that belong together stay as they are."""
    seen = set()
    for deployment in deployments:
        if not isinstance(deployment, HybridDeployment | LineDeployment):
            if deployment.kind not in seen:
                yield deployment
            seen.add(deployment.kind)


def _variants(
    template: Whole, offer: Offer, profile: Profile, space: PlanSpace, sites: int,
    carried: Collection[str],
) -> Iterator[Deployment]:  # fmt: skip
    """The template on this offer, in every way that can be chosen."""
    if isinstance(template, EdgeDeployment):
        if offer.location == "edge" and isinstance(offer.machine, PurchasedOffer):
            own = template.battery is not None or {template.offer, offer.name} & set(carried)
            least = template.fleet if own else sites
            yield from _fleets(template, profile, space, least)
    elif offer.location != "edge":
        changed = _placed(template, offer, space)
        if isinstance(changed, BatchDeployment):
            for batching in _batching(space, profile, profile.max_batch, waits=False):
                for nodes in dict.fromkeys(space.nodes):
                    yield changed.model_copy(update={"batching": batching, "nodes": nodes})
        else:
            for batching in _batching(space, profile, LARGEST_ON_LINE, waits=True):
                for scaling in _scaling(space):
                    yield changed.model_copy(update={"batching": batching, "scaling": scaling})


def _fleets(
    template: EdgeDeployment, profile: Profile, space: PlanSpace, least: int
) -> Iterator[EdgeDeployment]:
    """Devices that several of the template's sources' devices are replaced by."""
    fleets = dict.fromkeys(
        max(math.ceil(template.fleet / share), least) for share in space.share_devices
    )
    for fleet in fleets:
        for batching in _batching(space, profile, LARGEST_ON_LINE, waits=False):
            yield template.model_copy(update={"fleet": fleet, "batching": batching})


def _placed(
    template: BatchDeployment | RealTimeDeployment, offer: Offer, space: PlanSpace
) -> BatchDeployment | RealTimeDeployment:
    """With the region's round trip, evictions where they happen, and all accelerators in use."""
    machine, update = offer.machine, {}
    if machine.region in space.rtt:
        network = template.network.model_copy(update={"rtt": space.rtt[machine.region]})
        update["network"] = network
    spot = isinstance(machine, RentedOffer) and machine.tier == "spot"
    changed = template.model_copy(update={**update, "spot": space.spot if spot else None})
    if isinstance(changed, RealTimeDeployment):
        per_node = max(machine.accelerators, 1)
        return changed.model_copy(update={"per_node": per_node})
    return changed


def _batching(space: PlanSpace, profile: Profile, largest: int, *, waits: bool) -> Iterator[Choice]:
    """What the profile covers; without waiting where nobody else may come for hours."""
    asked = space.batching if space.batching is not None else list(_usual(largest, waits))
    for part in _once(asked):
        if largest_batch(part) <= profile.max_batch:
            yield part


def _usual(largest: int, waits: bool) -> Iterator[Choice]:
    yield Choice(name="none")
    for size in BATCHES:
        if size <= largest:
            yield Choice.model_validate({"name": "greedy", "max_batch": size})
    for size in (4, 8) if waits else ():
        for wait in WAITS_S:
            yield Choice.model_validate({"name": "dynamic", "max_batch": size, "max_wait": wait})


def _once(parts: Sequence[Choice]) -> list[Choice]:
    return [part for place, part in enumerate(parts) if part not in parts[:place]]


def _scaling(space: PlanSpace) -> Iterator[Choice]:
    if space.scaling is not None:
        yield from _once(space.scaling)
        return
    for replicas in REPLICAS:
        yield Choice.model_validate({"name": "fixed", "replicas": replicas})
    for least, most in AUTOSCALED:
        yield Choice.model_validate(
            {"name": "hpa", "min_replicas": least, "max_replicas": most, "target": TARGET}
        )


def _named(deployment: Deployment, run: Runs, arm: Arm, taken: set[str]) -> Candidate:
    placed = deployment.model_copy(
        update={
            "name": "", "offer": run.offer.name, "device": arm.device.name,
            "backend": arm.backend, "task": arm.task,
        }
    )  # fmt: skip
    name = name_of(placed, run.offer.name, arm.name, taken)
    named = placed.model_copy(update={"name": name})
    return Candidate(named, {name: run.offer}, {name: arm}, {name: run.region})
