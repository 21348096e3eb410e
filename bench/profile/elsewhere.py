"""Profiles of devices that are not here: what was kept, what was published, or a projection."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from bench.errors import BenchError
from bench.hardware import Catalogue, Device, PublishedModel
from bench.measure import Work
from bench.profile.profile import Profile, SampleEnergy
from bench.profile.projection import MEASURE, Anchor, Projected, Projector, Refused
from bench.profile.projection.cells import rate_of
from bench.record import Origin, Provenance
from bench.store import read_record

LARGEST_BATCH = 64
RECURRENT_SHARE = 0.1
SOFTWARE = (
    "as the chip's maker tuned it for MLPerf, at the precision it chose there; with other software "
    "it may take many times as long"
)


class Elsewhere:
    """Profiles of one task on devices that are not here.

    Args:
        task: its name and its options.
        count: counts the work of a sample; called at most once, and only for a projection.
    """

    def __init__(
        self, catalogue: Catalogue, task: str, options: Mapping[str, Any], count: Callable[[], Work]
    ) -> None:
        self._catalogue, self._task, self._options, self._count = catalogue, task, options, count

    def kept(self, device: str) -> dict[str, Profile]:
        """What was measured on ``device`` and kept, by arm."""
        folder = self._catalogue.kept(device, Path(self._task).stem)
        found = [read_record(path, Profile) for path in sorted(folder.glob("*.json"))]
        return {profile.arm: profile for profile in found}

    def projected(self, arm: str, device: Device, base: Profile) -> Profile:
        """A published profile, or a projection, as if the maker's software ran the task.

        t(b) = t₀ + b · c, where c is 1 ÷ throughput and t₀ what a single sample takes beyond c.

        Raises:
            Refused: device or model is outside of what published results support.
        """
        projector = self._projector
        if self._published is None:  # before the model is counted, which takes a while
            projector.require_device(device.name)
        model = self._model
        throughput = projector.figure("throughput", device.name, model, self._anchors)
        latency = projector.figure("latency", device.name, model, self._anchors)
        each = max(1 / throughput.value, self._least_s(device))
        first = max(latency.value - each, 0.0)
        return base.model_copy(
            update={
                "arm": arm,
                "device": device.name,
                "models": [],
                "threads": 1,
                "weight_bytes": model.weights,
                "activation_bytes": model.activations,
                "status": "not checked",
                "status_reason": "",
                "service_s": {size: [first + size * each] for size in range(1, LARGEST_BATCH + 1)},
                "sizes": base.sizes and base.sizes.spread_to(range(1, LARGEST_BATCH + 1)),
                "steps_s": {},
                "loop_overhead_s": None,
                "power": [],
                "sample_energy": self._energy(device),
                "log_error": max(throughput.log_error, latency.log_error),
                "environment": {},
                "origin": _origin(arm, device, model, throughput, latency),
            }
        )

    @cached_property
    def _projector(self) -> Projector:
        catalogue = self._catalogue
        return Projector(catalogue.published, catalogue.devices, catalogue.published_models)

    @cached_property
    def _published(self) -> PublishedModel | None:
        """The task's model, if it is one of the table's."""
        for model in self._catalogue.published_models.values():
            asked = dict(model.task)
            if asked.pop("name", None) == Path(self._task).stem and all(
                self._options.get(key) == value for key, value in asked.items()
            ):
                return model
        return None

    @cached_property
    def _model(self) -> PublishedModel:
        """The task's model as the table knows it, or as it was counted.

        Raises:
            Refused: it cannot be counted.
        """
        if self._published is not None:
            return self._published
        try:
            work = self._count()
        except BenchError as error:
            said = str(error).rstrip(".")
            raise Refused(f"nothing can be projected: {said}", todo=MEASURE) from error
        return PublishedModel(
            name=f"the model of {Path(self._task).stem}",
            title=self._task,
            flops=max(work.flops, 1.0),
            weights=max(work.weight_bytes, 1.0),
            activations=max(work.activation_bytes, 1.0),
            recurrent=work.kinds.get("recurrent", 0.0) > RECURRENT_SHARE,
            provenance="projected",
            source=f"counted from its graph: {work.flops / 1e9:.3g} GFLOP a sample",
            note=work.note,
        )

    @cached_property
    def _anchors(self) -> Sequence[Anchor]:
        """What was measured of the task on devices that the published table knows."""
        known = {row.device for row in self._catalogue.published if row.device}
        anchors = []
        for device in sorted(known):
            for profile in self.kept(device).values():
                throughput = max(s / profile.mean_service_s(s) for s in profile.service_s)
                latency = float(np.quantile(profile.service_s[min(profile.service_s)], 0.9))
                anchors += [
                    Anchor(device, "throughput", throughput),
                    Anchor(device, "concurrency", max(latency * throughput, 1.0)),
                ]
        return anchors

    def _least_s(self, device: Device) -> float:
        """No device computes faster than its peak rate."""
        rate = rate_of(device.data_sheet) if device.data_sheet else None
        return self._model.flops / rate if rate else 0.0

    def _energy(self, device: Device) -> SampleEnergy | None:
        try:
            figure = self._projector.figure("energy", device.name, self._model, ())
        except Refused:
            return None
        return SampleEnergy(
            joules=figure.value,
            origin=Origin(
                subject=f"energy of a sample on {device.name}",
                provenance="published" if figure.rows else "projected",
                source=_said(figure),
            ),
        )


def _origin(
    arm: str, device: Device, model: PublishedModel, throughput: Projected, latency: Projected
) -> Origin:
    published = bool(throughput.rows and latency.rows)
    provenance: Provenance = "published" if published else "projected"
    dates = sorted(row.origin.as_of or "" for row in (*throughput.rows, *latency.rows))
    return Origin(
        subject=f"service times of {arm}",
        provenance=provenance,
        source=(
            f"{model.title} ({model.flops / 1e9:.3g} GFLOP) on {device.title}, {SOFTWARE}. "
            f"Throughput {throughput.value:.4g}/s: {_said(throughput)}. "
            f"Single stream {latency.value * 1e3:.4g} ms: {_said(latency)}. "
            "Their spread is not published; times are constant within a replication"
        ),
        as_of=dates[-1] if published and dates else None,
    )


def _said(figure: Projected) -> str:
    if figure.rows:
        rounds = sorted({row.round for row in figure.rows})
        return f"median of {len(figure.rows)} result(s) of MLPerf Inference {', '.join(rounds)}"
    within = float(np.exp(1.645 * figure.log_error))
    return f"projected from MLPerf Inference, within a factor of {within:.2f} nine times in ten"
