"""Energy and greenhouse gases of one part of a deployment, and what is not known of them.

Users of a cloud do not pay for electricity: there, energy is carbon only.
"""

from __future__ import annotations

from bench.cost.draw import draw_of
from bench.cost.held import Held
from bench.hardware import Intensity, IntensityKind, PurchasedOffer, RentedOffer
from bench.record import Origin, Record
from bench.units import HOUR_S

KINDS: tuple[IntensityKind, ...] = ("average", "marginal", "market")


class EnergyUse(Record):
    """The energy of one part on one day, at the meter of its site, and its greenhouse gases."""

    part: str
    kwh: float | None
    """``None`` where nothing says what the machine draws."""
    rest_kwh: float | None = None
    """What of it rented machines take that are held and do nothing; ``None`` where no source says what
    they draw then, and it is not in ``kwh``. A bought one is taken to draw its power all day."""
    rest_reason: str | None = None
    """Why that is not known."""
    formula: str
    """How it was computed, or why it was not."""
    intensity: IntensityKind | None = None
    """Which kind of grid intensity."""
    g_per_kwh: float | None = None
    carbon_kg: float | None = None
    """Of CO2 equivalents, from the energy alone: what making the machine caused is ``Embodied``."""
    carbon_reason: str | None = None
    origins: list[Origin]


def energy_use(held: Held) -> EnergyUse:
    """Energy at the meter, and the greenhouse gases of the grid that feeds it."""
    use = at_the_meter(held)
    if use.kwh is None:
        return use.model_copy(update={"carbon_reason": use.formula})
    found = _intensity(held)
    if found is None:
        where = f"{held.offer.provider}/{held.offer.machine.region}"
        return use.model_copy(
            update={"carbon_reason": f"no grid intensity is known for {where}: regions.yaml"}
        )
    kind, intensity = found
    return use.model_copy(
        update={
            "intensity": kind,
            "g_per_kwh": intensity.value,
            "carbon_kg": use.kwh * intensity.value / 1e3,
            "origins": [*use.origins, intensity.origin(f"{kind} grid intensity")],
        }
    )


def at_the_meter(held: Held) -> EnergyUse:
    """What the machines draw, times what their site or power supply adds."""
    drawn = _drawn(held)
    if drawn.kwh is None:
        return drawn
    overhead = _overhead(held)
    if overhead is None:
        return drawn.model_copy(
            update={
                "kwh": None,
                "rest_kwh": None,
                "rest_reason": None,
                "formula": f"the PUE of {held.offer.provider} is not known: regions.yaml",
            }
        )
    factor, origin = overhead
    if origin is None:
        return drawn
    return drawn.model_copy(
        update={
            "kwh": drawn.kwh * factor,
            "rest_kwh": None if drawn.rest_kwh is None else drawn.rest_kwh * factor,
            "formula": f"{drawn.formula} × {factor:g}",
            "origins": [*drawn.origins, origin],
        }
    )


def _drawn(held: Held) -> EnergyUse:
    machine, usage = held.offer.machine, held.usage
    if isinstance(machine, RentedOffer):
        return _drawn_by_rented(held, machine)
    return EnergyUse(
        part=held.name,
        kwh=usage.devices * machine.power.draw * 24 / 1e3,
        formula=f"{usage.devices} × {machine.power.draw:g} W × 24 h",
        origins=[machine.power.origin("power draw")],
    )


def _drawn_by_rented(held: Held, machine: RentedOffer) -> EnergyUse:
    draw, usage = draw_of(held, machine), held.usage
    if draw is None:
        return EnergyUse(
            part=held.name,
            kwh=None,
            formula=f"no sensor measured, and nobody published, what {held.offer.name} draws",
            origins=[],
        )
    working = usage.served * draw.beyond_rest_j / 3.6e6 / held.days
    if draw.rest_w is None:
        return EnergyUse(
            part=held.name,
            kwh=working,
            rest_reason=f"without machines at rest: no source says what {held.offer.name} draws then",
            formula=f"requests × {draw.joules:.3g} J at the wall",
            origins=draw.origins,
        )
    hours = sum(one.end_s - one.start_s for one in usage.holdings) / HOUR_S / held.days
    resting = hours * draw.rest_w / 1e3
    return EnergyUse(
        part=held.name,
        kwh=working + resting,
        rest_kwh=resting,
        formula=f"({hours:.4g} machine-hours × {draw.rest_w:.3g} W at rest + requests × "
        f"{draw.beyond_rest_j:.3g} J beyond it)",
        origins=draw.origins,
    )


def _overhead(held: Held) -> tuple[float, Origin | None] | None:
    """Energy of the site ÷ energy of the machine."""
    machine = held.offer.machine
    if held.offer.location == "on_premise":
        return held.assumptions.pue.value, held.assumptions.pue.origin("PUE")
    if held.offer.location == "edge":
        if isinstance(machine, PurchasedOffer) and not machine.power.at_the_wall:
            loss = held.assumptions.edge_supply_loss
            return 1 + loss.value, loss.origin("power supply loss")
        return 1.0, None
    if held.region is None or held.region.pue is None:
        return None
    return held.region.pue.value, held.region.pue.origin(f"PUE of {held.region.region}")


def _intensity(held: Held) -> tuple[IntensityKind, Intensity] | None:
    """The kind that is asked for, or another where the region does not have it."""
    if held.region is None:
        return None
    asked = held.assumptions.carbon_intensity.value
    for kind in (asked, *(kind for kind in KINDS if kind != asked)):
        found: Intensity | None = getattr(held.region.intensity, kind)
        if found is not None:
            return kind, found
    return None
