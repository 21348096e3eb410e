"""RAPL: the energy counters of Intel and AMD processors, through Linux's powercap files."""

from __future__ import annotations

from pathlib import Path

MEASURES = "cpu"
ROOT = Path("/sys/class/powercap")


class Rapl:
    """Sum of the package counters, with their wrap-around undone."""

    source = "RAPL counter"
    scope = "chip"

    def __init__(self, domains: list[Path]) -> None:
        self._domains = domains
        self._range = {d: int((d / "max_energy_range_uj").read_text()) for d in domains}
        self._last = {d: self._raw(d) for d in domains}
        self._total_uj = 0

    def read_j(self) -> float:
        for domain in self._domains:
            now = self._raw(domain)
            self._total_uj += (now - self._last[domain]) % (self._range[domain] + 1)
            self._last[domain] = now
        return self._total_uj / 1e6

    def _raw(self, domain: Path) -> int:
        return int((domain / "energy_uj").read_text())


def find(root: Path = ROOT) -> Rapl | str:
    # Packages are intel-rapl:0, intel-rapl:1, …; their sub-domains have a second colon.
    domains = [d for d in sorted(root.glob("intel-rapl:*")) if d.name.count(":") == 1]
    if not domains:
        return f"no RAPL domain under {root} (most virtual machines have none)"
    try:
        return Rapl(domains)
    except PermissionError:
        return f"{domains[0]}/energy_uj may only be read by root; run as root or allow the file"
    except (OSError, ValueError) as error:
        return f"{domains[0]} cannot be read ({error})"
