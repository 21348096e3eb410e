"""What the figures of a deployment leave out, by rules that look at what was asked and what came out.

A rule is a function of a :class:`Judged` deployment that yields a caveat where it applies. What only
the simulation knows stands in its own record, and is passed on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bench.compare.device_memory import may_be_short
from bench.compare.objective import Placed
from bench.compare.rare_events import rare_events
from bench.hardware import RentedOffer
from bench.record import Caveat
from bench.scenario import Deployment, ResolvedScenario
from bench.simulate import DeploymentResult


@dataclass(frozen=True)
class Judged:
    """One deployment, as it was asked and as it came out."""

    scenario: ResolvedScenario
    deployment: Deployment
    result: DeploymentResult
    placed: Sequence[Placed]


def caveats_of(
    scenario: ResolvedScenario,
    deployment: Deployment,
    result: DeploymentResult,
    placed: Sequence[Placed],
) -> list[Caveat]:
    """All that the figures of one deployment leave out."""
    judged = Judged(scenario, deployment, result, placed)
    return [*result.caveats, *(caveat for rule in RULES for caveat in rule(judged))]


def _spot_without_evictions(judged: Judged) -> Iterator[Caveat]:
    for name, part in judged.deployment.parts.items():
        machine = judged.scenario.offers[name].machine
        rented_back = isinstance(machine, RentedOffer) and machine.tier == "spot"
        if rented_back and not part.at_sources and part.spot is None:
            yield Caveat(
                kind="spot-evictions",
                text=f"{part.offer} is a spot machine, and its evictions are left out: say how "
                "long one lives, as spot: {mean_life: 24 h}",
            )


def _evictions_of_what_is_no_spot(judged: Judged) -> Iterator[Caveat]:
    for name, part in judged.deployment.parts.items():
        machine = judged.scenario.offers[name].machine
        spot = isinstance(machine, RentedOffer) and machine.tier == "spot"
        if not spot and part.spot is not None:
            yield Caveat(
                kind="evictions-of-no-spot",
                text=f"{part.offer} is no spot machine, and is simulated with the evictions of one: "
                "leave out spot:, unless something else takes it away",
            )


def _more_threads_than_processors(judged: Judged) -> Iterator[Caveat]:
    for place in judged.placed:
        profile, machine = place.profile, place.offer.machine
        if not place.accelerated and profile.threads > machine.vcpus:
            yield Caveat(
                kind="fewer-processors",
                text=f"{place.offer.name} has {machine.vcpus} vCPUs, and its service times were "
                f"measured with {profile.threads} threads: it will be slower; measure with as many "
                "(threads: of a device) or on such a machine",
            )


def _tight_accelerator(judged: Judged) -> Iterator[Caveat]:
    for (name, part), place in zip(judged.deployment.parts.items(), judged.placed, strict=True):
        device = judged.scenario.arms[name].device
        if not place.accelerated or place.misfit is not None:
            continue
        if text := may_be_short(part, place.profile, place.offer, device):
            yield Caveat(kind="accelerator-memory", text=text)


def _rare(judged: Judged) -> Iterator[Caveat]:
    yield from rare_events(judged.scenario.scenario, judged.deployment, judged.result)


RULES: tuple[Callable[[Judged], Iterator[Caveat]], ...] = (
    _spot_without_evictions,
    _evictions_of_what_is_no_spot,
    _more_threads_than_processors,
    _tight_accelerator,
    _rare,
)
