"""What is known of a model on devices, for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from bench.report.terminal import plain

HEADINGS = ("device", "figure", "value", "nine times in ten", "")


def figure_table(rows: Sequence[Sequence[str]]) -> Table:
    """A line for each figure; cells go by :data:`HEADINGS`."""
    table = Table(box=None, pad_edge=False)
    for heading in HEADINGS:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*map(plain, row))
    return table
