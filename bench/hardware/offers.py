"""Priced ways to hold a device: one file for each provider in ``hardware_profiles/offers``."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from bench.hardware.assumptions import EmbodiedCarbon
from bench.hardware.sourced import (
    Day,
    HourPrice,
    PowerDraw,
    PurchasePrice,
    Sourced,
    StoragePrice,
)
from bench.record import Record
from bench.units import Bytes, PositiveSeconds, Seconds, UsdPerGB

Location = Literal["cloud", "on_premise", "edge"]
Tier = Literal["on_demand", "spot", "reserved"]


class EgressTier(Record):
    """A price up to an amount of traffic a month; the last tier has no end."""

    up_to: Bytes | None = None
    price: UsdPerGB


class Egress(Sourced):
    """What traffic out of the provider's network costs, by how much it is in a month."""

    tiers: list[EgressTier] = Field(min_length=1, max_length=10)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        ends = [tier.up_to for tier in self.tiers]
        if None in ends[:-1] or ends[-1] is not None:
            raise ValueError("every tier but the last needs up_to, and the last has none")
        known = [end for end in ends if end is not None]
        if known != sorted(set(known)):
            raise ValueError("the tiers must grow")
        return self


class Services(Record):
    """What a provider charges beside the machine."""

    load_balancer: HourPrice | None = None
    egress: Egress | None = None
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
    device: str | None = None
    """The device that computes, as a file in ``hardware_profiles/devices`` calls it."""
    accelerators: int = Field(default=0, ge=0, le=64)
    """How many of the device there are, where it is not the machine's own processor."""

    @model_validator(mode="before")
    @classmethod
    def _with_host(cls, data: Any) -> Any:
        # An unknown key is the misspelling of a missing one, and is told as such.
        if (
            isinstance(data, dict)
            and data.get("accelerators")
            and not data.keys() - cls.model_fields
        ):
            lacking = [key for key in ("vcpus", "memory_gib") if not data.get(key)]
            if lacking:
                raise ValueError(
                    "a row without vcpus and memory_gib prices an accelerator without its host; "
                    f"give {' and '.join(lacking)} of the whole machine"
                )
        return data


class RentedOffer(_OfferBase):
    """A machine paid by the hour."""

    kind: Literal["rented"] = "rented"
    region: str
    tier: Tier
    term_months: int | None = Field(default=None, ge=1, le=60)
    """How long a reserved machine is paid for."""
    sold_until: Day | None = None
    dearer_because: str = ""
    """Why it costs more than twice as much as in another region."""
    rate: HourPrice
    idle: PowerDraw | None = None
    """Of the whole machine, held and doing nothing, at the wall; ``None`` where no source says it."""

    @model_validator(mode="after")
    def _term(self) -> Self:
        if (self.tier == "reserved") != (self.term_months is not None):
            raise ValueError("a reserved offer needs term_months, and no other has them")
        return self

    def name_at(self, provider: str) -> str:
        term = f"-{self.term_months}m" if self.term_months else ""
        return f"{provider}/{self.sku}/{self.region}/{self.tier.replace('_', '-')}{term}"


class PurchasedOffer(_OfferBase):
    """A machine bought once, then fed and repaired."""

    kind: Literal["purchased"] = "purchased"
    purchase: PurchasePrice
    power: PowerDraw
    embodied_carbon: EmbodiedCarbon | None = None
    """``None`` where no source says what making it caused."""
    region: str = "any"

    def name_at(self, provider: str) -> str:
        return f"{provider}/{self.sku}"


Machine = Annotated[RentedOffer | PurchasedOffer, Field(discriminator="kind")]


class ProviderFile(Record):
    """One file of ``hardware_profiles/offers/``."""

    schema_version: Literal[1]
    provider: str
    location: Location
    currency: Literal["USD"]
    tax: Literal["excluded"]
    billing: Billing | None = None
    services: Services = Services()
    reserved_only: list[str] = Field(default=[])
    """SKUs that nobody can rent by the hour."""
    offers: list[Machine] = Field(min_length=1)


class Offer(Record):
    """A priced way to hold a device, with what its provider charges beside it."""

    name: str
    provider: str
    location: Location
    machine: Machine
    billing: Billing | None
    services: Services
