"""A tornado: the same simulation costed again, with one input at its lowest and at its highest.

Every assumption and every price that has bounds is moved alone, all else equal. The kind of grid
intensity has no bounds: it is a choice, and what it moves is carbon.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any

from bench.compare.comparison import Comparison
from bench.cost import Costs, cost_simulation
from bench.hardware import IntensityKind, RentedOffer
from bench.profile import Profile
from bench.record import Provenance, Record
from bench.scenario import ResolvedScenario
from bench.simulate import Simulation

KINDS: tuple[IntensityKind, ...] = ("average", "marginal", "market")
CHOICE = "carbon_intensity"
UNITS = {
    "electricity": "$/kWh",
    "edge_supply_loss": "share",
    "device_life": "s",
    "residual_value": "share",
    "server_life": "s",
    "server_residual_value": "share",
    "colocation": "$/kW/month",
    "staff": "$/month",
    "spare_share": "share",
    "failures_per_device_year": "a year",
    "failures_per_accelerator_year": "a year",
    "repair": "share",
    "visit": "$",
    "sim": "$/month",
    "cellular": "$/GB",
}
"""Of the assumptions; those that are not here have none."""
SERVICES = {"load_balancer": "$/h", "storage": "$/GB/month"}
"""Of a provider, and their units. Traffic has tiers, and no bounds."""


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


@dataclass(frozen=True)
class _Knob:
    name: str
    unit: str
    low: Any
    value: Any
    high: Any
    provenance: Provenance
    source: str
    turned: Callable[[Any], ResolvedScenario]
    """The scenario with another value."""


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

    def costed(knob: _Knob, value: Any) -> dict[str, float | None]:
        if value == knob.value:
            return base
        return _usd_per_million(cost_simulation(knob.turned(value), profiles, simulation))

    knobs = [*_assumptions(scenario), *_prices(scenario)]
    moved = [
        _moved(knob, base, costed(knob, knob.low), costed(knob, knob.high), feasible)
        for knob in knobs
    ]
    return Sensitivity(
        subject=comparison.ranking[0].deployment if comparison.ranking else None,
        inputs=sorted((m for m in moved if m.swing), key=lambda m: -m.swing),
        still=[m.name for m in moved if not m.swing],
        carbon=[_carbon(scenario, profiles, simulation, kind) for kind in KINDS],
    )


def _moved(
    knob: _Knob,
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
        name=knob.name,
        unit=knob.unit,
        low=float(knob.low),
        value=float(knob.value),
        high=float(knob.high),
        provenance=knob.provenance,
        source=knob.source,
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


def _assumptions(scenario: ResolvedScenario) -> Iterator[_Knob]:
    for name, assumption in scenario.assumptions:
        if name in ("schema_version", CHOICE):
            continue
        low = assumption.value if assumption.low is None else assumption.low
        high = assumption.value if assumption.high is None else assumption.high
        if low != high:
            yield _Knob(
                name.replace("_", " "), UNITS.get(name, ""), low, assumption.value, high,
                assumption.provenance, assumption.source,
                partial(_with, scenario, ("assumptions", name, "value")),
            )  # fmt: skip


def _prices(scenario: ResolvedScenario) -> Iterator[_Knob]:
    """What each machine costs, in every part that has it; what its provider's services cost."""
    for offer in {offer.name: offer for offer in scenario.offers.values()}.values():
        same = [part for part, other in scenario.offers.items() if other.name == offer.name]
        rented = isinstance(offer.machine, RentedOffer)
        path = ("machine", "rate" if rented else "purchase")
        yield from _price(scenario, f"price of {offer.name}", "$/h" if rented else "$", same, path)
    for provider in {offer.provider: offer for offer in scenario.offers.values()}:
        same = [part for part, offer in scenario.offers.items() if offer.provider == provider]
        for service, unit in SERVICES.items():
            if getattr(scenario.offers[same[0]].services, service) is not None:
                name = f"{service.replace('_', ' ')} of {provider}"
                yield from _price(scenario, name, unit, same, ("services", service))


def _price(
    scenario: ResolvedScenario, name: str, unit: str, parts: Sequence[str], path: tuple[str, ...]
) -> Iterator[_Knob]:
    """The price at ``path`` of the offers of ``parts``, which are the same."""
    price: Any = scenario.offers[parts[0]]
    for step in path:
        price = getattr(price, step)
    low, high = price.bounds

    def turned(value: Decimal) -> ResolvedScenario:
        offers = {part: _with(scenario.offers[part], (*path, "price"), value) for part in parts}
        return scenario.model_copy(update={"offers": {**scenario.offers, **offers}})

    if low != high:
        yield _Knob(name, unit, low, price.price, high, price.provenance, price.source, turned)


def _with(record: Any, path: tuple[str, ...], value: Any) -> Any:
    """The record with ``value`` where ``path`` leads."""
    first, rest = path[0], path[1:]
    inner = _with(getattr(record, first), rest, value) if rest else value
    return record.model_copy(update={first: inner})


def _carbon(
    scenario: ResolvedScenario,
    profiles: Mapping[str, Profile],
    simulation: Simulation,
    kind: IntensityKind,
) -> CarbonChoice:
    changed = _with(scenario, ("assumptions", CHOICE, "value"), kind)
    costs = cost_simulation(changed, profiles, simulation)
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
