"""PyTorch with torch.compile, on an NVIDIA GPU. The compilation is part of the first call and warm-up."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from bench.measure.backends import RunsOn, _torch
from bench.measure.backends._torch import TorchSession, compiler_missing, cuda_missing
from bench.measure.clock import Clock

__all__ = ["FORMATS", "RUNS_ON", "Options", "load", "missing"]

FORMATS = ("torch-export",)
"""TorchScript is left out: torch.compile would run it as it is, uncompiled."""
RUNS_ON: RunsOn = "gpu"
DEVICE = "cuda"


class Options(_torch.Options):
    """As eager, and the mode of torch.compile."""

    mode: Literal["default", "reduce-overhead", "max-autotune"] = "default"


def missing() -> str | None:
    return cuda_missing() or compiler_missing()


def load(model: Path, options: Options, threads: int, clock: Clock) -> TorchSession:
    import torch

    def compiled(module: torch.nn.Module) -> object:
        return torch.compile(module, mode=options.mode)

    return TorchSession(model, options, threads, DEVICE, compiled)
