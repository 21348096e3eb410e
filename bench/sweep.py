"""Every point of a sweep simulated, costed and compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from bench.compare import SweptRow, compare, table_of
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
    rows: list[SweptRow] = []
    points = enumerate(work.order.sweep.points(resolver(Settings())))
    while some := list(islice(points, POINTS_AT_ONCE)):
        key = str(some[0][0])
        found = finished.get(key)
        if found is None:
            found = [row.model_dump(mode="json") for row in _rows(work, some)]
            finished.add(key, found)
            Journal(work.run.path / SWEEPING).remove()
        rows += map(SweptRow.model_validate, found)
    work.run.save_table("sweep.parquet", table_of(rows))
    finished.remove()


def _rows(work: Work, points: Sequence[tuple[int, Point]]) -> Iterator[SweptRow]:
    """One row for each point, with its number, and deployment."""
    _, profiles, excluded = work.known
    scenarios = [point.scenario.without(set(excluded)) for _, point in points]
    first, last = points[0][0], points[-1][0]
    simulations = simulate_all(
        scenarios, profiles, work.order.seed, work.workers,
        lambda done, total, what: work.notify("sweep", done, total, what or f"to point {last + 1}"),
        work.order.method, Journal(work.run.path / SWEEPING), first,
    )  # fmt: skip
    for (number, point), scenario, simulation in zip(points, scenarios, simulations, strict=True):
        costs = cost_simulation(scenario, profiles, simulation)
        for entry in compare(scenario, profiles, simulation, costs, {}, draws=0).ranking:
            yield SweptRow.of(number, point.settings, entry)
