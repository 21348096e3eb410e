"""The INA3221 of Jetson boards on a tree of files."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.measure.power import ina3221


def monitor(folder: Path, rails: dict[int, tuple[str, int, int]]) -> Path:
    """An INA3221 with (label, mV, mA) by channel."""
    folder.mkdir(parents=True)
    (folder / "name").write_text("ina3221\n")
    for channel, (label, millivolts, milliamperes) in rails.items():
        (folder / f"in{channel}_label").write_text(f"{label}\n")
        (folder / f"in{channel}_input").write_text(f"{millivolts}\n")
        (folder / f"curr{channel}_input").write_text(f"{milliamperes}\n")
    return folder


ORIN_NX = {1: ("VDD_IN", 5000, 2400), 2: ("VDD_CPU_GPU_CV", 5000, 800), 3: ("VDD_SOC", 5000, 500)}
AGX_ORIN = {
    1: ("VDD_GPU_SOC", 20000, 200),
    2: ("VDD_CPU_CV", 20000, 50),
    3: ("VIN_SYS_5V0", 5000, 900),
}
AGX_MEMORY = {1: ("NC", 0, 0), 2: ("VDDQ_VDD2_1V8AO", 5000, 80)}


def watts(sensor: ina3221.Ina3221 | str) -> float:
    assert isinstance(sensor, ina3221.Ina3221), sensor
    power_w = sensor.read().power_w
    assert power_w is not None
    return power_w


@pytest.mark.parametrize(
    "place", ["class/hwmon/hwmon3", "bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3"]
)
def test_orin_nx_is_its_input_rail(tmp_path: Path, place: str) -> None:
    folder = monitor(tmp_path / place, ORIN_NX)
    (folder / "in7_label").write_text("sum of shunt voltages\n")
    sensor = ina3221.find(tmp_path)
    assert watts(sensor) == pytest.approx(12.0)  # 5 V × 2.4 A
    assert not isinstance(sensor, str)
    assert "VDD_IN" in sensor.title
    assert (sensor.source, sensor.scope) == ("sampled", "board")


def test_agx_orin_is_a_sum_and_its_memory_does_not_count_twice(tmp_path: Path) -> None:
    for number, rails in ((3, AGX_ORIN), (4, AGX_MEMORY)):
        monitor(tmp_path / f"class/hwmon/hwmon{number}", rails)
    assert watts(ina3221.find(tmp_path)) == pytest.approx(4.0 + 1.0 + 4.5)


def test_readings_are_not_averaged(tmp_path: Path) -> None:
    folder = monitor(tmp_path / "class/hwmon/hwmon1", ORIN_NX)
    sensor = ina3221.find(tmp_path)
    (folder / "curr1_input").write_text("4800\n")
    assert watts(sensor) == pytest.approx(24.0)


def test_unknown_rails_are_named_and_not_added_up(tmp_path: Path) -> None:
    monitor(tmp_path / "class/hwmon/hwmon1", AGX_MEMORY)
    reason = ina3221.find(tmp_path)
    assert isinstance(reason, str)
    assert "VDDQ_VDD2_1V8AO" in reason
    assert "VDD_IN" in reason


def test_a_channel_that_is_switched_off(tmp_path: Path) -> None:
    folder = monitor(tmp_path / "class/hwmon/hwmon1", ORIN_NX)
    (folder / "curr1_input").unlink()
    reason = ina3221.find(tmp_path)
    assert isinstance(reason, str)
    assert "switched off" in reason


def test_other_monitors_are_passed_by(tmp_path: Path) -> None:
    folder = monitor(tmp_path / "class/hwmon/hwmon1", ORIN_NX)
    (folder / "name").write_text("ina238\n")
    assert isinstance(ina3221.find(tmp_path), str)
