"""ONNX Runtime with its CUDA execution provider (package onnxruntime-gpu)."""

from __future__ import annotations

from pathlib import Path

from bench.measure.backends import RunsOn
from bench.measure.backends._onnxruntime import (
    CPU,
    GpuOptions,
    OnnxSession,
    convert,
    provider_missing,
)
from bench.measure.clock import Clock

__all__ = ["FORMATS", "RUNS_ON", "THREAD_SAFE", "Options", "convert", "load", "missing"]

FORMATS = ("onnx",)
RUNS_ON: RunsOn = "gpu"
THREAD_SAFE = True
PROVIDER = "CUDAExecutionProvider"


class Options(GpuOptions):
    """Precision, optimisation, the GPU's number, and what may stay on the CPU."""


def missing() -> str | None:
    return provider_missing(PROVIDER)


def load(model: Path, options: Options, threads: int, clock: Clock) -> OnnxSession:
    providers = [(PROVIDER, {"device_id": str(options.device_id)}), (CPU, {})]
    return OnnxSession(model, options, threads, providers)
