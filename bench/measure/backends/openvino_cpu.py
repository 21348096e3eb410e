"""OpenVINO on the CPU."""

from __future__ import annotations

from pathlib import Path

from bench.measure.backends import RunsOn
from bench.measure.backends._openvino import OpenVinoSession, Options, convert, device_missing
from bench.measure.clock import Clock

__all__ = ["FORMATS", "RUNS_ON", "Options", "convert", "load", "missing"]

FORMATS = ("onnx", "openvino-ir", "tflite")
RUNS_ON: RunsOn = "cpu"
DEVICE = "CPU"


def missing() -> str | None:
    return device_missing(DEVICE)


def load(model: Path, options: Options, threads: int, clock: Clock) -> OpenVinoSession:
    return OpenVinoSession(model, options, threads, DEVICE)
