"""What a search found."""

from __future__ import annotations

from pydantic import field_validator

from bench.compare import Joint, Ranked
from bench.plan.unknown import Unknown
from bench.record import SCHEMA_VERSION, Record
from bench.scenario import Deployment


class Planned(Record):
    """One candidate that was simulated, and its figures."""

    deployment: Deployment
    entry: Ranked
    alike: int
    """Others that it stands for: with the very same cost, latency and carbon, or of its offer."""


class Plan(Record):
    """The outcome of a search over all candidates."""

    schema_version: int = SCHEMA_VERSION
    scenario: str
    verdict: str
    objective_met: bool
    candidates: int
    simulated: int
    """Deployments that were simulated: candidates that differ in the offer only share one."""
    judged: int
    """Candidates that were costed from these simulations."""
    dismissed: dict[str, int]
    """Candidates that needed no simulation, by the reason."""
    too_dear: int
    """Those that cost more than ``within`` times the cheapest, or are worse in everything than
    another, by bounds alone."""
    within: float
    cheapest: list[Planned]
    """Feasible, cheapest first: the best of every offer and kind."""
    front: list[Planned]
    """Feasible, and none is better in cost, 99th percentile and carbon at once."""
    near_misses: list[Planned]
    """Cheaper than the cheapest feasible, and why they fail."""
    indistinguishable: list[str]
    """Whose paired difference in cost to the cheapest includes zero."""
    refused: list[Unknown]
    """Offers nothing can be said of, by the reason and by what would change it."""
    joint: Joint | None = None
    """How sure the choice is among the cheapest; ``None`` in plans of before."""

    @field_validator("refused", mode="before")
    @classmethod
    def _by_offer(cls, value: object) -> object:
        # Plans of before said a reason of each offer, with the remedy in it.
        if not isinstance(value, dict):
            return value
        return [
            {
                "reason": reason,
                "todo": "",
                "devices": [],
                "offers": [o for o in value if value[o] == reason],
            }
            for reason in dict.fromkeys(value.values())
        ]
