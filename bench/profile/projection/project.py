"""One device, one model: what published results say of it, or a projection with its error."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from bench.errors import InputError
from bench.hardware import Device, PublishedModel, PublishedResult
from bench.profile.projection.cells import (
    Cell,
    Cells,
    columns,
    device_features,
    joined,
    model_features,
    sheet_of,
)
from bench.profile.projection.process import Fit, fit, leave_out, predict
from bench.profile.projection.quantities import FIGURES, PROJECTED, table

NORMAL_90 = 1.645
MARGIN = math.log(2)
"""A device or a model may lie so far outside of the published ones, in logarithms."""
WIDEST = math.log(6)
"""A projection whose 90 % interval reaches further than a factor of six either way is refused."""

Question = Literal["known device", "data sheet", "counted work"]
"""What is not known: the model on this device; the device; the model everywhere."""


class Refused(InputError):
    """Nothing can be projected, and why."""


@dataclass(frozen=True)
class Projected:
    """A figure with its error."""

    value: float
    log_error: float
    """Standard deviation of its logarithm, scaled so that 90 % of the held-out results lay within
    1.645 of it. Zero where the figure itself was published."""
    rows: tuple[PublishedResult, ...] = ()
    """What was published of this device and model; empty where it is a projection."""
    question: Question | None = None


@dataclass(frozen=True)
class Anchor:
    """A figure of the model that was measured on a device of the table."""

    device: str
    figure: str
    value: float


class Projector:
    """Answers from one table of published results; each quantity is fitted when first asked for."""

    def __init__(
        self,
        results: Sequence[PublishedResult],
        devices: Mapping[str, Device],
        models: Mapping[str, PublishedModel],
    ) -> None:
        self._results, self._devices, self._models = results, devices, models
        self._fitted: dict[str, tuple[Cells, Fit]] = {}

    def figure(
        self, name: str, device: str, model: PublishedModel, anchors: Sequence[Anchor] = ()
    ) -> Projected:
        """A published or projected figure, one of :data:`FIGURES`, of one accelerator.

        Raises:
            Refused: device, model or precision is outside of what published results support.
        """
        rows = self._published(name, device, model)
        if rows:
            values = [FIGURES[name].of(row) for row in rows]
            return Projected(float(np.median([v for v in values if v is not None])), 0.0, rows)
        self.require_support(device, model)
        if name == "latency":
            return self._latency(device, model, anchors)
        return self._projected(name, device, model, anchors)

    def require_support(self, device: str, model: PublishedModel) -> None:
        """Refuse what lies outside of the table.

        Raises:
            Refused: with the reason.
        """
        if not model.fixed_work:
            raise Refused(
                f"nothing is projected for {model.name}: its answers have any length",
                todo="Measure it on the device",
            )
        self._require_device(device)
        self._require_model(model)

    def question(self, device: str, model: PublishedModel, anchors: Sequence[Anchor]) -> Question:
        """What of it is not known."""
        cells, _ = self._table("throughput")
        if model.name not in cells.family and not anchors:
            return "counted work"
        return "known device" if device in cells.device else "data sheet"

    def held_out(self, name: str, question: Question) -> tuple[Cells, np.ndarray, np.ndarray]:
        """The cells of a quantity, and what the others say of each: mean and deviation of its log.

        Left out with a cell are all results of its model on its device (``known device``), all of
        its device (``data sheet``), or all of its model (``counted work``).
        """
        cells, fitted = self._table(name)
        return cells, *leave_out(cells, fitted, groups(cells, question))

    def scale(self, name: str, question: Question) -> float:
        """What the process's own deviations must be multiplied by to be honest."""
        cells, mean, deviation = self.held_out(name, question)
        away = np.abs(mean - cells.log) / deviation
        return float(np.quantile(away, 0.9)) / NORMAL_90

    def _published(
        self, name: str, device: str, model: PublishedModel
    ) -> tuple[PublishedResult, ...]:
        if name not in FIGURES or model.name not in self._models:
            return ()
        return tuple(
            row
            for row in self._results
            if row.device == device
            and row.family == model.name
            and row.model in (model.name, f"{model.name}-99")
            and row.software == "makers"
            and not row.saving
            and row.accelerators > 0
            and row.unit == "samples"
            and FIGURES[name].of(row) is not None
        )

    def _latency(self, device: str, model: PublishedModel, anchors: Sequence[Anchor]) -> Projected:
        """Little's law: concurrency ÷ throughput."""
        throughput = self.figure("throughput", device, model, anchors)
        concurrency = self._projected("concurrency", device, model, anchors)
        error = math.hypot(throughput.log_error, concurrency.log_error)
        self._require_narrow("latency", device, error)
        return Projected(
            max(concurrency.value, 1.0) / throughput.value, error, (), concurrency.question
        )

    def _projected(
        self, name: str, device: str, model: PublishedModel, anchors: Sequence[Anchor]
    ) -> Projected:
        cells, fitted = self._table(name)
        models = {**self._models, model.name: model}
        known = [
            Cell(a.device, False, model.name, model.name, math.log(a.value), 1)
            for a in anchors
            if a.figure == name
        ]
        if known:
            cells = joined(cells, columns(known, self._devices, models))
        variant = model.name if f"{model.name}-99" not in cells.model else f"{model.name}-99"
        asked = columns([Cell(device, False, model.name, variant, 0.0, 1)], self._devices, models)
        mean, deviation = predict(cells, asked, fitted)
        question = self.question(device, model, anchors if known else ())
        error = float(deviation[0]) * self.scale(name, question)
        self._require_narrow(name, device, error)
        return Projected(float(np.exp(mean[0])), error, (), question)

    def _require_narrow(self, name: str, device: str, error: float) -> None:
        if error * NORMAL_90 > WIDEST:
            raise Refused(
                f"the {name} on {device} would be projected within a factor of "
                f"{math.exp(error * NORMAL_90):.1f} either way, which is no answer",
                todo="Measure it there, or on a device that published results know",
            )

    def _require_device(self, name: str) -> None:
        device = self._devices[name]
        try:
            sheet = sheet_of(device)
        except ValueError as error:
            raise Refused(
                f"nothing can be projected to {name}: {error}", todo="Measure on the device"
            ) from None
        cells, _ = self._table("throughput")
        others = cells.where((cells.maker == sheet.maker) & (cells.device != name))
        if len(set(others.device)) < 2:
            raise Refused(
                f"nothing can be projected to {name}: fewer than two other devices of "
                f"{sheet.maker} have published results",
                todo="Measure on the device",
            )
        own = np.array(device_features(sheet))[:2]
        low, high = others.features[:, :2].min(axis=0), others.features[:, :2].max(axis=0)
        if (own < low - MARGIN).any() or (own > high + MARGIN).any():
            raise Refused(
                f"nothing can be projected to {name}: its data sheet lies far outside of those of "
                f"{sheet.maker} that have published results",
                todo="Measure on the device",
            )

    def _require_model(self, model: PublishedModel) -> None:
        flops = [m.flops for m in self._models.values() if m.fixed_work]
        if not min(flops) / 2 <= model.flops <= max(flops) * 2:
            raise Refused(
                f"nothing can be projected for {model.name}: {model.flops / 1e9:.3g} GFLOP a "
                f"sample, and published models have {min(flops) / 1e9:.3g} to "
                f"{max(flops) / 1e9:.3g}",
                todo="Measure it on the device",
            )

    def _table(self, name: str) -> tuple[Cells, Fit]:
        if name not in self._fitted:
            cells = table(name, self._results, self._devices, self._models)
            self._fitted[name] = cells, fit(cells)
        return self._fitted[name]


def groups(cells: Cells, question: Question) -> np.ndarray:
    """What is left out together."""
    if question == "known device":
        return cells.device + " " + cells.family
    return cells.device if question == "data sheet" else cells.family
