"""The ranking for the terminal."""

from __future__ import annotations

from rich.console import Group
from rich.table import Table
from rich.text import Text

from bench.compare import Comparison
from bench.units import format_percent, format_seconds, format_usd


def ranking_table(comparison: Comparison) -> Group:
    """The ranking, and under it why the infeasible are; names are plain text, never markup."""
    table = Table(box=None, pad_edge=False)
    for heading in ("#", "deployment", "kind", "$/million", "p50", "p99", "within SLO"):
        table.add_column(heading, overflow="fold")
    reasons = []
    for entry in comparison.ranking:
        table.add_row(
            str(entry.rank or "–"),
            Text(entry.deployment),
            entry.kind.replace("_", "-"),
            format_usd(entry.usd_per_million.value),
            format_seconds(entry.p50_s.value),
            format_seconds(entry.p99_s.value),
            format_percent(entry.slo_attainment.value),
        )
        if not entry.feasible:
            reasons.append(Text(f"–  {entry.deployment}: {'; '.join(entry.reasons)}"))
    return Group(table, *([Text()] if reasons else []), *reasons)
