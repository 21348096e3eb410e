"""The records of ``hardware_profiles/``: devices, offers and assumptions."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import Field

from bench.record import Origin, Provenance, Record
from bench.units import (
    Fraction,
    PositiveSeconds,
    Seconds,
    Usd,
    UsdPerGB,
    UsdPerGBMonth,
    UsdPerHour,
    UsdPerKWh,
    Watts,
)

Location = Literal["cloud", "on_premise", "edge"]


class Sourced(Record):
    """A value somebody can check: where it was seen, and when."""

    provenance: Provenance
    source: str
    as_of: date | None = None
    """The day it was seen; ``None`` where the source bears no date."""
    note: str = ""

    def origin(self, subject: str) -> Origin:
        source = f"{self.source} ({self.note})" if self.note else self.source
        seen = self.as_of.isoformat() if self.as_of else None
        return Origin(subject=subject, provenance=self.provenance, source=source, as_of=seen)


class HourPrice(Sourced):
    price: UsdPerHour


class PurchasePrice(Sourced):
    price: Usd


class TrafficPrice(Sourced):
    price: UsdPerGB


class StoragePrice(Sourced):
    price: UsdPerGBMonth


class PowerDraw(Sourced):
    """Electrical power of the whole device while it is in service."""

    draw: Watts


class Services(Record):
    """What a provider charges beside the machine."""

    load_balancer: HourPrice | None = None
    egress: TrafficPrice | None = None
    storage: StoragePrice | None = None


class Billing(Record):
    """How held time becomes billed time."""

    granularity: PositiveSeconds
    minimum: Seconds = 0.0


class _OfferBase(Record):
    sku: str = Field(min_length=1)
    title: str
    vcpus: int = Field(ge=1)
    memory_gib: float = Field(gt=0)


class RentedOffer(_OfferBase):
    """A machine paid by the hour."""

    kind: Literal["rented"] = "rented"
    region: str
    tier: Literal["on_demand", "spot", "reserved"]
    rate: HourPrice

    def name_at(self, provider: str) -> str:
        return f"{provider}/{self.sku}/{self.region}/{self.tier.replace('_', '-')}"


class PurchasedOffer(_OfferBase):
    """A machine bought once, then fed and repaired."""

    kind: Literal["purchased"] = "purchased"
    purchase: PurchasePrice
    power: PowerDraw

    def name_at(self, provider: str) -> str:
        return f"{provider}/{self.sku}"


class ProviderFile(Record):
    """One file of ``hardware_profiles/offers/``."""

    schema_version: Literal[1]
    provider: str
    location: Location
    currency: Literal["USD"]
    tax: Literal["excluded"]
    billing: Billing | None = None
    services: Services = Services()
    offers: list[Annotated[RentedOffer | PurchasedOffer, Field(discriminator="kind")]] = Field(
        min_length=1
    )


class Offer(Record):
    """A priced way to hold a device, with what its provider charges beside it."""

    name: str
    provider: str
    location: Location
    machine: Annotated[RentedOffer | PurchasedOffer, Field(discriminator="kind")]
    billing: Billing | None
    services: Services


class Device(Record):
    """Hardware that a measurement can stand for: one file of ``hardware_profiles/devices/``."""

    schema_version: Literal[1]
    name: str
    title: str
    threads: int | None = Field(default=None, ge=1)
    """Threads the backend may use; ``None`` for every core of the machine."""
    here: bool = False
    """Whether it is the machine the program runs on, whichever that is."""
    note: str


V = TypeVar("V")


class Assumption(Record, Generic[V]):
    """An input somebody chose, and why."""

    value: V
    source: str
    provenance: Provenance = "assumed"
    as_of: date | None = None

    def origin(self, subject: str) -> Origin:
        seen = self.as_of.isoformat() if self.as_of else None
        return Origin(subject=subject, provenance=self.provenance, source=self.source, as_of=seen)


class Assumptions(Record):
    """``hardware_profiles/assumptions.yaml``: the local inputs of every cost, in one file."""

    schema_version: Literal[1]
    electricity: Assumption[UsdPerKWh]
    pue: Assumption[float]
    edge_supply_loss: Assumption[Fraction]
    device_life: Assumption[PositiveSeconds]
    residual_value: Assumption[Fraction]
    spare_share: Assumption[Fraction]
    failures_per_device_year: Assumption[float]
    visit: Assumption[Usd]
