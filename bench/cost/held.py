"""What the lines of one part of a deployment are made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bench.hardware import Assumptions, Offer, Region
from bench.profile import Profile
from bench.scenario import Deployment, Part, ResolvedScenario
from bench.simulate import Usage


@dataclass(frozen=True)
class Held:
    """One part of a deployment over one replication: what it is, and what it used."""

    name: str
    part: Part
    offer: Offer
    region: Region | None
    assumptions: Assumptions
    profile: Profile
    usage: Usage
    days: int


def held_of(
    scenario: ResolvedScenario,
    profiles: Mapping[str, Profile],
    deployment: Deployment,
    usage: Mapping[str, Usage],
    days: int,
) -> Iterator[Held]:
    """Every part of a deployment; ``profiles`` by arm, ``usage`` by part."""
    for name, part in deployment.parts.items():
        yield Held(
            name=name,
            part=part,
            offer=scenario.offers[name],
            region=scenario.regions[name],
            assumptions=scenario.assumptions,
            profile=profiles[scenario.arms[name].name],
            usage=usage[name],
            days=days,
        )
