"""The uncertain inputs of a cost: every assumption and every price that has bounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any

from bench.hardware import RentedOffer
from bench.record import Provenance
from bench.scenario import ResolvedScenario

CHOICE = "carbon_intensity"
"""An assumption without bounds: a choice, which moves carbon and no cost."""
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


@dataclass(frozen=True)
class Input:
    """A value that may be another."""

    name: str
    unit: str
    """Of ``low``, ``value`` and ``high``; ``share`` is of one, and a plain number has none."""
    low: Any
    value: Any
    high: Any
    provenance: Provenance
    source: str
    turned: Callable[[ResolvedScenario, Any], ResolvedScenario]
    """A scenario with another value."""


def inputs_of(scenario: ResolvedScenario) -> Iterator[Input]:
    """Every input with bounds that the scenario's costs may rest on."""
    yield from _assumptions(scenario)
    yield from _prices(scenario)


def _assumptions(scenario: ResolvedScenario) -> Iterator[Input]:
    for name, assumption in scenario.assumptions:
        if name in ("schema_version", CHOICE):
            continue
        low = assumption.value if assumption.low is None else assumption.low
        high = assumption.value if assumption.high is None else assumption.high
        if low != high:
            yield Input(
                name.replace("_", " "), UNITS.get(name, ""), low, assumption.value, high,
                assumption.provenance, assumption.source,
                partial(changed, path=("assumptions", name, "value")),
            )  # fmt: skip


def _prices(scenario: ResolvedScenario) -> Iterator[Input]:
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
) -> Iterator[Input]:
    """The price at ``path`` of the offers of ``parts``, which are the same."""
    price: Any = scenario.offers[parts[0]]
    for step in path:
        price = getattr(price, step)
    low, high = price.bounds

    def turned(other: ResolvedScenario, value: Decimal) -> ResolvedScenario:
        offers = {part: changed(other.offers[part], value, (*path, "price")) for part in parts}
        return other.model_copy(update={"offers": {**other.offers, **offers}})

    if low != high:
        yield Input(name, unit, low, price.price, high, price.provenance, price.source, turned)


def changed(record: Any, value: Any, path: tuple[str, ...]) -> Any:
    """The record with ``value`` where ``path`` leads."""
    first, rest = path[0], path[1:]
    inner = changed(getattr(record, first), value, rest) if rest else value
    return record.model_copy(update={first: inner})
