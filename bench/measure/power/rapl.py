"""RAPL: the energy counters of Intel and AMD processors, through Linux's powercap files.

The packages count, and the memory where it is a domain of its own beside its package (Intel
servers). ``core`` and ``uncore`` are parts of their package. ``psys`` holds the packages as well,
and what else belongs to it is up to the maker of the board, so it is left out. AMD processors
appear under the same name, ``intel-rapl`` (kernel documentation, ``power/powercap/powercap.rst``).
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Literal

from bench.measure.power import Forbidden, Measures, Reading, Scope, Source

MEASURES: Measures = "cpu"
ROOT = Path("/sys/class/powercap")


class Rapl:
    """The sum of several counters, with their wrap-around undone."""

    source: Source = "counter"
    scope: Scope = "chip"

    def __init__(self, packages: list[Path], memories: list[Path]) -> None:
        count = len(packages)
        self.title = f"RAPL, {count} processor package{'s' if count > 1 else ''}"
        if memories:
            self.title += " and memory"
        self._counters = [_Counter(zone) for zone in (*packages, *memories)]

    def read(self) -> Reading:
        at_ns = time.perf_counter_ns()
        total_uj = sum(counter.read_uj() for counter in self._counters)
        return Reading(at_ns, energy_j=total_uj / 1e6)


class _Counter:
    """A counter that starts again at zero after ``max_energy_range_uj``.

    That is minutes to hours of full load, so that ten readings a second miss no turn.
    """

    def __init__(self, zone: Path) -> None:
        self._file = zone / "energy_uj"
        self._range_uj = int((zone / "max_energy_range_uj").read_text())
        self._last_uj = int(self._file.read_text())
        self._total_uj = 0

    def read_uj(self) -> int:
        """Microjoules since this object was made."""
        now_uj = int(self._file.read_text())
        self._total_uj += (now_uj - self._last_uj) % (self._range_uj + 1)
        self._last_uj = now_uj
        return self._total_uj


def find(root: Path = ROOT) -> Rapl | str:
    # `intel-rapl-mmio` shows the same counters a second time.
    zones = sorted(root.glob("intel-rapl:*"))
    packages = _named("package", zones)
    if not packages:
        return (
            f"no RAPL package under {root} (virtual machines and containers seldom have one); "
            "measure on the machine itself, or with a meter at the plug"
        )
    try:
        return Rapl(packages, _named("dram", zones))
    except PermissionError as error:
        return Forbidden(
            f"{error.filename} may be read by root only, as the kernel sets it since CVE-2020-8694; "
            f"run as root, or allow it until the next start: sudo chmod a+r {root}/intel-rapl:*/energy_uj"
        )
    except (OSError, ValueError) as error:
        return f"the counters under {root} cannot be read ({error})"


def _named(kind: Literal["package", "dram"], zones: list[Path]) -> list[Path]:
    """Zones by the word in their ``name``: ``package-0``, ``package-0-die-1``, ``dram``."""
    return [zone for zone in zones if _name(zone).partition("-")[0] == kind]


def _name(zone: Path) -> str:
    try:
        return (zone / "name").read_text().strip()
    except OSError:
        return ""
