"""The published table as cells: one number for each device, mode and model.

What is left out, by rule and never by hand:

- systems without an accelerator that the catalogue knows, or whose data sheet lacks the rate or the
  bandwidth of its memory: nothing relates them to others;
- general software (a framework as anybody runs it): it says little about the chip;
- models whose answers have any length: a sample is no fixed amount of work;
- within a cell, results that are less than half as good as its best: such a row counted its
  accelerators wrongly, or ran something else.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

import numpy as np
import numpy.typing as npt

from bench.hardware import DataSheet, Device, PublishedModel, PublishedResult

Floats = npt.NDArray[np.float64]
WORST_OF_BEST = 2.0
DEVICE_FEATURES = ("rate", "bandwidth", "power")
MODEL_FEATURES = ("flops", "weights")


@dataclass(frozen=True)
class Cell:
    """A device in a mode, with a model."""

    device: str
    saving: bool
    family: str
    model: str
    log: float
    """Natural logarithm of the median of the results."""
    results: int


@dataclass(frozen=True)
class Cells:
    """Cells as columns, with what is known of their devices and models."""

    device: npt.NDArray[np.object_]
    mode: npt.NDArray[np.object_]
    architecture: npt.NDArray[np.object_]
    maker: npt.NDArray[np.object_]
    form: npt.NDArray[np.object_]
    family: npt.NDArray[np.object_]
    model: npt.NDArray[np.object_]
    recurrent: Floats
    saving: Floats
    features: Floats
    """By cell, :data:`DEVICE_FEATURES` then :data:`MODEL_FEATURES`: logarithms, near zero."""
    log: Floats
    results: Floats

    def __len__(self) -> int:
        return len(self.log)

    @property
    def keys(self) -> list[tuple[str, str]]:
        return list(zip(self.mode, self.model, strict=True))

    def where(self, chosen: npt.NDArray[np.bool_] | npt.NDArray[np.int_]) -> Cells:
        return Cells(**{name: column[chosen] for name, column in vars(self).items()})


def cells_of(
    results: Iterable[PublishedResult],
    figure: Callable[[PublishedResult], float | None],
    more_is_better: bool,
    devices: Mapping[str, Device],
    models: Mapping[str, PublishedModel],
) -> Cells:
    """The cells of one figure of the rows; ``models`` by family."""
    found = defaultdict(list)
    for row in results:
        if not _counts(row, devices, models):
            continue
        value = figure(row)
        if value is not None:
            found[str(row.device), row.saving, row.family, row.model].append(value)
    return columns(
        [_cell(key, values, more_is_better) for key, values in found.items()], devices, models
    )


def times(left: Cells, right: Cells) -> Cells:
    """The products of two quantities, in the cells that both have."""
    places = {key: place for place, key in enumerate(right.keys)}
    chosen = [place for place, key in enumerate(left.keys) if key in places]
    logs = [left.log[place] + right.log[places[left.keys[place]]] for place in chosen]
    return replace(left.where(np.array(chosen, int)), log=np.array(logs))


def joined(first: Cells, second: Cells) -> Cells:
    return Cells(
        **{
            name: np.concatenate([column, getattr(second, name)])
            for name, column in vars(first).items()
        }
    )


def columns(
    cells: Sequence[Cell], devices: Mapping[str, Device], models: Mapping[str, PublishedModel]
) -> Cells:
    sheets = [sheet_of(devices[cell.device]) for cell in cells]
    features = [
        (*device_features(sheet), *model_features(models[cell.family]))
        for sheet, cell in zip(sheets, cells, strict=True)
    ]
    return Cells(
        device=_names(cell.device for cell in cells),
        mode=_names(f"{cell.device} {cell.saving}" for cell in cells),
        architecture=_names(f"{sheet.maker} {sheet.architecture}" for sheet in sheets),
        maker=_names(sheet.maker for sheet in sheets),
        form=_names("module" if devices[cell.device].kind == "soc" else "card" for cell in cells),
        family=_names(cell.family for cell in cells),
        model=_names(cell.model for cell in cells),
        recurrent=np.array([float(models[cell.family].recurrent) for cell in cells]),
        saving=np.array([float(cell.saving) for cell in cells]),
        features=np.array(features),
        log=np.array([cell.log for cell in cells]),
        results=np.array([float(cell.results) for cell in cells]),
    )


def sheet_of(device: Device) -> DataSheet:
    """The data sheet of a device that has all that is needed.

    Raises:
        ValueError: it has not.
    """
    sheet = device.data_sheet
    if sheet is None:
        raise ValueError("it has no data sheet")
    if sheet.memory_bandwidth is None or rate_of(sheet) is None:
        raise ValueError("its data sheet lacks the rate, or the bandwidth of its memory")
    return sheet


def rate_of(sheet: DataSheet) -> float | None:
    """Operations/s at the precision that published results use most; int8 is twice fp16."""
    if sheet.int8 is not None:
        return sheet.int8
    return None if sheet.fp16 is None else 2 * sheet.fp16


def device_features(sheet: DataSheet) -> tuple[float, float, float]:
    rate = rate_of(sheet) or math.nan
    bandwidth = sheet.memory_bandwidth or math.nan
    # A slice of a chip has no power of its own: that of a chip of its rate.
    power = sheet.power or 100 * (rate / 2e14) ** 0.5
    return math.log(rate / 2e14), math.log(bandwidth / 5e11), math.log(power / 100)


def model_features(model: PublishedModel) -> tuple[float, float]:
    """Scaled down, so that a unit is a lot: the smallest and the largest differ by e¹⁷."""
    return math.log(model.flops / 1e11) / 4, math.log(model.weights / 1e8) / 4


def _counts(
    row: PublishedResult, devices: Mapping[str, Device], models: Mapping[str, PublishedModel]
) -> bool:
    if row.device is None or row.accelerators < 1 or row.software == "general":
        return False
    try:
        sheet_of(devices[row.device])
    except ValueError:
        return False
    return row.family in models and models[row.family].fixed_work


def _cell(key: tuple[str, bool, str, str], values: Sequence[float], more_is_better: bool) -> Cell:
    kept = screened(values, more_is_better)
    return Cell(*key, math.log(median(kept)), len(kept))


def screened(values: Sequence[float], more_is_better: bool) -> list[float]:
    """The results of a cell without those less than half as good as its best."""
    if more_is_better:
        return [value for value in values if value > max(values) / WORST_OF_BEST]
    return [value for value in values if value < min(values) * WORST_OF_BEST]


def _names(values: Iterable[str]) -> npt.NDArray[np.object_]:
    return np.array(list(values), dtype=np.object_)
