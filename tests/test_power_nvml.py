"""NVML with a driver that is made up: counters, sharing, throttling, cards that fall off the bus."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from bench.measure.power import Forbidden, Reading, nvml
from bench.measure.power._trace import evaluate
from tests.power_readings import seconds


class Driver:
    """An NVIDIA driver with cards; each answer may be replaced by an error."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, names: Sequence[str] = ("NVIDIA L4",)
    ) -> None:
        self.names = names
        self.energy_mj: int | pynvml.NVMLError = 5_000
        self.instant_mw: int | None = 71_000
        self.usage_mw = 65_000
        self.capability: tuple[int, int] = (8, 9)
        self.throttle = 0
        self.mig: list[int] | pynvml.NVMLError = pynvml.NVMLError_NotSupported()
        answers = {
            "Init": lambda: None,
            "SystemGetDriverVersion": lambda: "580.1",
            "DeviceGetCount": lambda: len(self.names),
            "DeviceGetHandleByIndex": lambda n: n,
            "DeviceGetHandleByUUID": lambda uuid: f"part {uuid}",
            "DeviceGetDeviceHandleFromMigDeviceHandle": lambda part: 0,
            "DeviceGetUUID": lambda n: f"GPU-{n}{n}{n}{n}-beef",
            "DeviceGetName": lambda n: f"{self.names[n]}",
            "DeviceGetCudaComputeCapability": lambda n: self.capability,
            "DeviceGetMigMode": lambda n: self._say(self.mig),
            "DeviceGetTotalEnergyConsumption": lambda n: self._say(self.energy_mj),
            "DeviceGetPowerUsage": lambda n: self.usage_mw,
            "DeviceGetFieldValues": self._fields,
            "DeviceGetCurrentClocksEventReasons": lambda n: self.throttle,
            "DeviceGetTemperature": lambda n, sensor: 61,
            "DeviceGetClockInfo": lambda n, kind: {1: 2040, 2: 6251}[kind],
            "DeviceGetEnforcedPowerLimit": lambda n: 72_000,
            "DeviceGetMemoryInfo": lambda n: SimpleNamespace(total=24_000, used=1_000),
        }
        for name, answer in answers.items():
            monkeypatch.setattr(pynvml, f"nvml{name}", answer)
        for variable in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"):
            monkeypatch.delenv(variable, raising=False)

    @staticmethod
    def _say(answer: Any) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _fields(self, card: int, fields: list[int]) -> Any:
        assert fields == [pynvml.NVML_FI_DEV_POWER_INSTANT]
        values = (pynvml.c_nvmlFieldValue_t * 1)()
        if self.instant_mw is None:
            values[0].nvmlReturn = pynvml.NVML_ERROR_NOT_SUPPORTED
        else:
            values[0].valueType = pynvml.NVML_VALUE_TYPE_UNSIGNED_INT
            values[0].value.uiVal = self.instant_mw
        return values


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    return Driver(monkeypatch)


def gpu() -> nvml.Nvml:
    found = nvml.find()
    assert not isinstance(found, str), found
    return found


def test_nvml_reads_the_counter_and_the_power_of_the_moment(driver: Driver) -> None:
    reading = gpu().read()
    assert (reading.energy_j, reading.power_w, reading.codes) == (5.0, 71.0, frozenset())
    assert (gpu().source, gpu().scope) == ("counter", "board")
    assert "NVIDIA L4" in gpu().title


@pytest.mark.parametrize(
    ("capability", "codes"),
    [
        ((7, 5), set()),  # Turing: the power of the moment
        ((8, 0), {"sampled-part-time"}),  # GA100: of the moment as well
        ((8, 6), {"averaged-over-1-s"}),
        ((9, 0), {"averaged-over-1-s", "sampled-part-time"}),
    ],
)
def test_a_driver_without_the_field_is_labelled(
    driver: Driver, capability: tuple[int, int], codes: set[str]
) -> None:
    driver.instant_mw, driver.capability = None, capability
    reading = gpu().read()
    assert reading.power_w == 65.0
    assert reading.codes == codes


def test_a_card_without_a_counter_is_sampled(driver: Driver) -> None:
    driver.energy_mj = pynvml.NVMLError_NotSupported()
    assert gpu().source == "sampled"
    assert gpu().read().energy_j is None


def test_a_card_that_is_shared_out_is_counted_whole(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver.mig = [0, 1]  # asked for, and not yet so
    assert "mig-whole-card" not in gpu().read().codes
    driver.mig = [1, 1]
    assert "mig-whole-card" in gpu().read().codes
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-1234")
    assert "mig-whole-card" in gpu().read().codes


def test_throttling_is_told(driver: Driver) -> None:
    sensor = gpu()
    driver.throttle = pynvml.nvmlClocksEventReasonHwThermalSlowdown
    assert sensor.read().codes == {"throttled-thermal"}
    driver.throttle = pynvml.nvmlClocksEventReasonSwPowerCap
    assert sensor.read().codes == {"throttled-power"}
    driver.throttle = pynvml.nvmlClocksEventReasonGpuIdle
    assert sensor.read().codes == set()


def test_a_card_that_falls_off_the_bus_is_a_failed_reading(driver: Driver) -> None:
    sensor = gpu()
    driver.energy_mj = pynvml.NVMLError_GpuIsLost()
    with pytest.raises(OSError, match="lost"):
        sensor.read()


def test_permission_denied_by_nvml(driver: Driver) -> None:
    driver.energy_mj = pynvml.NVMLError_NoPermission()
    reason = nvml.find()
    assert isinstance(reason, Forbidden)
    assert "Permission" in reason


def test_a_counter_that_starts_anew_is_noticed(driver: Driver) -> None:
    sensor, readings = gpu(), []
    for n in range(70):
        driver.energy_mj = 7_100 * (n if n < 40 else n - 40)
        seen = sensor.read()
        readings.append(Reading(seconds(n / 10), seen.energy_j, seen.power_w, seen.codes))
    window = evaluate(readings, 0, seconds(6.9), sensor.source)
    assert "counter-went-back" in window.codes
    assert window.source == "sampled"
    assert window.mean_w.value == pytest.approx(71)


@pytest.mark.parametrize(
    ("visible", "order", "title"),
    [
        (None, "PCI_BUS_ID", "NVIDIA T4"),
        ("1", "PCI_BUS_ID", "NVIDIA L4"),
        ("1,0", "PCI_BUS_ID", "NVIDIA L4"),
        ("GPU-1111", None, "NVIDIA L4"),
    ],
)
def test_the_card_that_cuda_uses_is_metered(
    monkeypatch: pytest.MonkeyPatch, visible: str | None, order: str | None, title: str
) -> None:
    Driver(monkeypatch, ["NVIDIA T4", "NVIDIA L4"])
    for name, value in (("CUDA_VISIBLE_DEVICES", visible), ("CUDA_DEVICE_ORDER", order)):
        if value is not None:
            monkeypatch.setenv(name, value)
    assert title in gpu().title


@pytest.mark.parametrize(
    ("names", "visible", "reason"),
    [
        (["NVIDIA T4", "NVIDIA L4"], "0", "CUDA_DEVICE_ORDER=PCI_BUS_ID"),
        (["NVIDIA L4"], "", "shows none"),
        (["NVIDIA L4"], "-1", "shows none"),
        (["NVIDIA L4"], "3", "shows none"),
        (["NVIDIA L4"], "GPU-9", "no GPU GPU-9"),
        ([], "0", "no GPU"),
    ],
)
def test_a_card_that_is_not_known_is_not_guessed(
    monkeypatch: pytest.MonkeyPatch, names: list[str], visible: str, reason: str
) -> None:
    Driver(monkeypatch, names)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    found = nvml.find()
    assert isinstance(found, str)
    assert reason in found


def test_the_state_of_the_card(driver: Driver) -> None:
    driver.throttle = pynvml.nvmlClocksEventReasonSwPowerCap
    state = nvml.state()
    assert (state["temperature_c"], state["clock_sm_mhz"]) == (61, 2040)
    assert (state["power_limit_w"], state["throttled"]) == (72.0, ["throttled-power"])
    assert (state["memory_bytes"], state["memory_used_bytes"]) == (24_000, 1_000)


def test_without_a_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    def init() -> None:
        raise pynvml.NVMLError_LibraryNotFound

    monkeypatch.setattr(pynvml, "nvmlInit", init)
    assert "no NVIDIA driver" in str(nvml.find())
    assert nvml.state() == {}
