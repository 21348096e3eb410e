"""What a candidate costs, emits and takes at the least: bounds that hold in every replication.

No quantity of a ledger falls when more is held, served or moved (tests/test_ledger.py holds this for
every line), so the ledger of the least usage is a lower bound of the cost, and likewise of the
greenhouse gases. No request is answered before it can have crossed the network and been served alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bench.cost import floor_of
from bench.plan.space import Candidate
from bench.profile import Profile
from bench.scenario import ResolvedScenario
from bench.simulate import least_usage


@dataclass(frozen=True)
class Floor:
    """Lower bounds of one candidate."""

    usd_per_day: float
    """Of a day on which it answers every request; with fewer answers, none costs less."""
    carbon_kg_per_day: float | None
    """Likewise; ``None`` where it is not known what the machines draw."""
    response_s: float


class Floors:
    """The bounds of candidates, many of which share theirs: same offer, same least usage.

    Args:
        profiles: by arm.
        requests: the fewest of any replication.
    """

    def __init__(self, profiles: Mapping[str, Profile], requests: int = 0) -> None:
        self._profiles, self._requests = profiles, requests
        self._known: dict[tuple[str, ...], tuple[float, float | None]] = {}

    def of(self, one: ResolvedScenario, candidate: Candidate, least: float) -> Floor:
        """The bounds of one candidate.

        Args:
            one: the scenario with it as its only deployment.
            least: no request is answered sooner, in seconds.
        """
        deployment, scenario = candidate.deployment, one.scenario
        days = scenario.simulate.days
        own = {part: self._profiles[arm.name] for part, arm in candidate.arms.items()}
        usage = least_usage(deployment, own, days, self._requests)
        key = (
            *(offer.name for offer in candidate.offers.values()),
            *(arm.name for arm in candidate.arms.values()),
            *(used.model_dump_json() for used in usage.values()),
            deployment.kind,
        )
        if key not in self._known:
            self._known[key] = floor_of(one, self._profiles, deployment, usage, days)
        return Floor(*self._known[key], least)
