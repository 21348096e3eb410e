"""What a machine costs that was bought: at the edge, or on the premises."""

from __future__ import annotations

from collections.abc import Iterator

from bench.cost.energy import at_the_meter
from bench.cost.held import Held
from bench.cost.lines import Line
from bench.hardware import Assumption, PurchasedOffer
from bench.units import DAY_S, MONTH_DAYS, YEAR_S

YEAR_DAYS = YEAR_S / DAY_S


def owned_lines(held: Held, machine: PurchasedOffer) -> Iterator[Line]:
    """Capital, energy, people, repairs; for servers the rack, for devices visits and connections."""
    on_site = held.offer.location == "on_premise"
    yield from _capital(held, machine, on_site)
    yield from _energy(held)
    yield from _staff(held, on_site)
    yield from (_rack if on_site else _field)(held, machine)
    if held.part.cellular is not None:
        yield from _connection(held)


def _capital(held: Held, machine: PurchasedOffer, on_site: bool) -> Iterator[Line]:
    inputs, devices = held.assumptions, held.usage.devices
    life = inputs.server_life if on_site else inputs.device_life
    residual = inputs.server_residual_value if on_site else inputs.residual_value
    day_share = DAY_S / life.value * (1 - residual.value)
    kind = "server" if on_site else "device"
    origins = [
        machine.purchase.origin(f"price of {held.offer.name}"),
        life.origin(f"{kind} life"),
        residual.origin(f"{kind}'s residual value"),
    ]
    yield Line.of(
        held.name, f"{kind}s", devices * day_share, f"{kind}s written off", machine.purchase.price,
        f"{devices} × 1 day ÷ life × (1 − residual)", origins,
    )  # fmt: skip
    yield Line.of(
        held.name, "spares", devices * inputs.spare_share.value * day_share,
        f"{kind}s written off", machine.purchase.price, f"spare share of the {kind}s",
        [*origins, inputs.spare_share.origin("spare share")],
    )  # fmt: skip


def _energy(held: Held) -> Iterator[Line]:
    price, use = held.assumptions.electricity, at_the_meter(held)
    if use.kwh is None:
        raise ValueError(f"{held.offer.name} has no power")
    yield Line.of(
        held.name, "energy", use.kwh, "kWh", price.value, use.formula,
        [*use.origins, price.origin("electricity")],
    )  # fmt: skip


def _staff(held: Held, on_site: bool) -> Iterator[Line]:
    inputs = held.assumptions
    each: Assumption[float] = inputs.servers_per_person if on_site else inputs.devices_per_person
    kind = "servers" if on_site else "devices"
    yield Line.of(
        held.name, "staff", held.usage.devices / each.value / MONTH_DAYS, "person-months",
        inputs.staff.value, f"{kind} ÷ {kind} a person looks after ÷ {MONTH_DAYS:.2f} days",
        [inputs.staff.origin("staff"), each.origin(f"{kind} per person")],
    )  # fmt: skip


def _rack(held: Held, machine: PurchasedOffer) -> Iterator[Line]:
    inputs, servers = held.assumptions, held.usage.devices
    yield Line.of(
        held.name, "colocation", servers * machine.power.draw / 1e3 / MONTH_DAYS, "kW-months",
        inputs.colocation.value, f"servers × {machine.power.draw:g} W reserved, without the energy",
        [machine.power.origin("power draw"), inputs.colocation.origin("colocation")],
    )  # fmt: skip
    failures, repair = inputs.failures_per_accelerator_year, inputs.repair
    number = servers * max(machine.accelerators, 1) * failures.value / YEAR_DAYS
    yield Line.of(
        held.name, "repairs", number * repair.value, "servers' prices", machine.purchase.price,
        "accelerators × failures a year ÷ 365 × share of the price",
        [
            machine.purchase.origin(f"price of {held.offer.name}"),
            failures.origin("failure rate"), repair.origin("repair"),
        ],
    )  # fmt: skip


def _field(held: Held, _: PurchasedOffer) -> Iterator[Line]:
    inputs = held.assumptions
    rate = inputs.failures_per_device_year
    yield Line.of(
        held.name, "service visits", held.usage.devices * rate.value / YEAR_DAYS, "visits",
        inputs.visit.value, "devices × failures per device and year ÷ 365",
        [rate.origin("failure rate"), inputs.visit.origin("service visit")],
    )  # fmt: skip


def _connection(held: Held) -> Iterator[Line]:
    inputs, usage = held.assumptions, held.usage
    yield Line.of(
        held.name, "SIM cards", usage.devices / MONTH_DAYS, "SIM-months", inputs.sim.value,
        "one for each device", [inputs.sim.origin("SIM card")],
    )  # fmt: skip
    yield Line.of(
        held.name, "cellular traffic", usage.uploaded_bytes / 1e9 / held.days, "GB",
        inputs.cellular.value, "what is sent for each answer",
        [inputs.cellular.origin("cellular traffic")],
    )  # fmt: skip
