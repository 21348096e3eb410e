"""What is projected: figures of one accelerator, out of the rows of the published table.

The latency of a model that has no published one is not projected by itself: by Little's law it is the
requests under way ÷ throughput, and how many a device keeps under way is a property of the device
that differs little between models of a size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.hardware import Device, PublishedModel, PublishedResult
from bench.profile.projection.cells import Cells, cells_of, times


@dataclass(frozen=True)
class Figure:
    """One figure of a published result; ``None`` of a row that has none."""

    of: Callable[[PublishedResult], float | None]
    more_is_better: bool


def _rate(pattern: str) -> Figure:
    def of(row: PublishedResult) -> float | None:
        if row.pattern != pattern or row.per_s is None:
            return None
        return row.per_s / row.accelerators

    return Figure(of, more_is_better=True)


def _latency(row: PublishedResult) -> float | None:
    return row.latency_s if row.pattern == "SingleStream" else None


def _energy(pattern: str) -> Figure:
    return Figure(
        lambda row: row.energy_per_sample_j if row.pattern == pattern else None,
        more_is_better=False,
    )


FIGURES = {
    "throughput": _rate("Offline"),
    "served": _rate("Server"),
    "latency": Figure(_latency, more_is_better=False),
    "energy": _energy("Offline"),
    "stream energy": _energy("SingleStream"),
}
"""Samples/s of one accelerator, offline and within the bound of Server; seconds at the 90th
percentile of one stream; joules a sample at the wall, offline and one at a time."""
PROJECTED = (*FIGURES, "concurrency")


def table(
    name: str,
    results: Sequence[PublishedResult],
    devices: Mapping[str, Device],
    models: Mapping[str, PublishedModel],
) -> Cells:
    """The cells of one quantity: a figure, or the concurrency, latency × throughput."""
    if name == "concurrency":
        latency, throughput = (
            table(figure, results, devices, models) for figure in ("latency", "throughput")
        )
        return times(latency, throughput)
    figure = FIGURES[name]
    return cells_of(results, figure.of, figure.more_is_better, devices, models)
