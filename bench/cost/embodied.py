"""What making bought machines caused, apart from the energy they draw, and never added to it."""

from __future__ import annotations

from bench.cost.held import Held
from bench.hardware import PurchasedOffer
from bench.record import Origin, Record
from bench.units import DAY_S


class Embodied(Record):
    """One day's share of the greenhouse gases of making the machines of one part."""

    part: str
    kg: float | None
    """Kilograms of CO2 equivalents a day; ``None`` where no source says it."""
    low_kg: float | None = None
    high_kg: float | None = None
    """Between what its source puts it."""
    formula: str
    """How it was computed, or why it was not."""
    origins: list[Origin]


def embodied(held: Held) -> Embodied:
    """Machines and spares, straight-line over their life.

    As the price is written off, but all of it: whoever buys a used machine did not cause its making
    (ISO/IEC 21031, the share of a life is the time reserved ÷ the expected life).
    """
    machine, inputs = held.offer.machine, held.assumptions
    source = machine.embodied_carbon if isinstance(machine, PurchasedOffer) else None
    if source is None:
        return Embodied(
            part=held.name,
            kg=None,
            formula=f"no source says what making {held.offer.name} caused",
            origins=[],
        )
    life = inputs.server_life if held.offer.location == "on_premise" else inputs.device_life
    share = held.usage.devices * (1 + inputs.spare_share.value) * DAY_S / life.value
    return Embodied(
        part=held.name,
        kg=share * source.value,
        low_kg=share * (source.value if source.low is None else source.low),
        high_kg=share * (source.value if source.high is None else source.high),
        formula=f"{held.usage.devices} × (1 + spare share) × {source.value:g} kg × 1 day ÷ life",
        origins=[
            source.origin(f"making of {held.offer.name}"),
            life.origin("life"),
            inputs.spare_share.origin("spare share"),
        ],
    )
