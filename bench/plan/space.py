"""The candidates: every offer × what runs on it × batching × scaling, nodes or devices.

The scenario's own deployments are templates: they say over which network a kind of deployment is
reached, how long nodes take to start, and when a batch runs. They are candidates themselves, too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import singledispatch
from typing import TypeVar

from bench.batching import rule_of
from bench.hardware import Offer, PurchasedOffer, Region, RentedOffer
from bench.plan.names import name_of
from bench.profile import Profile
from bench.scenario import (
    Arm,
    BatchDeployment,
    Choice,
    Deployment,
    EdgeDeployment,
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
"""Larger batches are searched for batch deployments only."""
SPOT = Spot(mean_life=DAY_S)


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


@dataclass(frozen=True)
class _Room:
    """What candidates are made within."""

    space: PlanSpace
    sites: int
    """Each has a device at least."""
    carried: Set[str]
    """Offers of which everybody has a device."""


InCloud = TypeVar("InCloud", BatchDeployment, RealTimeDeployment)


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
    carried = {run.offer.name for run in runs if run.carried}
    room = _Room(space, scenario.scenario.workload.sites or 1, carried)
    for template in _templates(scenario.scenario.deployments):
        for run in runs:
            if not any(fnmatchcase(run.offer.name, pattern) for pattern in space.offers):
                continue
            for arm in run.arms:
                profile = profiles[arm.name]
                for variant in _variants(template, run.offer, profile, room):
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


def _templates(deployments: Sequence[Deployment]) -> Iterable[Deployment]:
    """The first of each type."""
    firsts: dict[type, Deployment] = {}
    for deployment in deployments:
        firsts.setdefault(type(deployment), deployment)
    return firsts.values()


@singledispatch
def _variants(
    template: Deployment, offer: Offer, profile: Profile, room: _Room
) -> Iterator[Deployment]:
    """The template on this offer, in every way that can be chosen: none of stages that belong together."""
    yield from ()


@_variants.register
def _(
    template: BatchDeployment, offer: Offer, profile: Profile, room: _Room
) -> Iterator[Deployment]:
    if offer.location != "edge":
        changed = _placed(template, offer, room.space)
        for batching in _batching(room.space, profile, profile.max_batch, waits=False):
            for nodes in dict.fromkeys(room.space.nodes):
                yield changed.model_copy(update={"batching": batching, "nodes": nodes})


@_variants.register
def _(
    template: RealTimeDeployment, offer: Offer, profile: Profile, room: _Room
) -> Iterator[Deployment]:
    if offer.location != "edge":
        changed = _placed(template, offer, room.space)
        per_node = max(offer.machine.accelerators, 1)
        for batching in _batching(room.space, profile, LARGEST_ON_LINE, waits=True):
            for scaling in _scaling(room.space):
                chosen = {"batching": batching, "scaling": scaling, "per_node": per_node}
                yield changed.model_copy(update=chosen)


@_variants.register
def _(
    template: EdgeDeployment, offer: Offer, profile: Profile, room: _Room
) -> Iterator[Deployment]:
    """Devices that several of the template's sources' devices are replaced by."""
    if offer.location == "edge" and isinstance(offer.machine, PurchasedOffer):
        own = template.battery is not None or {template.offer, offer.name} & room.carried
        least = template.fleet if own else room.sites
        fleets = dict.fromkeys(
            max(math.ceil(template.fleet / share), least) for share in room.space.share_devices
        )
        for fleet in fleets:
            for batching in _batching(room.space, profile, LARGEST_ON_LINE, waits=False):
                if not rule_of(batching.name, batching.options).at_door:
                    yield template.model_copy(update={"fleet": fleet, "batching": batching})


def _placed(template: InCloud, offer: Offer, space: PlanSpace) -> InCloud:
    """With the region's round trip, and evictions where they happen."""
    machine, update = offer.machine, {}
    if machine.region in space.rtt:
        network = template.network.model_copy(update={"rtt": space.rtt[machine.region]})
        update["network"] = network
    spot = isinstance(machine, RentedOffer) and machine.tier == "spot"
    return template.model_copy(update={**update, "spot": space.spot if spot else None})


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
