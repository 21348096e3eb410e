"""Profiles of devices that are not here: what was kept, what was published, or a projection."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.hardware import Catalogue, Device, Key, PublishedModel, Setting
from bench.measure import Work
from bench.profile.calibrated import software_of
from bench.profile.profile import Profile, SampleEnergy
from bench.profile.projection import MEASURE, Anchor, Projected, Projector, Refused, Subject
from bench.record import Origin, Provenance
from bench.store import read_record

LARGEST_BATCH = 64
EXECUTE = "execute"
"""The step of a batch that is the model's alone."""


class Elsewhere:
    """Profiles of one task on devices that are not here.

    Args:
        task: its name and its options.
        count: counts the work of a sample; called at most once, and only for a projection.
        calibrated: see :class:`Projector`.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        task: str,
        options: Mapping[str, Any],
        count: Callable[[], Work],
        calibrated: Mapping[Setting, Mapping[Key, float]] | None = None,
    ) -> None:
        self._catalogue, self._task, self._options, self._count = catalogue, task, options, count
        self._calibrated = calibrated or {}

    def kept(self, device: str) -> dict[str, Profile]:
        """What was measured on ``device`` and kept, by arm."""
        folder = self._catalogue.kept(device, Path(self._task).stem)
        found = [read_record(path, Profile) for path in sorted(folder.glob("*.json"))]
        return {profile.arm: profile for profile in found}

    def projected(self, arm: str, device: Device, base: Profile) -> Profile:
        """A published profile, or a projection.

        t(b) = t₀ + b · c, where c is 1 ÷ throughput and t₀ what a single sample takes beyond c.

        Raises:
            Refused: device or model is outside of what published times support.
        """
        projector = self._projector
        if self._published is None:  # before the model is counted, which takes a while
            projector.require_device(device.name)
        subject, software = self._subject(base), software_of(arm)
        throughput = projector.figure("throughput", device.name, subject, software)
        runtime = throughput.setting.software if throughput.setting else software
        latency = projector.figure("latency", device.name, subject, runtime)
        each = max(1 / throughput.value, _least_s(device, subject))
        first = max(latency.value - each, 0.0)
        weights, activations = self._bytes(subject)
        return base.model_copy(
            update={
                "arm": arm,
                "device": device.name,
                "models": [],
                "threads": 1,
                "status": "not checked",
                "status_reason": "",
                "service_s": {size: [first + size * each] for size in range(1, LARGEST_BATCH + 1)},
                "sizes": base.sizes and base.sizes.spread_to(range(1, LARGEST_BATCH + 1)),
                "weight_bytes": weights,
                "activation_bytes": activations,
                "steps_s": {},
                "loop_overhead_s": None,
                "power": [],
                "sample_energy": self._energy(device, subject, software),
                "log_error": max(throughput.log_error, latency.log_error),
                "environment": {},
                "origin": _origin(arm, device, subject, throughput, latency),
            }
        )

    @cached_property
    def _projector(self) -> Projector:
        return Projector(self._catalogue, self._calibrated)

    @cached_property
    def _published(self) -> PublishedModel | None:
        """The task's model, if it is one of the benchmark's."""
        for model in self._catalogue.published_models.values():
            asked = dict(model.task)
            if asked.pop("name", None) == Path(self._task).stem and all(
                self._options.get(key) == value for key, value in asked.items()
            ):
                return model
        return None

    def _subject(self, base: Profile) -> Subject:
        """The task's model as published tables know it, or as it was counted.

        Raises:
            Refused: it cannot be counted, or nothing in it multiplies and accumulates.
        """
        model = self._published
        if model is not None and model.network is not None:
            key = (model.network.name, model.network.input)
            counts = self._catalogue.timings.networks[key].counts
            return Subject(model.title, counts, key, model.name, self._anchors(base))
        try:
            counts = self._work.counts
        except BenchError as error:
            why = str(error).rstrip(".")
            raise Refused(f"nothing can be projected: {why}", todo=MEASURE) from error
        if counts.layers < 1:
            raise Refused(
                "nothing can be projected: nothing in the model multiplies and accumulates, and "
                "published times are of networks that do",
                todo=MEASURE,
            )
        title = f"{self._task}, counted from its graph"
        return Subject(title, counts, None, None, self._anchors(base))

    def _bytes(self, subject: Subject) -> tuple[float, float]:
        """Of the weights and of what one sample writes: as stored in the file, else at four bytes."""
        if subject.network is None:
            return self._work.weight_bytes, self._work.activation_bytes
        return 4 * subject.counts.parameters, 4 * subject.counts.written

    @cached_property
    def _work(self) -> Work:
        return self._count()

    def _anchors(self, base: Profile) -> Sequence[Anchor]:
        """What was measured of the task on devices whose networks' times are known."""
        calibrated = {setting.device for setting in self._calibrated}
        known = calibrated | {setting.device for setting in self._catalogue.timings.seconds}
        here = [name for name in calibrated if self._catalogue.device(name).here]
        profiles = [
            (device, profile) for device in sorted(known) for profile in self.kept(device).values()
        ]
        profiles += [(device, base) for device in here]
        anchors = []
        for device, profile in profiles:
            software = software_of(profile.arm)
            each = {size: _model_s(profile, size) / size for size in profile.service_s}
            anchors += [
                Anchor(device, "one", each[min(each)], software),
                Anchor(device, "many", min(each.values()), software),
            ]
        return anchors

    def _energy(
        self, device: Device, subject: Subject, software: str | None
    ) -> SampleEnergy | None:
        try:
            figure = self._projector.figure("energy", device.name, subject, software)
        except Refused:
            return None
        return SampleEnergy(
            joules=figure.value,
            origin=Origin(
                subject=f"energy of a sample on {device.name}",
                provenance="published" if figure.published else "projected",
                source=_said(figure),
            ),
        )


def _model_s(profile: Profile, size: int) -> float:
    """What the model alone took of a batch, in seconds, as published times have it."""
    return profile.steps_s.get(size, {}).get(EXECUTE) or profile.mean_service_s(size)


def _least_s(device: Device, subject: Subject) -> float:
    """No device computes faster than its highest peak rate; a product with its sum is two operations."""
    sheet = device.data_sheet
    rates = (sheet.int8, sheet.fp16, sheet.fp32) if sheet else ()
    rate = max((rate for rate in rates if rate), default=None)
    return 2 * sum(subject.counts[:5]) / rate if rate else 0.0


def _origin(
    arm: str, device: Device, subject: Subject, throughput: Projected, latency: Projected
) -> Origin:
    published = throughput.published and latency.published
    provenance: Provenance = "published" if published else "projected"
    dates = sorted(filter(None, (throughput.as_of, latency.as_of)))
    products = sum(subject.counts[:5]) / 1e9
    return Origin(
        subject=f"service times of {arm}",
        provenance=provenance,
        source=(
            f"{subject.title} ({products:.3g} G multiply-accumulates a sample) on {device.title}. "
            f"Throughput {throughput.value:.4g}/s: {_said(throughput)}. "
            f"Single stream {latency.value * 1e3:.4g} ms: {_said(latency)}. "
            "Times are of the model alone, with other software they may be many times as long; "
            "their spread is not published, and they are constant within a replication"
        ),
        as_of=dates[-1] if published and dates else None,
    )


def _said(figure: Projected) -> str:
    sure = "" if figure.published else f", within a factor of {figure.within:.2f} nine times in ten"
    return figure.source + sure
