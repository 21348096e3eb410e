"""NVML: the total energy counter of an NVIDIA GPU (Volta and newer; the whole card under MIG)."""

from __future__ import annotations

from typing import Any

import pynvml

MEASURES = "gpu"


class Nvml:
    """``nvmlDeviceGetTotalEnergyConsumption`` of the first GPU."""

    source = "NVML energy counter"
    scope = "board"

    def __init__(self) -> None:
        pynvml.nvmlInit()
        self._handle: Any = pynvml.nvmlDeviceGetHandleByIndex(0)
        self.read_j()

    def read_j(self) -> float:
        return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(self._handle)) / 1e3


def find() -> Nvml | str:
    try:
        return Nvml()
    except pynvml.NVMLError as error:
        return f"no NVIDIA GPU with an energy counter ({error})"
