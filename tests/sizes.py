"""How large the program is, package by package, against what it may be.

``python -m tests.sizes`` prints the table, and ends with 1 where a package is larger than its budget. A
change that needs more says so by raising it here; one that makes the rest smaller lowers it.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import bench

PACKAGE = Path(bench.__file__).parent
MODULES = "modules"
"""Those that are in no package."""
BUDGET = {
    "arrivals": 1500,
    "batching": 260,
    "compare": 2030,
    "cost": 920,
    "gate": 2100,
    "hardware": 2130,
    "measure": 14_110,
    "observe": 1150,
    "plan": 870,
    "profile": 2190,
    "recordings": 650,
    "report": 1520,
    "scenario": 1750,
    "simulate": 7650,
    "serve": 1700,
    "sizes": 200,
    "validate": 2450,
    MODULES: 6150,
}
"""Lines, with comments and blank ones."""


def lines() -> dict[str, int]:
    """By package."""
    found: Counter[str] = Counter()
    for path in PACKAGE.rglob("*.py"):
        inside = path.relative_to(PACKAGE).parts
        found[inside[0] if len(inside) > 1 else MODULES] += len(path.read_text().splitlines())
    return dict(found)


def main() -> None:
    found = lines()
    over = [name for name, count in found.items() if count > BUDGET.get(name, 0)]
    for name, count in sorted(found.items()):
        most = BUDGET.get(name, 0)
        print(f"{name:<10} {count:>7,} of {most:>7,}" + ("  too large" if name in over else ""))
    print(f"{'all':<10} {sum(found.values()):>7,} of {sum(BUDGET.values()):>7,}")
    sys.exit(1 if over else 0)


if __name__ == "__main__":
    main()
