"""Every point of a sweep simulated, costed and compared."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

import pandas as pd

from bench.compare import compare
from bench.cost import cost_simulation
from bench.prepare import Settings, resolver
from bench.scenario import Point
from bench.simulate import simulate_all
from bench.store import Journal
from bench.work import Work

SWEEPING, SWEPT = "sweep.jsonl", "sweep_rows.jsonl"
POINTS_AT_ONCE = 100
"""In memory: a resolved scenario takes up to half a megabyte."""


def swept(work: Work) -> None:
    """Some points at once, so that memory does not grow: ``sweep.parquet``."""
    assert work.order.sweep is not None  # noqa: S101
    finished = Journal(work.run.path / SWEPT)
    rows: list[dict[str, Any]] = []
    points = enumerate(work.order.sweep.points(resolver(Settings())))
    while some := list(islice(points, POINTS_AT_ONCE)):
        key = str(some[0][0])
        found = finished.get(key)
        if found is None:
            found = _rows(work, some)
            finished.add(key, found)
            Journal(work.run.path / SWEEPING).remove()
        rows += found
    table = pd.DataFrame(rows).astype({"rank": "Int64"})
    work.run.save_table("sweep.parquet", table)
    finished.remove()


def _rows(work: Work, points: Sequence[tuple[int, Point]]) -> list[dict[str, Any]]:
    """One row for each point, with its number, and deployment."""
    _, profiles, excluded = work.known
    scenarios = [point.scenario.without(set(excluded)) for _, point in points]
    first, last = points[0][0], points[-1][0]
    simulations = simulate_all(
        scenarios, profiles, work.order.seed, work.workers,
        lambda done, total, what: work.notify("sweep", done, total, what or f"to point {last + 1}"),
        work.order.method, Journal(work.run.path / SWEEPING), first,
    )  # fmt: skip
    rows = []
    for (number, point), scenario, simulation in zip(points, scenarios, simulations, strict=True):
        costs = cost_simulation(scenario, profiles, simulation)
        for entry in compare(scenario, profiles, simulation, costs, {}).ranking:
            figures = ("usd_per_million", "p50_s", "p99_s", "slo_attainment", "utilisation")
            rows.append(
                {
                    "point": number,
                    **{path: str(value) for path, value in point.settings.items()},
                    "deployment": entry.deployment,
                    "feasible": entry.feasible,
                    "rank": entry.rank,
                    **{name: getattr(entry, name).value for name in figures},
                    "reasons": "; ".join(entry.reasons),
                }
            )
    return rows
