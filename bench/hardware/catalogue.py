"""The catalogue: all that one ``hardware_profiles`` folder knows."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path

from bench.documents import Source, read
from bench.errors import InputError, UnknownName
from bench.folders import data_folder
from bench.hardware.assumptions import Assumptions
from bench.hardware.checks import check_device, check_provider, check_regions
from bench.hardware.devices import Device
from bench.hardware.offers import Offer, ProviderFile
from bench.hardware.overrides import OverrideFile
from bench.hardware.published import (
    TABLES,
    PublishedModel,
    PublishedModels,
    PublishedResult,
    read_results,
)
from bench.hardware.regions import (
    GridIntensity,
    Intensity,
    Region,
    RegionFile,
    read_averages,
)
from bench.hardware.timings import Timings, read_timings

OVERRIDES = "overrides.yaml"


class Catalogue:
    """Look-up in one ``hardware_profiles`` folder; files are read when first asked for.

    Args:
        overrides: the file that goes before the catalogue; by default the one in the folder.

    Raises (from every look-up):
        InputError: a file breaks a rule of the catalogue; the message names the line.
    """

    def __init__(self, folder: Path | None = None, overrides: Path | None = None) -> None:
        self.folder = folder or data_folder("hardware_profiles")
        beside = self.folder / OVERRIDES
        self._overrides = overrides or (beside if beside.is_file() else None)

    @cached_property
    def offers(self) -> dict[str, Offer]:
        folder = self.folder / "devices"
        devices = {path.stem for path in folder.glob("*.yaml")} if folder.is_dir() else None
        files: dict[str, Path] = {}
        listed: dict[str, Offer] = {}
        for source in self._sources("offers"):
            file = source.record(ProviderFile)
            check_provider(file, source, devices, files)
            files[file.provider] = source.path
            listed |= {offer.name: offer for offer in _offers_in(file)}
        return self._file.offers(listed) if self._file else listed

    @cached_property
    def devices(self) -> dict[str, Device]:
        found: dict[str, Device] = {}
        published: dict[str, str] = {}
        for source in self._sources("devices"):
            device = source.record(Device)
            check_device(device, source, published)
            found[device.name] = device
            published |= dict.fromkeys(device.published_as, device.name)
        return found

    @cached_property
    def assumptions(self) -> Assumptions:
        listed = read(self.folder / "assumptions.yaml").record(Assumptions)
        return self._file.assumptions(listed) if self._file else listed

    @cached_property
    def regions(self) -> dict[tuple[str, str], Region]:
        """By provider and region, with the country's average where the grid is not known."""
        source = read(self.folder / "regions.yaml")
        file = source.record(RegionFile)
        check_regions(file, source)
        return {(r.provider, r.region): self._with_average(r) for r in file.regions}

    @cached_property
    def published(self) -> list[PublishedResult]:
        """Every published result; ``device`` is one of :attr:`devices`."""
        names = {
            name: device.name for device in self.devices.values() for name in device.published_as
        }
        folder = self.folder / "published"
        return [result for name in TABLES for result in read_results(folder / name, names)]

    @cached_property
    def published_models(self) -> dict[str, PublishedModel]:
        """The models of the published results, by family."""
        file = read(self.folder / "published" / "models.yaml").record(PublishedModels)
        return {model.name: model for model in file.models}

    @cached_property
    def timings(self) -> Timings:
        """Published times of networks; every setting's device is one of :attr:`devices`."""
        found = read_timings(self.folder / "published")
        for setting in found.seconds:
            self.device(setting.device, where=str(self.folder / "published" / "settings.csv"))
        return found

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

    def region_of(self, offer: Offer, country: str | None = None) -> Region | None:
        """Where the machine of an offer stands, if that is known; ``country``: of one's own site."""
        if country is not None and offer.machine.kind == "purchased":
            average = self.averages.get(country)
            return Region(
                provider=offer.provider, region=offer.machine.region, country=country,
                intensity=GridIntensity(average=average),
            )  # fmt: skip
        return self.regions.get((offer.provider, offer.machine.region))

    def require_country(self, country: str, where: str) -> None:
        """Refuse a country of whose grid nothing is known.

        Raises:
            UnknownName: with the nearest that is.
        """
        if country not in self.averages:
            raise UnknownName("country", country, self.averages, where=where)

    def kept(self, device: str, task: str) -> Path:
        """The folder of the profiles that were measured on ``device`` and kept."""
        return self.folder / "measured" / device / task

    @cached_property
    def _file(self) -> OverrideFile | None:
        return OverrideFile(self._overrides) if self._overrides else None

    @cached_property
    def averages(self) -> dict[str, Intensity]:
        """What countries generate on average, by ISO 3166 alpha-3."""
        return read_averages(self.folder / "published" / "grid_carbon_intensity.csv")

    def _with_average(self, region: Region) -> Region:
        if region.intensity.average is not None or region.country not in self.averages:
            return region
        average = self.averages[region.country]
        intensity = region.intensity.model_copy(update={"average": average})
        return region.model_copy(update={"intensity": intensity})

    def _sources(self, kind: str) -> Iterator[Source]:
        folder = self.folder / kind
        try:
            names = sorted(os.listdir(folder))  # which, unlike glob, says what it cannot read
        except OSError as error:
            raise InputError(
                f"the folder cannot be read ({error.strerror})", where=str(folder)
            ) from error
        for name in names:
            if name.endswith(".yml"):
                raise InputError(
                    "the catalogue reads files that end in .yaml", where=str(folder / name),
                    todo="Rename it",
                )  # fmt: skip
            if name.endswith(".yaml"):
                yield read(folder / name)


def _offers_in(file: ProviderFile) -> Iterator[Offer]:
    for machine in file.offers:
        yield Offer(
            name=machine.name_at(file.provider),
            provider=file.provider,
            location=file.location,
            machine=machine,
            billing=file.billing,
            services=file.services,
        )


class Excerpt(Catalogue):
    """What was looked up once, without the files: the catalogue as it was for one run."""

    def __init__(
        self,
        devices: Mapping[str, Device],
        offers: Mapping[str, Offer],
        regions: Mapping[str, Region | None],
        assumptions: Assumptions,
    ) -> None:
        """``regions``: by the name of the offer."""
        self.devices = dict(devices)
        self.offers = dict(offers)
        self.assumptions = assumptions
        self.regions = {
            (offer.provider, offer.machine.region): region
            for name, offer in offers.items()
            if (region := regions[name]) is not None
        }
