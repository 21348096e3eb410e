"""RAPL: the energy counters of Intel and AMD processors, through Linux's powercap files.

The packages count, and the memory where it is a domain of its own beside its package (Intel
servers). ``core`` and ``uncore`` are parts of their package. ``psys`` holds the packages as well,
and what else belongs to it is up to the maker of the board, so it is left out. AMD processors
appear under the same name, ``intel-rapl`` (kernel documentation, ``power/powercap/powercap.rst``).
A processor of several dies may show each die the counter of the whole package: of zones that read
alike, one counts.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from bench.measure.power import Forbidden, Measures, Reading, Scope, Source

MEASURES: Measures = "cpu"
ROOT = Path("/sys/class/powercap")
KINDS = ("intel-rapl", "intel-rapl-mmio")
"""The second shows the counters of the first once more, and counts where it is alone."""
MOST_W = 2000.0
"""More than any package draws: what falls faster than that to its end did not turn over."""
LAG_S = 0.05
ATTEMPTS, PAUSE_S = 5, 0.1
ROUNDS, ROUND_S = 5, 0.01
ALIKE_UJ = 100_000
"""Two counters that stand so near each other, again and again, are one: 0.1 J is what a package
draws while the second is read, and years of use have driven two packages further apart."""


class Rapl:
    """The sum of several counters, with their wrap-around undone."""

    source: Source = "counter"
    scope: Scope = "chip"

    def __init__(self, packages: Sequence[Path], memories: Sequence[Path]) -> None:
        own, memory = _distinct(packages), _distinct(memories)
        count = len(own)
        self.title = f"RAPL, {count} processor package{'s' if count > 1 else ''}"
        if memory:
            self.title += " and memory"
        self._codes: frozenset[str] = frozenset()
        if left_out := len(packages) + len(memories) - count - len(memory):
            self.title += (
                f" ({left_out} zone{'s' if left_out > 1 else ''} of the same counter left out)"
            )
            self._codes = frozenset({"mirrors-left-out"})
        self._counters = [_Counter(zone) for zone in (*own, *memory)]

    def read(self) -> Reading:
        at_ns = time.perf_counter_ns()
        try:
            total_uj = sum(counter.read_uj() for counter in self._counters)
        except ValueError as error:  # an empty file, or half of a number
            raise OSError(str(error)) from error
        return Reading(at_ns, energy_j=total_uj / 1e6, codes=self._codes)


class _Counter:
    """A counter that starts again at zero after ``max_energy_range_uj``.

    That is minutes to hours of full load, so that ten readings a second miss no turn. A counter
    that falls further than a turn can explain was set back: then it is let fall.
    """

    def __init__(self, zone: Path) -> None:
        self._file = zone / "energy_uj"
        self._range_uj = _range_uj(zone)
        self._last_uj, self._last_s = _energy_uj(zone), time.perf_counter()
        self._total_uj = 0

    def read_uj(self) -> int:
        """Microjoules since this object was made."""
        now_uj, now_s = int(self._file.read_text()), time.perf_counter()
        step_uj = now_uj - self._last_uj
        if step_uj < 0 and self._range_uj:
            turned_uj = step_uj + self._range_uj + 1
            if turned_uj <= MOST_W * (now_s - self._last_s + LAG_S) * 1e6:
                step_uj = turned_uj
        self._total_uj += step_uj
        self._last_uj, self._last_s = now_uj, now_s
        return self._total_uj


def find(root: Path = ROOT) -> Rapl | str:
    zones = _zones(root)
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


def _zones(root: Path) -> list[Path]:
    """Zones by their links, or in the folders those lead to, where a container has these alone."""
    for kind in KINDS:
        linked = sorted(root.glob(f"{kind}:*"))
        nested = [*root.glob(f"{kind}/{kind}:*"), *root.glob(f"{kind}/{kind}:*/{kind}:*")]
        for zones in (linked, sorted(nested)):
            if _named("package", zones):
                return zones
    return []


def _distinct(zones: Sequence[Path]) -> list[Path]:
    """One of each set of zones that show the same counter, found by what they read."""
    kept: list[Path] = []
    for zone in zones:
        if not any(_alike(zone, other) for other in kept):
            kept.append(zone)
    return kept


def _alike(zone: Path, other: Path) -> bool:
    """Whether ``zone`` reads between two readings of ``other``, more often than not."""
    alike = 0
    for _ in range(ROUNDS):
        before, own, after = _energy_uj(other), _energy_uj(zone), _energy_uj(other)
        alike += before - ALIKE_UJ <= own <= after + ALIKE_UJ
        time.sleep(ROUND_S)
    return alike > ROUNDS // 2


def _energy_uj(zone: Path) -> int:
    """The counter of a zone; a file that is empty for a moment is read again."""
    for _ in range(ATTEMPTS - 1):
        try:
            return int((zone / "energy_uj").read_text())
        except ValueError:
            time.sleep(PAUSE_S)
    return int((zone / "energy_uj").read_text())


def _range_uj(zone: Path) -> int | None:
    """Where the counter turns over, or ``None`` where the kernel does not tell."""
    try:
        return int((zone / "max_energy_range_uj").read_text())
    except (FileNotFoundError, ValueError):
        return None


def _named(kind: Literal["package", "dram"], zones: list[Path]) -> list[Path]:
    """Zones by the word in their ``name``: ``package-0``, ``package-0-die-1``, ``dram``."""
    return [zone for zone in zones if _name(zone).partition("-")[0] == kind]


def _name(zone: Path) -> str:
    try:
        return (zone / "name").read_text().strip()
    except OSError:
        return ""
