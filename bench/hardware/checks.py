"""Rules that a price list must keep, and the warnings of one that grows old."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path

from bench.documents import Source
from bench.errors import InputError, UnknownName
from bench.hardware.devices import Device
from bench.hardware.offers import Machine, Offer, ProviderFile, RentedOffer, Services
from bench.hardware.regions import RegionFile
from bench.hardware.sourced import EXPIRED_DAYS, FRESH_DAYS, Sourced

SENTINELS = (Decimal(700), Decimal(999), Decimal(9999))
"""Prices that lists hold where nothing is sold."""
MOST_PER_ACCELERATOR = Decimal(50)
MOST_PER_VCPU = Decimal(1)
"""Dollars an hour; what costs more is a slip of the point."""
MOST_PER_BALANCER = Decimal(5)
MOST_PER_GB = Decimal(1)
"""Dollars an hour, and dollars per GB of traffic or per GB and month of storage."""
MOST_GIB_PER_VCPU = 128
MOST_BETWEEN_REGIONS = 2


def check_provider(
    file: ProviderFile, source: Source, devices: Collection[str] | None, others: Mapping[str, Path]
) -> None:
    """Hold one provider's file to the rules.

    Args:
        devices: the names of those there are; ``None`` where a folder holds prices alone.
        others: the files of other providers.

    Raises:
        InputError: the first rule that is broken, with its line.
    """
    if file.provider in others:
        raise InputError(
            f"the provider {file.provider!r} has a file already, {others[file.provider].name}",
            where=source.where(("provider",)), allowed="one file per provider",
        )  # fmt: skip
    _check_services(file.services, source)
    names: set[str] = set()
    for index, machine in enumerate(file.offers):
        place = ("offers", index)
        name = machine.name_at(file.provider)
        if name in names:
            raise InputError(f"the offer {name!r} appears twice", where=source.where(place))
        names.add(name)
        if devices is not None and machine.device is not None and machine.device not in devices:
            raise UnknownName(
                "device", machine.device, devices, where=source.where((*place, "device"))
            )
        if machine.memory_gib > MOST_GIB_PER_VCPU * machine.vcpus:
            raise InputError(
                f"{machine.memory_gib:g} GiB are absurd for {machine.vcpus} vCPUs",
                where=source.where((*place, "memory_gib")),
                allowed=f"up to {MOST_GIB_PER_VCPU} GiB per vCPU",
                todo="Check whether it is in MiB",
            )
        if isinstance(machine, RentedOffer):
            _check_rate(file, machine, source.where(place), source.where((*place, "rate", "price")))
        elif machine.purchase.price == 0:
            raise InputError(
                "a price of zero is a hole in a price list, not an offer",
                where=source.where((*place, "purchase", "price")),
            )
    rented = {i: m for i, m in enumerate(file.offers) if isinstance(m, RentedOffer)}
    _check_tiers(rented, source)
    _check_regions(rented, source)


def check_device(device: Device, source: Source, published: Mapping[str, str]) -> None:
    """Hold a device's file to the rules; ``published``: what tables call other devices.

    Raises:
        InputError: the first rule that is broken, with its line.
    """
    if device.name != source.path.stem:
        raise InputError(
            f"the device {device.name!r} stands in a file of another name",
            where=source.where(("name",)), allowed=source.path.stem,
            todo=f"Or call the file {device.name}.yaml",
        )  # fmt: skip
    for index, name in enumerate(device.published_as):
        if name in published or name in device.published_as[:index]:
            raise InputError(
                f"{name!r} in published tables is {published.get(name, device.name)} already",
                where=source.where(("published_as", index)),
                allowed="names that no device has yet",
            )


def check_regions(file: RegionFile, source: Source) -> None:
    """Refuse a region that appears twice.

    Raises:
        InputError: with the line of the second.
    """
    seen: set[tuple[str, str]] = set()
    for index, region in enumerate(file.regions):
        key = (region.provider, region.region)
        if key in seen:
            raise InputError(
                f"the region {region.region!r} of {region.provider} appears twice",
                where=source.where(("regions", index)),
            )
        seen.add(key)


def check_most(price: Decimal, machine: Machine, where: str) -> None:
    """Refuse dollars per hour that no such machine costs.

    Raises:
        InputError: with ``where``.
    """
    most = MOST_PER_ACCELERATOR * machine.accelerators + MOST_PER_VCPU * machine.vcpus
    if price > most:
        raise InputError(
            f"${price}/h is absurd for {machine.vcpus} vCPUs and {machine.accelerators} "
            "accelerators", where=where, allowed=f"up to ${most}/h",
            todo="Check the decimal point, and whether the price is by the month",
        )  # fmt: skip


def _check_services(services: Services, source: Source) -> None:
    def check(price: Decimal, most: Decimal, unit: str, *place: str | int) -> None:
        if price > most:
            raise InputError(
                f"${price}{unit} is absurd for {place[0]}",
                where=source.where(("services", *place)), allowed=f"up to ${most}{unit}",
                todo="Check the decimal point and the unit",
            )  # fmt: skip

    if services.load_balancer is not None:
        check(services.load_balancer.price, MOST_PER_BALANCER, "/h", "load_balancer", "price")
    if services.storage is not None:
        check(services.storage.price, MOST_PER_GB, "/GB/month", "storage", "price")
    for index, tier in enumerate(services.egress.tiers if services.egress else ()):
        check(tier.price, MOST_PER_GB, "/GB", "egress", "tiers", index, "price")


def _check_rate(file: ProviderFile, machine: RentedOffer, where: str, where_price: str) -> None:
    price = machine.rate.price
    if file.billing is None:
        raise InputError(
            "a rented offer needs its provider's billing rule", where=where,
            allowed="billing: {granularity: 1 s, minimum: 60 s} at the top of the file",
        )  # fmt: skip
    if machine.sku in file.reserved_only and machine.tier != "reserved":
        raise InputError(
            f"{machine.sku} is sold by reservation only, and this says {machine.tier}",
            where=where, allowed="tier: reserved, with term_months",
        )  # fmt: skip
    if price == 0:
        raise InputError(
            "a price of zero is a hole in a price list, not an offer", where=where_price
        )
    if price in SENTINELS:
        raise InputError(
            f"${price}/h is what price lists hold where nothing is sold", where=where_price,
            allowed="a price that somebody pays",
        )  # fmt: skip
    check_most(price, machine, where_price)


def _check_tiers(rented: Mapping[int, RentedOffer], source: Source) -> None:
    """Nobody takes a machine that may be taken back, or binds himself, to pay more."""
    listed = {(m.sku, m.region): m.rate.price for m in rented.values() if m.tier == "on_demand"}
    for index, machine in rented.items():
        full = listed.get((machine.sku, machine.region))
        if full is not None and machine.rate.price > full:
            raise InputError(
                f"{machine.sku} costs more as {machine.tier} (${machine.rate.price}/h) than on "
                f"demand (${full}/h)",
                where=source.where(("offers", index, "rate", "price")),
            )


def _check_regions(rented: Mapping[int, RentedOffer], source: Source) -> None:
    found: dict[tuple[str, str, int | None], list[tuple[int, RentedOffer]]] = defaultdict(list)
    for index, machine in rented.items():
        found[machine.sku, machine.tier, machine.term_months].append((index, machine))
    for same in found.values():
        cheapest = min(machine.rate.price for _, machine in same)
        for index, machine in same:
            if machine.rate.price > MOST_BETWEEN_REGIONS * cheapest and not machine.dearer_because:
                raise InputError(
                    f"{machine.sku} costs ${machine.rate.price}/h in {machine.region} and "
                    f"${cheapest}/h elsewhere",
                    where=source.where(("offers", index, "rate", "price")),
                    allowed=f"up to {MOST_BETWEEN_REGIONS} times the price of another region",
                    todo="Correct it, or say why in dearer_because",
                )


def age_warnings(offers: Mapping[str, Offer], today: date | None = None) -> Iterator[str]:
    """What to know about the age of these offers' prices."""
    now = today or date.today()
    for name, offer in offers.items():
        priced = _priced(offer)
        if priced.as_of is None:
            yield f"the price of {name} bears no date ({priced.source})"
        elif priced.as_of > now:
            yield (
                f"the price of {name} was seen on {priced.as_of}, which by the clock of this machine "
                f"({now}) has not come yet: the date or the clock is wrong"
            )
        for what, days in _ages(offer, now):
            if days > FRESH_DAYS:
                yield f"the price of {what or name} was seen {days} days ago"


def expired(offers: Mapping[str, Offer], today: date | None = None) -> dict[str, str]:
    """Offers that must not be used any more, and why."""
    now = today or date.today()
    found = {}
    for name, offer in offers.items():
        machine = offer.machine
        old = [(what, days) for what, days in _ages(offer, now) if days > EXPIRED_DAYS]
        if old:
            what, days = old[0]
            found[name] = (
                f"{f'the price of {what}' if what else 'its price'} was seen {days} days ago"
            )
        elif isinstance(machine, RentedOffer) and machine.sold_until and machine.sold_until < now:
            found[name] = f"it was sold until {machine.sold_until}"
    return found


def check_current(offer: Offer, where: str) -> None:
    """Refuse an offer whose price must not be used any more.

    Raises:
        InputError: with ``where`` the offer is named.
    """
    for name, reason in expired({offer.name: offer}).items():
        raise InputError(
            f"{name} must not be used: {reason}", where=where,
            allowed=f"prices of the last {EXPIRED_DAYS} days",
            todo="Give today's in a file of overrides (--overrides), or choose another offer",
        )  # fmt: skip


def _ages(offer: Offer, now: date) -> Iterator[tuple[str, int]]:
    """How many days ago each price was seen: the machine's, without a name, and its provider's."""
    services = offer.services
    priced = {
        "": _priced(offer),
        f"{offer.provider}'s load balancer": services.load_balancer,
        f"{offer.provider}'s storage": services.storage,
        f"{offer.provider}'s egress": services.egress,
    }
    for what, price in priced.items():
        if price is not None and price.as_of is not None:
            yield what, (now - price.as_of).days


def _priced(offer: Offer) -> Sourced:
    machine = offer.machine
    return machine.rate if isinstance(machine, RentedOffer) else machine.purchase
