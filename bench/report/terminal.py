"""The view as a table for the terminal."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from bench.compare import Comparison
from bench.record import Estimate
from bench.units import format_percent, format_seconds, format_usd


def ranking_table(comparison: Comparison) -> Table:
    """The ranking; names are plain text, never markup."""
    table = Table(box=None, pad_edge=False)
    for heading in ("#", "deployment", "kind", "$/million", "p50", "p99", "within SLO", "feasible"):
        table.add_column(heading, overflow="fold")
    for entry in comparison.ranking:
        table.add_row(
            str(entry.rank or "–"),
            Text(entry.deployment),
            entry.kind,
            format_usd(entry.usd_per_million.value),
            _seconds(entry.p50_s),
            _seconds(entry.p99_s),
            format_percent(entry.slo_attainment.value),
            Text("yes" if entry.feasible else f"no: {'; '.join(entry.reasons)}"),
        )
    return table


def _seconds(estimate: Estimate) -> str:
    return format_seconds(estimate.value)
