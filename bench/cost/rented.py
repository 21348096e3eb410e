"""What a rented machine costs, and the services beside it."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from bench.cost.billing import billed_seconds
from bench.cost.held import Held
from bench.cost.lines import Line
from bench.hardware import Egress, RentedOffer
from bench.record import Origin
from bench.units import HOUR_S, MONTH_DAYS, MONTH_HOURS


def compute_lines(held: Held, machine: RentedOffer) -> Iterator[Line]:
    """The hours billed, and apart from them those in which evicted spot nodes were replaced.

    A reserved machine is paid for day and night, whether it is held or not.
    """
    origins = [machine.rate.origin(f"price of {held.offer.name}")]
    if machine.tier == "reserved":
        yield Line.of(
            held.name, "compute", 24.0 * held.usage.devices, "machine-hours", machine.rate.price,
            f"{machine.term_months} months are paid whole: the most machines held, day and night",
            origins,
        )  # fmt: skip
        return
    billing = held.offer.billing
    if billing is None:
        raise ValueError(f"the rented offer {held.offer.name} has no billing rule")
    hours = billed_seconds(held.usage.holdings, billing) / HOUR_S / held.days
    rule = f"each holding rounded up to {billing.granularity:g} s, at least {billing.minimum:g} s"
    spot = held.part.spot is not None
    wasted = min(held.usage.replacing_s / HOUR_S / held.days, hours) if spot else 0.0
    yield Line.of(
        held.name, "compute", hours - wasted, "machine-hours", machine.rate.price, rule, origins
    )
    if spot:
        yield Line.of(
            held.name, "spot waste", wasted, "machine-hours", machine.rate.price,
            "nodes in place of evicted ones, until they serve", origins,
        )  # fmt: skip


def service_lines(held: Held) -> Iterator[Line]:
    """Load balancer, storage, egress, and the sources' own uplink."""
    services, usage, provider = held.offer.services, held.usage, held.offer.provider
    if services.load_balancer and held.part.scaling is not None:
        yield Line.of(
            held.name, "load balancer", 24.0, "hours", services.load_balancer.price,
            "one, all day", [services.load_balancer.origin(f"load balancer of {provider}")],
        )  # fmt: skip
    if services.storage and held.part.window is not None:
        gb_months = usage.stored_byte_s / 1e9 / (MONTH_HOURS * HOUR_S) / held.days
        yield Line.of(
            held.name, "storage", gb_months, "GB-months", services.storage.price,
            "bytes kept × time until processed",
            [services.storage.origin(f"object storage of {provider}")],
        )  # fmt: skip
    if services.egress:
        yield from _egress(held, services.egress)
    network = held.part.network
    if network is not None and network.price is not None:
        moved = (usage.uploaded_bytes + usage.downloaded_bytes) / 1e9 / held.days
        yield Line.of(
            held.name, "uplink traffic", moved, "GB", network.price,
            "bytes up and down",
            [Origin(subject="uplink", provenance="assumed", source="the scenario")],
        )  # fmt: skip


def _egress(held: Held, egress: Egress) -> Iterator[Line]:
    """One line for each tier; a month is taken to be days like the simulated ones."""
    month_gb = held.usage.downloaded_bytes / 1e9 / held.days * MONTH_DAYS
    begin = 0.0
    for tier in egress.tiers:
        end = float("inf") if tier.up_to is None else tier.up_to / 1e9
        inside = min(max(month_gb - begin, 0.0), end - begin)
        span = f"{begin:g} GB on" if tier.up_to is None else f"{begin:g} to {end:g} GB"
        item = "egress" if len(egress.tiers) == 1 else f"egress, {span} a month"
        yield Line.of(
            held.name, item, inside / MONTH_DAYS, "GB", Decimal(tier.price), "answers sent back",
            [egress.origin(f"egress of {held.offer.provider}")],
        )  # fmt: skip
        begin = end
