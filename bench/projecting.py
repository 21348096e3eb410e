"""What is known of a model on devices that are not here, without a scenario: ``bench project``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bench.errors import InputError, UnknownName
from bench.hardware import Catalogue
from bench.measure import count_work
from bench.profile import Projected, Projector, Refused, Subject, calibrated_settings
from bench.record import Provenance, Record
from bench.units import format_seconds

NAMES = ("throughput", "latency", "energy")
UNITS = {"throughput": "samples/s", "latency": "s", "energy": "J/sample"}


class Figure(Record):
    """One figure of one accelerator."""

    device: str
    figure: str
    unit: str
    value: float
    low: float
    """Nine in ten answers of the kind lay between this"""
    high: float
    """and this."""
    provenance: Provenance
    source: str

    @property
    def row(self) -> tuple[str, ...]:
        """For people: device, figure, value, interval and the word for where it is from."""
        return (
            self.device, self.figure, self._written(self.value),
            f"{self._written(self.low)} to {self._written(self.high)}", self.provenance,
        )  # fmt: skip

    def _written(self, value: float) -> str:
        return format_seconds(value) if self.unit == "s" else f"{value:,.4g} {self.unit}"


class Asked(Record):
    """A model on devices: figures, and why there are none."""

    model: str
    figures: list[Figure]
    refused: dict[str, str]
    """By device, of figures without an answer."""


def project(
    model: str,
    devices: Sequence[str],
    runtime: str | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
) -> Asked:
    """What is published of a model on devices, or projected to them.

    Args:
        model: a published network, ``NAME`` or ``NAME@INPUT``, or the path of an ONNX file.
        runtime: the first word of its name, such as ``tensorrt``; otherwise what is known best.
        shapes: of an ONNX file's inputs, by name, with a batch of one.

    Raises:
        UnknownName: no such network or device.
        InputError: an ONNX file that cannot be counted.
    """
    catalogue = Catalogue()
    for device in devices:
        catalogue.device(device, where="--on")
    subject = _subject(model, catalogue, shapes or {})
    projector = Projector(catalogue, calibrated_settings(catalogue))
    figures, refused = [], {}
    for device in devices:
        try:
            figures += list(_figures(projector, device, subject, runtime))
        except Refused as error:
            refused[device] = f"{error.what}. {error.todo}."
    return Asked(model=subject.title, figures=figures, refused=refused)


def _subject(model: str, catalogue: Catalogue, shapes: Mapping[str, Sequence[int]]) -> Subject:
    if model.endswith(".onnx"):
        counts = count_work(Path(model), shapes).counts
        if counts.layers < 1:
            raise InputError(
                "nothing in the model multiplies and accumulates, and published times are of "
                "networks that do",
                where=model, todo="Measure it there with `bench measure` and `bench keep`",
            )  # fmt: skip
        return Subject(model, counts)
    name, _, side = model.partition("@")
    networks = catalogue.timings.networks
    found = sorted(key for key in networks if key[0] == name)
    asked = [key for key in found if not side or str(key[1]) == side]
    if not asked:
        known = [f"{n}@{i}" for n, i in (found or sorted(networks))]
        raise UnknownName("published network", model, known)
    if len(asked) > 1:
        inputs = ", ".join(f"{n}@{i}" for n, i in asked)
        raise InputError(f"{name} was published at several inputs", where=model, allowed=inputs)
    benchmark = {
        (m.network.name, m.network.input): m.name
        for m in catalogue.published_models.values()
        if m.network
    }
    (key,) = asked
    return Subject(f"{key[0]}@{key[1]}", networks[key].counts, key, benchmark.get(key))


def _figures(
    projector: Projector, device: str, subject: Subject, runtime: str | None
) -> Iterator[Figure]:
    for name in NAMES:
        try:
            found = projector.figure(name, device, subject, runtime)  # type: ignore[arg-type]
        except Refused:
            if name != "energy":  # of most devices no power was published
                raise
            continue
        yield _figure(name, device, found)


def _figure(name: str, device: str, found: Projected) -> Figure:
    return Figure(
        device=device, figure=name, unit=UNITS[name], value=found.value, low=found.value / found.within,
        high=found.value * found.within, provenance="published" if found.published else "projected",
        source=found.source,
    )  # fmt: skip


def shapes_of(written: Sequence[str]) -> dict[str, list[int]]:
    """``NAME=1x3x224x224``, by name.

    Raises:
        InputError: not so written.
    """
    found = {}
    for text in written:
        name, _, sizes = text.partition("=")
        if not re.fullmatch(r"[1-9]\d*(x[1-9]\d*)*", sizes):
            raise InputError(
                f"{text!r} is no shape of an input", where="--shape", allowed="NAME=1x3x224x224"
            )
        found[name] = [int(size) for size in sizes.split("x")]
    return found
