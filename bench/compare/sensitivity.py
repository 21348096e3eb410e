"""A tornado: the same simulation costed again, with one input at its lowest and at its highest.

Every assumption and every price that has bounds is moved alone, all else equal. The kind of grid
intensity has no bounds: it is a choice, and what it moves is carbon.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from bench.compare.comparison import Comparison
from bench.compare.inputs import CHOICE, Input, changed, inputs_of
from bench.cost import Costs, cost_simulation
from bench.hardware import IntensityKind
from bench.profile import Profile
from bench.record import Provenance, Record
from bench.scenario import ResolvedScenario
from bench.simulate import Simulation

KINDS: tuple[IntensityKind, ...] = ("average", "marginal", "market")


class Reading(Record):
    """Dollars per million answered requests of one deployment."""

    deployment: str
    low: float | None
    """With the input at its low."""
    base: float | None
    high: float | None

    @property
    def swing(self) -> float:
        known = [usd for usd in (self.low, self.base, self.high) if usd is not None]
        return max(known) - min(known) if known else 0.0


class MovedInput(Record):
    """One input, and what each deployment costs at its bounds."""

    name: str
    unit: str
    """Of ``low``, ``value`` and ``high``; ``share`` is of one, and a plain number has none."""
    low: float
    value: float
    high: float
    provenance: Provenance
    source: str
    readings: list[Reading]
    swing: float
    """The largest of any deployment, in dollars per million answered requests."""
    winner_at_low: str | None
    """The cheapest that keeps the objective; ``None`` where none does."""
    winner_at_high: str | None
    changes_winner: bool


class CarbonChoice(Record):
    """One kind of grid intensity, and kilograms per million answered requests with it."""

    kind: IntensityKind
    chosen: bool
    carbon_kg_per_million: dict[str, float | None]
    """By deployment; ``None`` where the energy, or this kind for the region, is not known."""


class Sensitivity(Record):
    """Inputs that move a cost, the strongest first."""

    subject: str | None
    """The cheapest deployment that keeps the objective; if none does, the cheapest."""
    inputs: list[MovedInput]
    still: list[str]
    """Inputs with bounds that move no cost of this scenario."""
    carbon: list[CarbonChoice]


def sensitivity(
    scenario: ResolvedScenario,
    profiles: Mapping[str, Profile],
    simulation: Simulation,
    costs: Costs,
    comparison: Comparison,
) -> Sensitivity:
    """Move every input that has bounds; ``profiles`` by arm."""
    feasible = [entry.deployment for entry in comparison.ranking if entry.feasible]
    base = _usd_per_million(costs)

    def costed(moving: Input, value: Any) -> dict[str, float | None]:
        if value == moving.value:
            return base
        return _usd_per_million(
            cost_simulation(moving.turned(scenario, value), profiles, simulation)
        )

    moved = [
        _moved(moving, base, costed(moving, moving.low), costed(moving, moving.high), feasible)
        for moving in inputs_of(scenario)
    ]
    return Sensitivity(
        subject=comparison.ranking[0].deployment if comparison.ranking else None,
        inputs=sorted((m for m in moved if m.swing), key=lambda m: -m.swing),
        still=[m.name for m in moved if not m.swing],
        carbon=[_carbon(scenario, profiles, simulation, kind) for kind in KINDS],
    )


def _moved(
    moving: Input,
    base: Mapping[str, float | None],
    low: Mapping[str, float | None],
    high: Mapping[str, float | None],
    feasible: Collection[str],
) -> MovedInput:
    readings = [
        Reading(deployment=name, low=low[name], base=usd, high=high[name])
        for name, usd in base.items()
    ]
    winners = [_winner(usd, feasible) for usd in (low, base, high)]
    return MovedInput(
        name=moving.name,
        unit=moving.unit,
        low=float(moving.low),
        value=float(moving.value),
        high=float(moving.high),
        provenance=moving.provenance,
        source=moving.source,
        readings=readings,
        swing=max((reading.swing for reading in readings), default=0.0),
        winner_at_low=winners[0],
        winner_at_high=winners[2],
        changes_winner=len(set(winners)) > 1,
    )


def _winner(usd: Mapping[str, float | None], feasible: Collection[str]) -> str | None:
    known = {name: usd[name] for name in feasible if usd.get(name) is not None}
    return min(known, key=lambda name: known[name] or 0.0, default=None)


def _usd_per_million(costs: Costs) -> dict[str, float | None]:
    return {costed.deployment: costed.usd_per_million.value for costed in costs.deployments}


def _carbon(
    scenario: ResolvedScenario,
    profiles: Mapping[str, Profile],
    simulation: Simulation,
    kind: IntensityKind,
) -> CarbonChoice:
    other = changed(scenario, kind, ("assumptions", CHOICE, "value"))
    costs = cost_simulation(other, profiles, simulation)
    return CarbonChoice(
        kind=kind,
        chosen=scenario.assumptions.carbon_intensity.value == kind,
        carbon_kg_per_million={
            # Where a region lacks the kind, the ledger takes another: that is no answer here.
            costed.deployment: costed.carbon_kg_per_million.value
            if all(use.intensity == kind for use in costed.energy)
            else None
            for costed in costs.deployments
        },
    )
