"""The benchmark's table as settings like any other, and its figures of one accelerator.

Rows that are left out, by rule and never by hand: accelerators that the catalogue does not know,
general software (it says little about the chip), power-saving modes, models whose answers have any
length, and within a cell results less than half as good as its best: such a row counted its
accelerators wrongly, or ran something else. Two models may stand in it twice, with the accuracy that
they keep; the looser one counts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.hardware import Device, Key, Part, PublishedModel, PublishedResult, Regime, Setting

WORST_OF_BEST = 0.5
PARTS: Mapping[str | None, Part] = {"cpu": "cpu", "gpu": "gpu", "soc": "gpu"}
"""What computes, by the kind of a device; every other kind computes on a part of its own."""
RUNTIME = "MLPerf, as the chip's maker tuned it"
PRECISION = "int8 or what its maker chose"


@dataclass(frozen=True)
class Figure:
    """One figure of a published result; ``None`` of a row that has none."""

    of: Callable[[PublishedResult], float | None]
    more_is_better: bool


def _rate(row: PublishedResult) -> float | None:
    if row.pattern != "Offline" or row.per_s is None:
        return None
    return row.per_s / row.accelerators


FIGURES: Mapping[str, Figure] = {
    "throughput": Figure(_rate, more_is_better=True),
    "latency": Figure(
        lambda row: row.latency_s if row.pattern == "SingleStream" else None, more_is_better=False
    ),
    "energy": Figure(
        lambda row: row.energy_per_sample_j if row.pattern == "Offline" else None,
        more_is_better=False,
    ),
}
"""Samples/s of one accelerator; seconds at the 90th percentile of one stream; joules a sample at the
wall."""


def rows_of(
    results: Sequence[PublishedResult], name: str
) -> dict[tuple[str, str], dict[PublishedResult, float]]:
    """The figure of every result that counts, by device and family of model."""
    figure = FIGURES[name]
    cells: dict[tuple[str, str], dict[PublishedResult, float]] = defaultdict(dict)
    for row in results:
        plain = row.software == "makers" and not row.saving and row.unit == "samples"
        strict = row.model.endswith("-99.9")
        if row.device is None or not plain or strict or row.accelerators < 1:
            continue
        if (value := figure.of(row)) is not None:
            cells[row.device, row.family][row] = value
    return {cell: _screened(rows, figure.more_is_better) for cell, rows in cells.items()}


def _screened(rows: Mapping[PublishedResult, float], more: bool) -> dict[PublishedResult, float]:
    good = {row: value if more else 1 / value for row, value in rows.items()}
    least = max(good.values()) * WORST_OF_BEST
    return {row: value for row, value in rows.items() if good[row] > least}


def as_settings(
    results: Sequence[PublishedResult],
    devices: Mapping[str, Device],
    models: Mapping[str, PublishedModel],
) -> dict[Setting, dict[Key, float]]:
    """Seconds a sample of the models whose network is among the published times."""
    cells: dict[tuple[str, Regime], dict[Key, float]] = defaultdict(dict)
    newest: dict[tuple[str, Regime], str] = defaultdict(str)
    names: tuple[tuple[str, Regime], ...] = (("throughput", "many"), ("latency", "one"))
    for name, regime in names:
        for (device, family), rows in rows_of(results, name).items():
            network = models[family].network if family in models else None
            if network is None:
                continue
            value = float(np.median(list(rows.values())))
            place = device, regime
            cells[place][network.name, network.input] = 1 / value if regime == "many" else value
            newest[place] = max(newest[place], *(row.origin.as_of or "" for row in rows))
    return {
        Setting(
            device, part_of(devices[device]), RUNTIME, PRECISION, regime, "exact",
            "MLPerf Inference, closed division", newest[device, regime],
        ): own
        for (device, regime), own in cells.items()
    }  # fmt: skip


def part_of(device: Device) -> Part:
    """What of a device computes, where nothing published says so."""
    return PARTS.get(device.kind, "npu")
