"""ONNX Runtime with its CPU execution provider."""

from __future__ import annotations

from pathlib import Path

from bench.measure.backends import RunsOn
from bench.measure.backends._onnxruntime import OnnxSession, Options, convert, package_missing
from bench.measure.clock import Clock

__all__ = ["FORMATS", "RUNS_ON", "THREAD_SAFE", "Options", "convert", "load", "missing"]

FORMATS = ("onnx",)
RUNS_ON: RunsOn = "cpu"
THREAD_SAFE = True


def missing() -> str | None:
    return package_missing("onnxruntime")


def load(model: Path, options: Options, threads: int, clock: Clock) -> OnnxSession:
    return OnnxSession(model, options, threads)
