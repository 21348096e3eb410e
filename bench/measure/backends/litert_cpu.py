"""LiteRT (TensorFlow Lite) on the CPU, with its XNNPACK delegate."""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.errors import InputError
from bench.measure.backends import BackendOptions, Feeds, Placement, RunsOn, TensorSpec
from bench.measure.backends._signature import distinct, refused
from bench.measure.clock import Clock

FORMATS = ("tflite",)
RUNS_ON: RunsOn = "cpu"


class Options(BackendOptions):
    """The precision is the file's own."""


def missing() -> str | None:
    if importlib.util.find_spec("ai_edge_litert") is None:
        return (
            'the package ai-edge-litert; install it with: pip install "inference-testbed[litert]"'
        )
    return None


def load(model: Path, options: Options, threads: int, clock: Clock) -> LiteRtSession:
    return LiteRtSession(model, threads)


class LiteRtSession:
    """One interpreter; its tensors are resized when the batch changes.

    Raises:
        InputError: the file is no LiteRT model, or it takes no such batch.
    """

    def __init__(self, model: Path, threads: int) -> None:
        from ai_edge_litert.interpreter import Interpreter

        if not model.is_file() or model.stat().st_size == 0:
            raise InputError("there is no such model file, or it is empty", where=str(model))
        self._path = model
        try:
            self._interpreter: Any = Interpreter(str(model), num_threads=threads)
            inputs = self._interpreter.get_input_details()
            # Some graphs cannot be prepared before the sizes that may vary are known.
            varies = any((entry["shape_signature"] < 0).any() for entry in inputs)
            if not varies:
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            said = " ".join(str(error).split())[:200]
            raise InputError(f"LiteRT cannot load the model ({said})", where=str(model)) from error
        inputs, outputs = (
            self._interpreter.get_input_details(), self._interpreter.get_output_details(),
        )  # fmt: skip
        self.inputs, self.outputs = _specs(inputs, "input"), _specs(outputs, "output")
        named = [(s.name, e) for s, e in zip(self.inputs, inputs, strict=True)]
        self._index = {name: entry["index"] for name, entry in named}
        self._places = [entry["index"] for entry in outputs]
        self._shapes: dict[str, tuple[int, ...]] = (
            {} if varies else {name: tuple(map(int, entry["shape"])) for name, entry in named}
        )

    def run(self, feeds: Feeds) -> Sequence[npt.NDArray[Any]]:
        if any(array.shape != self._shapes.get(name) for name, array in feeds.items()):
            self._resize(feeds)
        try:
            for name, array in feeds.items():
                self._interpreter.set_tensor(self._index[name], array)
            self._interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            said = " ".join(str(error).split())[:200]
            raise refused("LiteRT", self._path, feeds, said) from error
        return [self._interpreter.get_tensor(place) for place in self._places]

    def placement(self) -> Placement:
        # Every node is CPU code; the kinds of nodes tell the delegate's from the reference ones.
        kinds = Counter(op["op_name"] for op in self._interpreter._get_ops_details())
        delegated = kinds.pop("DELEGATE", 0)
        nodes = {"CPU (XNNPACK partitions)": delegated} if delegated else {}
        return Placement(
            wanted="CPU",
            nodes={**nodes, "CPU (operations of the graph)": sum(kinds.values())},
            proof="the interpreter's list of operations",
        )

    def metadata(self) -> dict[str, str]:
        return {}

    def _resize(self, feeds: Feeds) -> None:
        unknown = sorted(set(feeds) - set(self._index))
        if unknown:
            raise InputError(
                f"the model has no input {unknown[0]!r}", where=str(self._path),
                allowed=", ".join(self._index),
            )  # fmt: skip
        try:
            for name, array in feeds.items():
                self._interpreter.resize_tensor_input(self._index[name], array.shape)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise InputError(
                f"the model does not take inputs of the shapes "
                f"{[array.shape for array in feeds.values()]}",
                where=str(self._path), allowed=str([spec.shape for spec in self.inputs]),
                todo="Set measure.max_batch to 1, if the batch is what differs",
            ) from error  # fmt: skip
        self._shapes = {name: array.shape for name, array in feeds.items()}


def _specs(entries: Sequence[Any], role: str) -> list[TensorSpec]:
    """The tensors in order; converters leave names out, and give some twice."""
    names = distinct([entry["name"] for entry in entries], role)
    return [_spec(name, entry) for name, entry in zip(names, entries, strict=True)]


def _spec(name: str, entry: Any) -> TensorSpec:
    # A shape without dimensions has no signature.
    sizes = entry["shape_signature"] if len(entry["shape_signature"]) else entry["shape"]
    shape = tuple(None if size < 0 else int(size) for size in sizes)
    dtype = np.dtype(entry["dtype"])
    return TensorSpec(name, "object" if dtype.kind == "S" else dtype.name, shape)
