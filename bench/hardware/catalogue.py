"""The catalogue: every device, offer and assumption of one ``hardware_profiles`` folder."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from bench.documents import Source, read
from bench.errors import InputError, UnknownName
from bench.folders import data_folder
from bench.hardware.records import Assumptions, Device, Offer, ProviderFile, RentedOffer


class Catalogue:
    """Look-up in one ``hardware_profiles`` folder; files are read when first asked for.

    Raises (from every look-up):
        InputError: a file breaks a rule of the catalogue; the message names the line.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or data_folder("hardware_profiles")

    @cached_property
    def offers(self) -> dict[str, Offer]:
        offers: dict[str, Offer] = {}
        for source in self._sources("offers"):
            for offer in _offers_in(source):
                offers[offer.name] = offer
        return offers

    @cached_property
    def devices(self) -> dict[str, Device]:
        found = [source.record(Device) for source in self._sources("devices")]
        return {device.name: device for device in found}

    @cached_property
    def assumptions(self) -> Assumptions:
        return read(self.folder / "assumptions.yaml").record(Assumptions)

    def offer(self, name: str, where: str | None = None) -> Offer:
        """The offer called ``provider/sku/region/tier`` (bought machines: ``provider/sku``).

        Raises:
            UnknownName: there is no such offer.
        """
        if name not in self.offers:
            raise UnknownName("offer", name, self.offers, where=where)
        return self.offers[name]

    def device(self, name: str, where: str | None = None) -> Device:
        """The device called ``name``.

        Raises:
            UnknownName: there is no such device.
        """
        if name not in self.devices:
            raise UnknownName("device", name, self.devices, where=where)
        return self.devices[name]

    def kept(self, device: str, task: str) -> Path:
        """The folder of the profiles that were measured on ``device`` and kept."""
        return self.folder / "measured" / device / task

    def _sources(self, kind: str) -> Iterator[Source]:
        for path in sorted((self.folder / kind).glob("*.yaml")):
            yield read(path)


def _offers_in(source: Source) -> Iterator[Offer]:
    file = source.record(ProviderFile)
    seen: set[str] = set()
    for index, machine in enumerate(file.offers):
        where = source.where(("offers", index))
        name = machine.name_at(file.provider)
        if name in seen:
            raise InputError(f"the offer {name!r} appears twice", where=where)
        seen.add(name)
        if isinstance(machine, RentedOffer):
            if file.billing is None:
                raise InputError(
                    "a rented offer needs its provider's billing rule",
                    where=where,
                    allowed="billing: {granularity: 1 s, minimum: 60 s} at the top of the file",
                )
            if machine.rate.price == 0:
                raise InputError(
                    "a price of zero is a hole in a price list, not an offer", where=where
                )
        yield Offer(
            name=name,
            provider=file.provider,
            location=file.location,
            machine=machine,
            billing=file.billing,
            services=file.services,
        )
