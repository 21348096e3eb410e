"""What reference networks take on one machine with one runtime: a record, kept and read again.

That of this machine lies in the user's cache and goes nowhere; that of a machine with a name lies in
``hardware_profiles/measured/NAME/calibration``, for all who have that folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from bench.folders import cache_folder
from bench.hardware import Catalogue, Regime
from bench.measure import environment
from bench.measure.limits import usable_cores
from bench.record import Record
from bench.store import read_record

CALIBRATION_FOLDER = "calibration"
THIS_HOST = "this-host"


class Cell(Record):
    """One network in one regime."""

    network: str
    input: int
    """Side of an image in pixels, or length of a text in tokens."""
    regime: Regime
    batch: int = Field(ge=1)
    seconds: float = Field(gt=0)
    """Of a sample: the median over the calls, divided by the batch."""
    spread: float = Field(ge=0)
    """Between the quartiles of the calls, as a share of the median."""
    calls: int = Field(ge=1)


class Calibration(Record):
    """One runtime on one machine."""

    schema_version: Literal[1] = 1
    device: str
    runtime: str
    """The name of the backend."""
    version: str
    """Of the runtime's package."""
    precision: str
    as_of: str
    """The day, in UTC."""
    threads: int
    cells: list[Cell]
    skipped: dict[str, str]
    """Networks that have no cell, or not one in each regime, and why."""
    environment: dict[str, Any]

    def seconds(self, regime: Regime) -> dict[tuple[str, int], float]:
        """Of a sample, by network and input."""
        cells = (cell for cell in self.cells if cell.regime == regime)
        return {(cell.network, cell.input): cell.seconds for cell in cells}

    @property
    def machine(self) -> tuple[Any, ...]:
        """What tells this machine from another, as far as a program sees."""
        return machine_of(self.environment, self.threads)

    @property
    def here(self) -> bool:
        """Whether that is the machine the program runs on, under whatever name."""
        return self.machine == this_machine()


def machine_of(seen: Mapping[str, Any], threads: int) -> tuple[Any, ...]:
    """What tells a machine from another in its environment: processor, cores, GPU."""
    gpu = seen.get("gpu") or {}
    return seen.get("cpu"), seen.get("cores_logical"), gpu.get("gpu"), threads


def own_folder() -> Path:
    """Where the calibrations of the machine itself are."""
    return cache_folder() / CALIBRATION_FOLDER


def calibrations(catalogue: Catalogue) -> list[Calibration]:
    """All that are kept: of devices with names, and of this machine, if it is still the one.

    Raises:
        InputError: a file that is no calibration.
    """
    named = sorted((catalogue.folder / "measured").glob(f"*/{CALIBRATION_FOLDER}/*.json"))
    found = [read_record(path, Calibration) for path in named]
    own = [read_record(path, Calibration) for path in sorted(own_folder().glob("*.json"))]
    # The cache may be that of a home folder that several machines share.
    return found + [one for one in own if one.here]


def this_machine() -> tuple[Any, ...]:
    """As :func:`machine_of`, of the machine the program runs on."""
    return machine_of(environment.describe(), usable_cores())
