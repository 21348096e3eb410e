"""Stages of the lines that were compared: how many requests come to each, and what it does with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from bench.profile import Profile
from bench.record import Record
from bench.scenario import ResolvedScenario
from bench.simulate import Simulation


class StageView(Record):
    """One stage of a deployment."""

    stage: str
    """The deployment, and the stage in brackets."""
    arm: str
    place: str
    """What serves there: devices, replicas or nodes."""
    share: float | None
    """Of all requests, those that are served there; simulated."""
    finds: float | None
    """The share of inputs in which the task finds something to go on with, …"""
    found: float | None
    """… and how much on average; ``None``: it counts nothing."""
    input_bytes: float
    """What is sent to it for a request, if it is not where the request comes from."""
    output_bytes: float
    steps_s: dict[str, float]
    """Of one request alone, on average; empty where no steps were measured."""


def stages(
    scenario: ResolvedScenario, simulation: Simulation, profiles: Mapping[str, Profile]
) -> Iterator[StageView]:
    """Of the deployments with more than one."""
    for deployment in scenario.scenario.deployments:
        if len(deployment.parts) < 2:
            continue
        for name, part in deployment.parts.items():
            arm = scenario.arms[name].name
            if arm not in profiles:
                continue
            profile = profiles[arm]
            counts = None if profile.found is None else np.array(profile.found)
            yield StageView(
                stage=name,
                arm=arm,
                place=f"{part.NOUN}s",
                share=_share(simulation, deployment.name, name),
                finds=None if counts is None else float((counts > 0).mean()),
                found=None if counts is None else float(counts.mean()),
                input_bytes=profile.input_bytes,
                output_bytes=profile.output_bytes,
                steps_s=profile.steps_s.get(1, {}),
            )


def _share(simulation: Simulation, deployment: str, stage: str) -> float | None:
    """Of the requests of all replications; those that failed there and were tried again count twice."""
    result = next((d for d in simulation.deployments if d.deployment == deployment), None)
    days = [] if result is None else result.replications
    asked = sum(day.requests for day in days)
    return sum(day.usage[stage].served for day in days) / asked if asked else None
