"""INA3221: the power monitors of NVIDIA Jetson modules, through Linux's hwmon files.

Each chip has three channels, with ``inN_label``, ``inN_input`` (mV) and ``currN_input`` (mA);
``in4`` to ``in7`` are drops across shunts and ``curr4`` is a sum (kernel documentation,
``hwmon/ina3221.rst``). The power of the whole module, without its carrier board, is

- ``VDD_IN`` on Orin NX and Orin Nano (labels: the kernel's ``tegra234-p3767.dtsi``; "the total
  power of module": NVIDIA's developer forum, thread 200883, of Xavier NX's rail of that name);
- ``VDD_GPU_SOC`` + ``VDD_CPU_CV`` + ``VIN_SYS_5V0`` on AGX Orin (``tegra234-p3701.dtsi``; the rails
  that energymon's Jetson reader sums). A fourth, ``VDDQ_VDD2_1V8AO`` (memory), is fed from
  ``VIN_SYS_5V0`` and would count twice.

Values are taken as they come, without any averaging.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from bench.measure.power import Forbidden, Measures, Reading, Scope, Source

MEASURES: Measures = "all"
ROOT = Path("/sys")
TOTALS = (("VDD_IN",), ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"))
"""The rails that make up a module, for each kind of module."""


@dataclass(frozen=True)
class Rail:
    """One channel of a chip."""

    millivolts: Path
    milliamperes: Path

    def watts(self) -> float:
        return int(self.millivolts.read_text()) * int(self.milliamperes.read_text()) / 1e6


class Ina3221:
    """The sum of the rails that feed a module."""

    source: Source = "sampled"
    scope: Scope = "board"

    def __init__(self, rails: dict[str, Rail]) -> None:
        self.title = f"INA3221, {' + '.join(rails)} (module without its carrier board)"
        self._rails = list(rails.values())

    def read(self) -> Reading:
        at_ns = time.perf_counter_ns()
        try:
            return Reading(at_ns, power_w=sum(rail.watts() for rail in self._rails))
        except ValueError as error:
            raise OSError(str(error)) from error


def find(root: Path = ROOT) -> Ina3221 | str:
    rails = _rails(root)
    if not rails:
        return f"no INA3221 power monitor under {root} (NVIDIA Jetson modules have one)"
    total = next((names for names in TOTALS if set(names) <= set(rails)), None)
    if total is None:
        return (
            f"an INA3221 with the rails {', '.join(sorted(rails))}, none of which is known to feed "
            f"the whole module; known: {'; '.join(' + '.join(names) for names in TOTALS)}"
        )
    sensor = Ina3221({name: rails[name] for name in total})
    try:
        sensor.read()
    except PermissionError as error:
        return Forbidden(f"{error.filename} may not be read; run as root, or sudo chmod a+r it")
    except OSError as error:
        return f"the rails {' + '.join(total)} cannot be read ({error}); is a channel switched off?"
    return sensor


def _rails(root: Path) -> dict[str, Rail]:
    """Channels by label; a container may be shown only one of the two folders."""
    monitors = [
        *root.glob("class/hwmon/hwmon*"),
        *root.glob("bus/i2c/drivers/ina3221/*/hwmon/hwmon*"),
    ]
    return {
        _line(folder / f"in{n}_label"): Rail(folder / f"in{n}_input", folder / f"curr{n}_input")
        for folder in monitors
        if _line(folder / "name") == "ina3221"
        for n in (1, 2, 3)
        if _line(folder / f"in{n}_label") not in ("", "NC")
    }


def _line(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
