"""Watts of a device at work, as far as published results say: energy is power × time.

The power of a system under full load differs little between models (a tenth, in the median): so it is
one number of the device, and the model's part in the energy is its time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from bench.hardware import Device, PublishedResult
from bench.profile.projection.benchmarks import rows_of

BETWEEN_MODELS = 0.2
"""Standard deviation of a device's log power between models and systems, where one is known."""


class Powers:
    """Of systems at the wall, for each accelerator."""

    def __init__(self, results: Sequence[PublishedResult], devices: Mapping[str, Device]) -> None:
        self._devices = devices
        logs: dict[str, list[float]] = defaultdict(list)
        rates = rows_of(results, "throughput")
        for cell, rows in rows_of(results, "energy").items():
            for row, joules in rows.items():
                rate = rates.get(cell, {}).get(row)
                if rate is not None:
                    logs[cell[0]].append(float(np.log(joules * rate)))
        self._log = {device: float(np.median(own)) for device, own in logs.items()}
        above = [
            log - float(np.log(sheet.power))
            for device, log in self._log.items()
            if (sheet := devices[device].data_sheet) and sheet.power
        ]
        self._above = float(np.median(above)) if above else 0.0
        self._apart = float(np.std(above)) if above else np.inf

    def log_watts(self, device: str) -> tuple[float, float] | None:
        """The logarithm of the power and its deviation; ``None`` where nothing says it."""
        if device in self._log:
            return self._log[device], BETWEEN_MODELS
        sheet = self._devices[device].data_sheet
        if sheet is None or not sheet.power or not np.isfinite(self._apart):
            return None
        watts = float(np.log(sheet.power)) + self._above
        return watts, float(np.hypot(self._apart, BETWEEN_MODELS))
