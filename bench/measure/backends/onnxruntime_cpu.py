"""ONNX Runtime with its CPU execution provider."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt

from bench.errors import InputError
from bench.measure.backends import Clock, Feeds, wall_clock
from bench.record import Record


class Options(Record):
    """None yet: the thread count belongs to the device."""


def missing() -> str | None:
    if importlib.util.find_spec("onnxruntime") is None:
        return (
            'the package onnxruntime; install it with: pip install "inference-testbed[onnxruntime]"'
        )
    return None


def clock(options: Options) -> Clock:
    return wall_clock()


def load(model: Path, options: Options, threads: int, clock: Clock) -> OnnxSession:
    return OnnxSession(model, threads)


class OnnxSession:
    """One inference session; intra-op threads as given, inter-op one."""

    def __init__(self, model: Path, threads: int) -> None:
        import onnxruntime as ort

        settings = ort.SessionOptions()
        settings.intra_op_num_threads = threads
        settings.inter_op_num_threads = 1
        settings.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(
                str(model), settings, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime raises a type of its own per fault
            raise InputError(
                f"ONNX Runtime cannot load the model ({str(error)[:200]})", where=str(model)
            ) from error

    def run(self, feeds: Feeds) -> Sequence[npt.NDArray[Any]]:
        outputs: Sequence[npt.NDArray[Any]] = self._session.run(None, dict(feeds))
        return outputs

    def placement(self) -> list[str]:
        return list(self._session.get_providers())

    def metadata(self) -> dict[str, str]:
        return dict(self._session.get_modelmeta().custom_metadata_map)
