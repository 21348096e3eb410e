"""ONNX Runtime with its TensorRT execution provider (packages onnxruntime-gpu and tensorrt)."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from pydantic import Field

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
PROVIDER = "TensorrtExecutionProvider"


class Options(GpuOptions):
    """As with CUDA; nodes that TensorRT refuses go to the CPU and are found by placement."""

    workspace_bytes: int = Field(default=1 << 30, ge=1 << 20)


def missing() -> str | None:
    if reason := provider_missing(PROVIDER):
        return reason
    if importlib.util.find_spec("tensorrt") is None:
        return 'the package tensorrt; install it with: pip install "inference-testbed[nvidia]"'
    return None


def load(model: Path, options: Options, threads: int, clock: Clock) -> OnnxSession:
    settings: dict[str, Any] = {
        "device_id": str(options.device_id),
        "trt_max_workspace_size": str(options.workspace_bytes),
        "trt_fp16_enable": str(options.precision == "fp16"),
    }
    return OnnxSession(model, options, threads, [(PROVIDER, settings), (CPU, {})])
