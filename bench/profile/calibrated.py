"""Machines of the user's own as settings of the published table, and how far off those are."""

from __future__ import annotations

import math
from typing import get_args

import numpy as np

from bench.hardware import Catalogue, Key, Part, Regime, Setting
from bench.measure import THIS_HOST, Calibration, calibrations
from bench.profile.projection import Projector

PUBLISHED_AS = {
    "torch": "PyTorch", "onnxruntime": "ONNX Runtime", "tensorrt": "TensorRT",
    "openvino": "OpenVINO", "litert": "TFLite",
}  # fmt: skip
"""By how the name of a backend begins: what published tables call its runtime."""
FEWEST = 4


def published_name(backend: str) -> str:
    """What published tables call the runtime of a backend; its own name where they know none."""
    return PUBLISHED_AS.get(backend.partition("-")[0], backend)


def software_of(arm: str) -> str | None:
    """As :attr:`Setting.software`, of an arm ``BACKEND,options@DEVICE``."""
    start = arm.replace(",", "-").replace("@", "-").partition("-")[0]
    return PUBLISHED_AS[start].split()[0].lower() if start in PUBLISHED_AS else None


def calibrated_settings(catalogue: Catalogue) -> dict[Setting, dict[Key, float]]:
    """Seconds a sample of the networks that were measured here, or kept of named machines.

    Raises:
        InputError: a file that is no calibration.
    """
    found: dict[Setting, dict[Key, float]] = {}
    for calibration in calibrations(catalogue):
        found |= settings_of(calibration, calibration.device)
        if calibration.here:
            found |= settings_of(calibration, THIS_HOST)
    return found


def settings_of(calibration: Calibration, device: str) -> dict[Setting, dict[Key, float]]:
    """One for each regime in which something was measured."""
    runtime = calibration.runtime
    return {
        Setting(
            device, _part(runtime), f"{published_name(runtime)} ({runtime})",
            calibration.precision, regime, "exact", "bench calibrate", calibration.as_of,
        ): seconds
        for regime in get_args(Regime)
        if (seconds := calibration.seconds(regime))
    }  # fmt: skip


def _part(backend: str) -> Part:
    if backend.endswith("-npu"):
        return "npu"
    on_gpu = backend.endswith(("-cuda", "-gpu")) or "tensorrt" in backend
    return "gpu" if on_gpu else "cpu"


def left_one_out(catalogue: Catalogue, calibration: Calibration) -> float | None:
    """The median of \\|projected ÷ measured − 1\\| over the networks of a calibration, each projected
    from the others; ``None`` where they are too few."""
    settings = settings_of(calibration, THIS_HOST)
    observations = Projector(catalogue, settings).observations
    away: list[float] = []
    for setting in settings:
        observed = observations.every.get(setting)
        if observed is None or len(observed.keys) < FEWEST:
            continue
        for key, seconds in zip(observed.keys, observed.seconds.tolist(), strict=True):
            log = observed.without({key}).log_seconds(observations.counts[key])
            away.append(abs(math.expm1(log - math.log(seconds))))
    return float(np.median(away)) if away else None
