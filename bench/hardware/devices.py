"""Devices: one file each in ``hardware_profiles/devices``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from bench.hardware.sourced import Sourced
from bench.record import Record
from bench.units import Bytes, BytesPerSecond, OpsPerSecond, Watts

DeviceKind = Literal["cpu", "gpu", "tpu", "npu", "soc", "phone", "microcontroller"]


class DataSheet(Sourced):
    """What the maker says a chip can do. Rates are dense: sparsity would double them."""

    maker: str
    architecture: str
    """The maker's name for the generation of the chip."""
    fp32: OpsPerSecond | None = None
    fp16: OpsPerSecond | None = None
    int8: OpsPerSecond | None = None
    memory: Bytes | None = None
    memory_bandwidth: BytesPerSecond | None = None
    power: Watts | None = None
    """Board or module power limit in the fastest mode. Never taken for a measured power."""

    @model_validator(mode="after")
    def _some(self) -> DataSheet:
        if self.fp32 is None and self.fp16 is None and self.int8 is None:
            raise ValueError("give at least one of fp32, fp16 and int8")
        return self


class PowerMode(Record):
    """A setting that trades speed for power."""

    name: str
    limit: Watts


class Device(Record):
    """Hardware that a measurement or a published result can stand for."""

    schema_version: Literal[1]
    name: str
    title: str
    kind: DeviceKind | None = None
    threads: int | None = Field(default=None, ge=1)
    """Threads the backend may use; ``None`` for every core of the machine."""
    here: bool = False
    """Whether it is the machine the program runs on, whichever that is."""
    data_sheet: DataSheet | None = None
    power_modes: list[PowerMode] = Field(default=[], max_length=20)
    stands_for: list[str] = Field(default=[], max_length=50)
    """Devices that a plan takes to be as fast, where nothing was measured on them."""
    published_as: list[str] = Field(default=[], max_length=50)
    """What tables of published results call it."""
    computes_on: str | None = None
    """The chip whose published times stand for it; they were taken in another host."""
    note: str
