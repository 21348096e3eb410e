"""NVML: the energy counter and the power of the first NVIDIA GPU that this process sees.

The counter (``nvmlDeviceGetTotalEnergyConsumption``: Volta and newer, millijoules, moves every
20 to 100 ms) gives the energy. It is held against ``NVML_FI_DEV_POWER_INSTANT``; a driver without
that field gives ``nvmlDeviceGetPowerUsage``, which is a mean over 1 s on Ampere and newer except
GA100 (NVML API reference). On GA100 and GH100 only about a quarter of the time is sampled (Yang
et al., "Part-time Power Measurements", arXiv 2312.02741, on A100 and H100): long windows, several
runs. A card that is shared out (MIG) is counted whole.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import pynvml

from bench.measure.power import Forbidden, Measures, Reading, Scope, Source

MEASURES: Measures = "gpu"

_GA100, _GH100 = (8, 0), (9, 0)
_AMPERE = (8, 0)
_HEAT = (
    pynvml.nvmlClocksEventReasonSwThermalSlowdown | pynvml.nvmlClocksEventReasonHwThermalSlowdown
)
_POWER = pynvml.nvmlClocksEventReasonSwPowerCap | pynvml.nvmlClocksEventReasonHwPowerBrakeSlowdown


class Nvml:
    """One card, without its host."""

    scope: Scope = "board"

    def __init__(self, handle: Any, whole_card: bool) -> None:
        self._handle = handle
        self.title = f"NVML, {_text(pynvml.nvmlDeviceGetName(handle))}, the card without its host"
        self._capability = tuple(_ask(pynvml.nvmlDeviceGetCudaComputeCapability, handle) or (0, 0))
        self._codes = {"mig-whole-card"} if whole_card else set()
        if self._capability in (_GA100, _GH100):
            self._codes.add("sampled-part-time")
        first = self.read()
        self.source: Source = "sampled" if first.energy_j is None else "counter"
        if first.energy_j is None and first.power_w is None:
            raise OSError("neither energy nor power is supported")

    def read(self) -> Reading:
        at_ns = time.perf_counter_ns()
        try:
            energy_mj = _ask(pynvml.nvmlDeviceGetTotalEnergyConsumption, self._handle)
            power_w, codes = self._power()
            codes |= self._codes | _throttling(self._handle)
        except pynvml.NVMLError_NoPermission as error:
            raise PermissionError(str(error)) from error
        except pynvml.NVMLError as error:
            raise OSError(str(error)) from error
        energy_j = None if energy_mj is None else energy_mj / 1e3
        return Reading(at_ns, energy_j, power_w, frozenset(codes))

    def _power(self) -> tuple[float | None, set[str]]:
        """Watts, and whether they are those of the moment."""
        instant_mw = _field(self._handle, pynvml.NVML_FI_DEV_POWER_INSTANT)
        if instant_mw is not None:
            return instant_mw / 1e3, set()
        usage_mw = _ask(pynvml.nvmlDeviceGetPowerUsage, self._handle)
        averaged = self._capability >= _AMPERE and self._capability != _GA100
        codes = {"averaged-over-1-s"} if usage_mw is not None and averaged else set()
        return None if usage_mw is None else usage_mw / 1e3, codes


def find() -> Nvml | str:
    try:
        pynvml.nvmlInit()
        found = _first_visible()
        return found if isinstance(found, str) else Nvml(*found)
    except pynvml.NVMLError_LibraryNotFound:
        return (
            "no NVIDIA driver; a container needs the GPU and the driver's utilities passed in "
            "(--gpus all)"
        )
    except (pynvml.NVMLError_NoPermission, PermissionError) as error:
        return Forbidden(f"NVML refuses this user ({error}); run as root or outside the container")
    except (pynvml.NVMLError, OSError) as error:
        return f"no NVIDIA GPU with a power reading ({error})"


def state() -> dict[str, Any]:
    """Temperature, clocks, throttling and limits of the same GPU now. Never raises."""
    try:
        pynvml.nvmlInit()
        found = _first_visible()
        if isinstance(found, str):
            return {}
        handle, whole_card = found
        limit_mw = _ask(pynvml.nvmlDeviceGetEnforcedPowerLimit, handle)
        memory = _ask(pynvml.nvmlDeviceGetMemoryInfo, handle)
        return {
            "gpu": _text(pynvml.nvmlDeviceGetName(handle)),
            "driver": _text(pynvml.nvmlSystemGetDriverVersion()),
            "temperature_c": _ask(
                pynvml.nvmlDeviceGetTemperature, handle, pynvml.NVML_TEMPERATURE_GPU
            ),
            "clock_sm_mhz": _ask(pynvml.nvmlDeviceGetClockInfo, handle, pynvml.NVML_CLOCK_SM),
            "clock_memory_mhz": _ask(pynvml.nvmlDeviceGetClockInfo, handle, pynvml.NVML_CLOCK_MEM),
            "memory_bytes": None if memory is None else int(memory.total),
            "memory_used_bytes": None if memory is None else int(memory.used),
            "power_limit_w": None if limit_mw is None else limit_mw / 1e3,
            "throttled": sorted(_throttling(handle)),
            "mig": whole_card,
        }
    except pynvml.NVMLError:
        return {}


def _first_visible() -> tuple[Any, bool] | str:
    """CUDA's device 0 as an NVML handle, and whether MIG shares it out; or why it is not known.

    NVML counts all cards in the order of the bus. CUDA leaves out what ``CUDA_VISIBLE_DEVICES``
    does not name, and unless ``CUDA_DEVICE_ORDER=PCI_BUS_ID`` it puts the fastest card first, so
    that the same number may mean another card where they differ.
    """
    wanted = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()
    if wanted.startswith("MIG-"):
        part = pynvml.nvmlDeviceGetHandleByUUID(wanted)
        return pynvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(part), True
    cards = [pynvml.nvmlDeviceGetHandleByIndex(n) for n in range(int(pynvml.nvmlDeviceGetCount()))]
    if wanted.startswith("GPU-"):
        named = [c for c in cards if _text(pynvml.nvmlDeviceGetUUID(c)).startswith(wanted)]
        return (named[0], _shared_out(named[0])) if named else f"there is no GPU {wanted}"
    if not cards:
        return "the driver shows no GPU"
    if not wanted.isdecimal() or int(wanted) >= len(cards):
        return f"CUDA_VISIBLE_DEVICES begins with {wanted!r}, which shows none of {len(cards)} GPUs"
    by_bus = os.environ.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID"
    if not by_bus and len({_text(pynvml.nvmlDeviceGetName(card)) for card in cards}) > 1:
        return (
            f"there are {len(cards)} GPUs of different kinds, and which of them CUDA calls "
            f"{wanted} is not known; set CUDA_DEVICE_ORDER=PCI_BUS_ID"
        )
    return cards[int(wanted)], _shared_out(cards[int(wanted)])


def _shared_out(card: Any) -> bool:
    mode = _ask(pynvml.nvmlDeviceGetMigMode, card)
    return mode is not None and mode[0] == pynvml.NVML_DEVICE_MIG_ENABLE


def _throttling(card: Any) -> set[str]:
    try:
        reasons = _ask(pynvml.nvmlDeviceGetCurrentClocksEventReasons, card) or 0
    except pynvml.NVMLError_NoPermission:
        return set()
    codes = {"throttled-thermal"} if reasons & _HEAT else set()
    return codes | ({"throttled-power"} if reasons & _POWER else set())


def _field(card: Any, field: int) -> float | None:
    """A field value; NVML says in the value itself whether it is there."""
    values = _ask(pynvml.nvmlDeviceGetFieldValues, card, [field])
    if not values or values[0].nvmlReturn != pynvml.NVML_SUCCESS:
        return None
    member = _MEMBERS.get(values[0].valueType)
    return None if member is None else float(getattr(values[0].value, member))


_MEMBERS = {
    pynvml.NVML_VALUE_TYPE_DOUBLE: "dVal",
    pynvml.NVML_VALUE_TYPE_UNSIGNED_INT: "uiVal",
    pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG: "ulVal",
    pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG: "ullVal",
    pynvml.NVML_VALUE_TYPE_SIGNED_LONG_LONG: "sllVal",
}


def _ask(question: Callable[..., Any], *arguments: Any) -> Any:
    """The answer, or ``None`` where the card or the driver does not know the question."""
    try:
        return question(*arguments)
    except (pynvml.NVMLError_NotSupported, pynvml.NVMLError_FunctionNotFound):
        return None


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name
