"""Write the ranking of ``reports/example`` into the README: ``nox -s example``."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

from rich.console import Console

import bench
from bench.compare import Comparison
from bench.report.terminal import ranking_table

ROOT = Path(__file__).parents[1]


def committed() -> tuple[str, str]:
    """The committed run's ranking as the terminal shows it, and its verdict."""
    comparison = bench.load(ROOT / "reports" / "example").load("comparison.json", Comparison)
    console = Console(width=80, highlight=False)
    with console.capture() as shown:
        console.print(ranking_table(comparison))
    table = "\n".join(line.rstrip() for line in shown.get().splitlines())
    return table, textwrap.fill(comparison.verdict, 100, break_on_hyphens=False)


if __name__ == "__main__":
    readme = ROOT / "README.md"
    table, verdict = committed()
    pattern = r"(?<=\n```\n)#  deployment.*?(?=\n\nThat is \[reports/example\])"
    shown = f"{table}\n```\n\n{verdict}"
    readme.write_text(re.sub(pattern, lambda _: shown, readme.read_text(), flags=re.DOTALL))
