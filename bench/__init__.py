"""Measure a real model once, then compare every way of deploying it.

The public names are few and load lazily, so that ``import bench`` stays cheap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["BenchError", "__version__", "load", "run"]

if TYPE_CHECKING:
    from bench.errors import BenchError
    from bench.pipeline import run
    from bench.store import load

_HOMES = {"BenchError": "bench.errors", "load": "bench.store", "run": "bench.pipeline"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'bench' has no attribute {name!r}")
