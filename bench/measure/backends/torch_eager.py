"""PyTorch, operation by operation, on the CPU."""

from __future__ import annotations

from pathlib import Path

from bench.measure.backends import RunsOn
from bench.measure.backends._torch import FORMATS, Options, TorchSession, torch_missing
from bench.measure.clock import Clock

__all__ = ["FORMATS", "RUNS_ON", "Options", "load", "missing"]

RUNS_ON: RunsOn = "cpu"
DEVICE = "cpu"


def missing() -> str | None:
    return torch_missing()


def load(model: Path, options: Options, threads: int, clock: Clock) -> TorchSession:
    return TorchSession(model, options, threads, DEVICE)
