"""PyTorch, operation by operation, on an NVIDIA GPU."""

from __future__ import annotations

from pathlib import Path

from bench.measure.backends import RunsOn
from bench.measure.backends._torch import FORMATS, Options, TorchSession, cuda_missing
from bench.measure.clock import Clock

__all__ = ["FORMATS", "RUNS_ON", "Options", "load", "missing"]

RUNS_ON: RunsOn = "gpu"
DEVICE = "cuda"


def missing() -> str | None:
    return cuda_missing()


def load(model: Path, options: Options, threads: int, clock: Clock) -> TorchSession:
    return TorchSession(model, options, threads, DEVICE)
