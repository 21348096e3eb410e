"""Prices somebody negotiated, and local inputs: one file that goes before the catalogue.

By default ``overrides.yaml`` beside the catalogue, which git ignores; or ``--overrides FILE``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, create_model

from bench.documents import Source, read
from bench.errors import InputError, UnknownName
from bench.hardware.assumptions import Assumptions
from bench.hardware.checks import check_most
from bench.hardware.offers import Offer, RentedOffer, Services
from bench.hardware.sourced import HourPrice, PurchasePrice, Sourced
from bench.record import Record, worst
from bench.units import Fraction


class Discount(Sourced):
    """A share off every list price of a provider's machines."""

    share: Fraction = Field(lt=1)


_INPUTS = {
    name: (field.annotation, None)
    for name, field in Assumptions.model_fields.items()
    if name != "schema_version"
}
_SomeAssumptions: type[Record] = create_model(  # type: ignore[call-overload]
    "_SomeAssumptions", __base__=Record, **_INPUTS
)


class Overrides(Record):
    """One override file; whatever it does not name stays as it is."""

    schema_version: Literal[1]
    rates: dict[str, HourPrice] = Field(default={})
    """By the offer's name; goes before a discount."""
    purchases: dict[str, PurchasePrice] = Field(default={})
    discounts: dict[str, Discount] = Field(default={})
    """By provider."""
    services: dict[str, Services] = Field(default={})
    """By provider; what is not named stays."""
    assumptions: dict[str, dict[str, Any]] = Field(default={})
    """As in ``assumptions.yaml``."""


class OverrideFile:
    """An override file, and the lines of what it says.

    Raises (from every method):
        InputError: it names what is not there, or a value cannot be used.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise InputError(
                "there is no such file of overrides", where=str(path), todo="Check its path"
            )
        self._source: Source = read(path)
        self._said = self._source.record(Overrides)

    def offers(self, listed: Mapping[str, Offer]) -> dict[str, Offer]:
        """The offers with the prices of the file."""
        providers = {offer.provider for offer in listed.values()}
        rented = {n: o.machine for n, o in listed.items() if o.machine.kind == "rented"}
        self._require("rates", listed)
        self._require("purchases", listed)
        self._require("discounts", providers)
        self._require("services", providers)
        for name, rate in self._said.rates.items():
            if name not in rented:
                raise self._refused("rates", name, "is bought, so it has no rate", "purchases")
            check_most(rate.price, rented[name], self._source.where(("rates", name, "price")))
        for name in self._said.purchases:
            if name in rented:
                raise self._refused("purchases", name, "is rented, so it has no purchase", "rates")
        for name in self._said.discounts:
            if not any(listed[offer].provider == name for offer in rented):
                raise self._refused("discounts", name, "rents out nothing", "purchases")
        return {name: self._changed(offer) for name, offer in listed.items()}

    def assumptions(self, listed: Assumptions) -> Assumptions:
        """The assumptions with those of the file."""
        # Read from what is written, since the numbers need their units.
        written = self._source.data.get("assumptions", {})
        said = self._source.record(_SomeAssumptions, ("assumptions",), written)
        return listed.model_copy(update={name: getattr(said, name) for name in written})

    def _require(self, key: str, known: Collection[str]) -> None:
        noun = "provider" if key in ("discounts", "services") else "offer"
        for name in getattr(self._said, key):
            if name not in known:
                where = self._source.where((key, name), key=True)
                raise UnknownName(noun, name, known, where=where)

    def _refused(self, key: str, name: str, why: str, other: str) -> InputError:
        return InputError(
            f"{name} {why} that could change", where=self._source.where((key, name), key=True),
            todo=f"Give its price under {other}",
        )  # fmt: skip

    def _changed(self, offer: Offer) -> Offer:
        machine, services = offer.machine, self._said.services.get(offer.provider)
        if isinstance(machine, RentedOffer):
            rate = self._said.rates.get(offer.name)
            discount = self._said.discounts.get(offer.provider)
            if rate is None and discount is not None:
                rate = _discounted(machine.rate, discount)
            machine = machine.model_copy(update={"rate": rate or machine.rate})
        elif (purchase := self._said.purchases.get(offer.name)) is not None:
            machine = machine.model_copy(update={"purchase": purchase})
        said = {k: v for k, v in services or () if v is not None}
        return offer.model_copy(
            update={"machine": machine, "services": offer.services.model_copy(update=said)}
        )


def _discounted(rate: HourPrice, discount: Discount) -> HourPrice:
    # A share is a binary fraction; twelve digits are what was written, and the product is exact.
    left = 1 - Decimal(repr(round(discount.share, 12)))
    prices = {"price": rate.price, "low": rate.low, "high": rate.high}
    return rate.model_copy(
        update={
            **{key: None if price is None else price * left for key, price in prices.items()},
            "as_of": min(filter(None, (rate.as_of, discount.as_of)), default=None),
            "provenance": worst((rate.provenance, discount.provenance)),
            "source": f"{rate.source}, less {discount.share:.4g} of it: {discount.source}",
        }
    )
