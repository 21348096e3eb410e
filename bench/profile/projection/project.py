"""One device, one model: what published results say of it, or a projection with its error."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
    screened,
    sheet_of,
)
from bench.profile.projection.process import Fit, fit, leave_out, predict
from bench.profile.projection.quantities import FIGURES, table

NORMAL_90 = 1.645
MARGIN = math.log(2)
"""A device or a model may lie so far outside of the published ones, in logarithms."""
WIDEST = math.log(10)
"""A projection whose 90 % interval reaches further than a factor of ten either way is refused."""

USELESS = math.log(2)
FEWEST = 20
"""Published cells of a figure that a projection needs; each of the table has hundreds."""

Question = Literal["known device", "data sheet", "counted work"]
"""What is not known: the model on this device; the device; the model everywhere."""


class Refused(InputError):
    """Nothing can be projected, and why: ``what`` and ``todo`` in general, ``where`` names the device.

    A plan puts together the offers that are refused alike.
    """


MEASURE = "Measure on the device: `bench measure` there, then `bench keep RUN --as DEVICE`"
SHEET = f"Complete its data sheet in hardware_profiles/devices, or m{MEASURE[1:]}"


@dataclass(frozen=True)
class Projected:
    """A figure with its error."""

    value: float
    log_error: float
    """Standard deviation of its logarithm, scaled so that 90 % of the held-out results lay within
    1.645 of it; of a published figure, how far single results in a cell lie apart."""
    rows: tuple[PublishedResult, ...] = ()
    """What was published of this device and model; empty where it is a projection."""
    question: Question | None = None


@dataclass(frozen=True)
class Anchor:
    """A figure of the model that was measured on a device; not used if that has no data sheet."""

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
        self._scales: dict[tuple[str, Question], float] = {}

    def figure(
        self, name: str, device: str, model: PublishedModel, anchors: Sequence[Anchor] = ()
    ) -> Projected:
        """A published or projected figure, one of :data:`FIGURES`, of one accelerator.

        Raises:
            Refused: device, model or precision is outside of what published results support.
        """
        found = self._published(name, device, model)
        if found:
            values = list(found.values())
            return Projected(float(np.median(values)), self._apart(name, values), tuple(found))
        self.require_support(device, model, name)
        if name == "latency":
            return self._latency(device, model, anchors)
        return self._projected(name, device, model, anchors)

    def require_support(self, device: str, model: PublishedModel, name: str = "throughput") -> None:
        """Refuse what lies outside of the table: a device, a model, or a figure of them.

        Raises:
            Refused: with the reason.
        """
        if not model.fixed_work:
            raise Refused(
                f"nothing is projected for {model.name}: its answers have any length",
                todo=MEASURE,
            )
        self.require_device(device)
        self._require_model(model)
        self._require_alike(device, name)

    def held_out(self, name: str, question: Question) -> HeldOut:
        """What the other cells of a quantity say of each."""
        cells, fitted = self._table(name)
        return held_out(cells, fitted, question)

    def scale(self, name: str, question: Question) -> float:
        """What the process's own deviations must be multiplied by to be honest."""
        if (name, question) not in self._scales:
            self._scales[name, question] = self.held_out(name, question).scale
        return self._scales[name, question]

    def _published(
        self, name: str, device: str, model: PublishedModel
    ) -> dict[PublishedResult, float]:
        """The figure of each result of the cell, but for those that are screened."""
        if name not in FIGURES or model.name not in self._models:
            return {}
        figure = FIGURES[name]
        found = {
            row: value
            for row in self._results
            if row.device == device
            and row.family == model.name
            and row.model in (model.name, f"{model.name}-99")
            and row.software == "makers"
            and not row.saving
            and row.accelerators > 0
            and row.unit == "samples"
            and (value := figure.of(row)) is not None
        }
        kept = screened(list(found.values()), figure.more_is_better)
        return {row: value for row, value in found.items() if value in kept}

    def _apart(self, name: str, values: Sequence[float]) -> float:
        """How far one more result may lie from these: as they do, or at least as all cells' do."""
        _, fitted = self._table(name)
        usual = float(np.exp(fitted.log_variances[-1] / 2))
        own = float(np.std(np.log(values), ddof=1)) if len(values) > 2 else 0.0
        return max(own, usual)

    def _latency(self, device: str, model: PublishedModel, anchors: Sequence[Anchor]) -> Projected:
        """From other latencies of the model; where there are none, concurrency ÷ throughput.

        That is Little's law, and needed because latency alone says too little about a new model.
        """
        if not anchors and model.name in self._table("latency")[0].family:
            return self._projected("latency", device, model, anchors)
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
        variant = model.name if f"{model.name}-99" not in cells.model else f"{model.name}-99"
        asked = columns([Cell(device, False, model.name, variant, 0.0, 1)], self._devices, models)
        known = [
            Cell(a.device, False, model.name, variant, math.log(a.value), 1)
            for a in anchors
            if a.figure == name and _has_sheet(self._devices[a.device])
        ]
        if known:
            cells = joined(cells, columns(known, self._devices, models))
        mean, deviation = predict(cells, asked, fitted)
        question = question_of(cells, device, model.name)
        error = float(deviation[0]) * self.scale(name, question)
        self._require_narrow(name, device, error)
        return Projected(float(np.exp(mean[0])), error, (), question)

    def _require_narrow(self, name: str, device: str, error: float) -> None:
        if math.isinf(error):
            raise Refused(
                "it is not projected: published results answer the same question nowhere, or half of "
                "the answers are off by more than a factor of two",
                where=f"the {name} on {device}",
                todo=MEASURE,
            )
        if error * NORMAL_90 > WIDEST:
            raise Refused(
                f"a projection that is not within a factor of {math.exp(WIDEST):g} either way is no "
                "answer",
                where=f"the {name} on {device}, within a factor of {math.exp(error * NORMAL_90):.1f}",
                todo=f"{MEASURE}; or so on a device that published results know",
            )

    def require_device(self, name: str) -> None:
        """Refuse a device that published results cannot say anything of.

        Raises:
            Refused: with the reason.
        """
        device = self._devices[name]
        try:
            sheet = sheet_of(device)
        except ValueError as error:
            raise Refused(
                f"nothing can be projected to it: {error}", where=name, todo=SHEET
            ) from None
        cells, _ = self._table("throughput")
        others = cells.where((cells.maker == sheet.maker) & (cells.device != name))
        if len(set(others.device)) < 2:
            raise Refused(
                f"nothing can be projected to it: fewer than two other devices of {sheet.maker} have "
                "published results",
                where=name,
                todo=MEASURE,
            )
        own = np.array(device_features(sheet))[:2]
        low, high = others.features[:, :2].min(axis=0), others.features[:, :2].max(axis=0)
        if (own < low - MARGIN).any() or (own > high + MARGIN).any():
            raise Refused(
                "nothing can be projected to it: its data sheet lies far outside of those of "
                f"{sheet.maker} that have published results",
                where=name,
                todo=MEASURE,
            )

    def _require_alike(self, device: str, name: str) -> None:
        """A card has a host beside it and a module has none: one says little of the other."""
        cells, _ = self._table(name)
        own = columns(
            [Cell(device, False, family, family, 0.0, 1) for family in list(self._models)[:1]],
            self._devices, self._models,
        )  # fmt: skip
        alike = (cells.maker == own.maker[0]) & (cells.form == own.form[0])
        if not (alike & (cells.device != device)).any():
            raise Refused(
                f"it cannot be projected: no other {own.form[0]} of {own.maker[0]} has one that was "
                "published",
                where=f"the {name} of {device}",
                todo=MEASURE,
            )

    def _require_model(self, model: PublishedModel) -> None:
        flops = [m.flops for m in self._models.values() if m.fixed_work]
        if not min(flops) / 2 <= model.flops <= max(flops) * 2:
            raise Refused(
                f"nothing can be projected for {model.name}: {model.flops / 1e9:.3g} GFLOP a "
                f"sample, and published models have {min(flops) / 1e9:.3g} to "
                f"{max(flops) / 1e9:.3g}",
                todo=MEASURE,
            )

    def _table(self, name: str) -> tuple[Cells, Fit]:
        if name not in self._fitted:
            cells = table(name, self._results, self._devices, self._models)
            if len(cells) < FEWEST:
                raise Refused(
                    f"nothing is projected from {len(cells)} published cells of the {name}: "
                    f"{FEWEST} are needed to tell effects apart",
                    todo=MEASURE,
                )
            self._fitted[name] = cells, fit(cells)
        return self._fitted[name]


@dataclass(frozen=True)
class HeldOut:
    """Cells, and the mean and the deviation of the logarithm of each that the others give.

    Left out with a cell are all results of its model on its device (``known device``), all of its
    device (``data sheet``), or all of its model (``counted work``).
    """

    cells: Cells
    groups: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray

    @property
    def scale(self) -> float:
        """So many deviations, in units of 1.645, hold 90 % of a new group (conformal prediction).

        With n groups the quantile is 0.9 (n + 1) ÷ n, since the new one is not among them. Infinite
        where there is none, or half of the answers are off by more than :data:`USELESS`.
        """
        if not len(self.cells):
            return math.inf
        if float(np.median(np.abs(self.mean - self.cells.log))) > USELESS:
            return math.inf
        away = np.abs(self.mean - self.cells.log) / self.deviation
        count = len(np.unique(self.groups))
        return float(np.quantile(away, min(0.9 * (count + 1) / count, 1.0))) / NORMAL_90


def held_out(cells: Cells, fitted: Fit, question: Question) -> HeldOut:
    """What the other cells say of each that the question can be asked of."""
    own = groups(cells, question)
    mean, deviation = leave_out(cells, fitted, own)
    asked = np.full(len(cells), True)
    if question == "known device":
        # With its only model left out, a device is not known.
        several = {d for d in set(cells.device) if len(set(cells.family[cells.device == d])) > 1}
        asked = np.array([device in several for device in cells.device])
    return HeldOut(cells.where(asked), own[asked], mean[asked], deviation[asked])


def groups(cells: Cells, question: Question) -> np.ndarray:
    """What is left out together."""
    if question == "known device":
        both: np.ndarray = cells.device + " " + cells.family
        return both
    return cells.device if question == "data sheet" else cells.family


def question_of(cells: Cells, device: str, family: str) -> Question:
    """What the cells do not know of it."""
    if family not in cells.family:
        return "counted work"
    return "known device" if device in cells.device else "data sheet"


def _has_sheet(device: Device) -> bool:
    try:
        sheet_of(device)
    except ValueError:
        return False
    return True
