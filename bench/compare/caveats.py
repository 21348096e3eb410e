"""What the figures of a deployment leave out, by rules that look at what was asked and what came out.

A rule is a function of a :class:`Judged` deployment that yields a caveat where it applies. What only
the simulation knows stands in its own record, and is passed on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench.hardware import RentedOffer
from bench.record import Caveat
from bench.scenario import Deployment, EdgePart, ResolvedScenario
from bench.simulate import DeploymentResult


@dataclass(frozen=True)
class Judged:
    """One deployment, as it was asked and as it came out."""

    scenario: ResolvedScenario
    deployment: Deployment
    result: DeploymentResult


def caveats_of(
    scenario: ResolvedScenario, deployment: Deployment, result: DeploymentResult
) -> list[Caveat]:
    """All that the figures of one deployment leave out."""
    judged = Judged(scenario, deployment, result)
    return [*result.caveats, *(caveat for rule in RULES for caveat in rule(judged))]


def _spot_without_evictions(judged: Judged) -> Iterator[Caveat]:
    for name, part in judged.deployment.parts.items():
        machine = judged.scenario.offers[name].machine
        rented_back = isinstance(machine, RentedOffer) and machine.tier == "spot"
        if rented_back and not isinstance(part, EdgePart) and part.spot is None:
            yield Caveat(
                kind="spot-evictions",
                text=f"{part.offer} is a spot machine, and its evictions are left out: say how "
                "long one lives, as spot: {mean_life: 24 h}",
            )


RULES: tuple[Callable[[Judged], Iterator[Caveat]], ...] = (_spot_without_evictions,)
