"""RAPL on a tree of files: wrap-around, what counts twice, permissions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.measure.power import Forbidden, rapl


def zone(root: Path, place: str, name: str, energy_uj: int, range_uj: int = 10**9) -> Path:
    folder = root / place
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{name}\n")
    (folder / "energy_uj").write_text(f"{energy_uj}\n")
    (folder / "max_energy_range_uj").write_text(f"{range_uj}\n")
    return folder


@pytest.fixture
def two_packages(tmp_path: Path) -> Path:
    """A server as powercap shows it, links flattened."""
    zone(tmp_path, "intel-rapl:0", "package-0", 1_000_000)
    zone(tmp_path, "intel-rapl:0:0", "core", 5)
    zone(tmp_path, "intel-rapl:0:1", "dram", 2_000_000)
    zone(tmp_path, "intel-rapl:1", "package-1", 3_000_000)
    zone(tmp_path, "intel-rapl:2", "psys", 7_000_000)
    zone(tmp_path, "intel-rapl-mmio:0", "package-0", 1_000_000)
    (tmp_path / "intel-rapl").mkdir()
    return tmp_path


def add(root: Path, place: str, joules: float) -> None:
    file = root / place / "energy_uj"
    file.write_text(str(int(file.read_text()) + round(joules * 1e6)))


def joules(sensor: rapl.Rapl | str) -> float:
    assert isinstance(sensor, rapl.Rapl), sensor
    energy_j = sensor.read().energy_j
    assert energy_j is not None
    return energy_j


def test_rapl_counts_packages_and_memory_and_nothing_twice(two_packages: Path) -> None:
    sensor = rapl.find(two_packages)
    before = joules(sensor)
    for place in ("intel-rapl:0:0", "intel-rapl:2", "intel-rapl-mmio:0"):
        add(two_packages, place, 100)
    assert joules(sensor) - before == 0
    add(two_packages, "intel-rapl:0", 4)
    add(two_packages, "intel-rapl:1", 2)
    add(two_packages, "intel-rapl:0:1", 1)
    assert joules(sensor) - before == pytest.approx(7)
    assert not isinstance(sensor, str)
    assert sensor.title == "RAPL, 2 processor packages and memory"
    assert (sensor.source, sensor.scope) == ("counter", "chip")


def test_rapl_wraps_around(tmp_path: Path) -> None:
    folder = zone(tmp_path, "intel-rapl:0", "package-0-die-1", 900, range_uj=999)
    sensor = rapl.find(tmp_path)
    seen = [joules(sensor)]
    for now in (950, 20, 19, 999, 0):  # up, past the end, nearly a whole turn, up, past the end
        (folder / "energy_uj").write_text(str(now))
        seen.append(joules(sensor))
    assert np.diff(seen) * 1e6 == pytest.approx([50, 70, 999, 980, 1])


def test_rapl_for_root_only_names_the_file_and_the_remedy(
    two_packages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_text = Path.read_text

    def guarded(path: Path, *args: Any, **kwargs: Any) -> str:
        if path.name == "energy_uj":
            raise PermissionError(13, "Permission denied", str(path))
        return read_text(path, *args, **kwargs)

    monkeypatch.setattr(Path, "read_text", guarded)
    reason = rapl.find(two_packages)
    assert isinstance(reason, Forbidden)
    assert "intel-rapl:0/energy_uj" in reason
    assert "sudo chmod a+r" in reason


def test_rapl_is_not_there(tmp_path: Path) -> None:
    reason = rapl.find(tmp_path)
    assert isinstance(reason, str)
    assert "virtual machines" in reason
    assert not isinstance(reason, Forbidden)
