"""What reference networks took on this machine, for the terminal."""

from __future__ import annotations

from rich.console import Group
from rich.table import Table
from rich.text import Text

from bench.measure import Calibration
from bench.report.terminal import plain
from bench.units import format_seconds


def calibration_table(calibration: Calibration) -> Group:
    """A line for each network, and under it why some have no time, or only one."""
    one, many = calibration.seconds("one"), calibration.seconds("many")
    batch = max(cell.batch for cell in calibration.cells)
    table = Table(box=None, pad_edge=False)
    table.add_column(f"{calibration.runtime} {calibration.version}", overflow="fold")
    for heading in ("input", "alone", f"in batches of {batch}" if many else "in batches"):
        table.add_column(heading, justify="right", overflow="fold")
    for name, size in dict.fromkeys([*one, *many]):
        times = (regime.get((name, size)) for regime in (one, many))
        table.add_row(plain(name), str(size), *(format_seconds(each) for each in times))
    why = calibration.skipped
    reasons = [
        plain(f"–  {', '.join(name for name in why if why[name] == reason)}: {reason}")
        for reason in dict.fromkeys(why.values())
    ]
    return Group(table, *([Text()] if reasons else []), *reasons)
