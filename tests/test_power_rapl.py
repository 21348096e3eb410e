"""RAPL on a tree of files: wrap-around, what counts twice, permissions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.measure.metering import Meter
from bench.measure.power import Forbidden, Reading, rapl
from tests.power_readings import Tape, seconds


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


def test_dies_that_show_one_counter_are_counted_once(tmp_path: Path) -> None:
    """Two dies at 20 W together are 20 W, and two packages at 20 W each are 40 W."""
    for k in range(2):
        zone(tmp_path, f"intel-rapl:{k}", f"package-0-die-{k}", 90_000_000_000)
        zone(tmp_path, f"intel-rapl:{k}:0", "dram", 5_000_000_000 + k)
    zone(tmp_path, "intel-rapl:2", "package-1", 70_000_000_000)
    sensor = rapl.find(tmp_path)
    before = joules(sensor)
    for k in range(3):
        add(tmp_path, f"intel-rapl:{k}", 20)
    assert joules(sensor) - before == pytest.approx(40)
    assert isinstance(sensor, rapl.Rapl)
    assert (
        sensor.title
        == "RAPL, 2 processor packages and memory (2 zones of the same counter left out)"
    )
    assert sensor.read().codes == {"mirrors-left-out"}


def test_packages_that_are_alike_are_not_one(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", 500_000_000)
    zone(tmp_path, "intel-rapl:1", "package-1", 501_000_000)
    sensor = rapl.find(tmp_path)
    assert isinstance(sensor, rapl.Rapl)
    assert sensor.title == "RAPL, 2 processor packages"


RANGE_UJ = 262_143_328_850


@pytest.mark.parametrize("range_uj", [RANGE_UJ, None], ids=["known range", "no range"])
def test_a_counter_that_is_set_back_is_a_code_and_no_power(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, range_uj: int | None
) -> None:
    """20 W for 10 s with one reset: were it taken for a turn, 17 kW would come out."""
    folder = zone(tmp_path, "intel-rapl:0", "package-0", 90_000_000_000, RANGE_UJ)
    if range_uj is None:
        (folder / "max_energy_range_uj").unlink()
    sensor = rapl.find(tmp_path)
    assert isinstance(sensor, rapl.Rapl)
    readings, energy_uj = [], 90_000_000_000
    for tick in range(101):
        energy_uj = 0 if tick == 50 else energy_uj + 2_000_000
        (folder / "energy_uj").write_text(str(energy_uj))
        readings.append(Reading(seconds(tick / 10), sensor.read().energy_j))
    reading = Meter(Tape(readings)).between(seconds(0), seconds(10), 1)
    assert "counter-went-back" in reading.codes
    assert reading.mean_w.value is None
    assert "went back" in str(reading.reason)
    sound = Meter(Tape(readings[:50])).between(seconds(0), seconds(4.9) + seconds(0.1), 1)
    assert sound.mean_w.value == pytest.approx(20, rel=1e-3)


@pytest.mark.parametrize("content", ["", "12ab\n"])
def test_a_file_that_is_empty_is_a_failed_reading(tmp_path: Path, content: str) -> None:
    folder = zone(tmp_path, "intel-rapl:0", "package-0", 1000)
    sensor = rapl.find(tmp_path)
    assert isinstance(sensor, rapl.Rapl)
    (folder / "energy_uj").write_text(content)
    with pytest.raises(OSError, match="invalid literal"):
        sensor.read()
    (folder / "energy_uj").write_text("3000")
    assert joules(sensor) == pytest.approx(0.002)


def test_a_counter_that_is_empty_for_a_moment_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = zone(tmp_path, "intel-rapl:0", "package-0", 1000)
    (folder / "energy_uj").write_text("")
    monkeypatch.setattr("time.sleep", lambda _: (folder / "energy_uj").write_text("5"))
    assert isinstance(rapl.find(tmp_path), rapl.Rapl)


def test_zones_without_their_links_are_found(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl/intel-rapl:0", "package-0", 1)
    zone(tmp_path, "intel-rapl/intel-rapl:0/intel-rapl:0:0", "core", 2_000_000)
    zone(tmp_path, "intel-rapl/intel-rapl:0/intel-rapl:0:1", "dram", 3_000_000)
    sensor = rapl.find(tmp_path)
    assert isinstance(sensor, rapl.Rapl)
    assert sensor.title == "RAPL, 1 processor package and memory"


def test_the_second_name_of_the_counters_serves_where_the_first_is_missing(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl-mmio:0", "package-0", 1)
    assert isinstance(rapl.find(tmp_path), rapl.Rapl)
