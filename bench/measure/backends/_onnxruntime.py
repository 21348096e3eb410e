"""What the three ONNX Runtime backends share: options, loading, placement."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, Literal

import numpy.typing as npt
from pydantic import Field

from bench.errors import InputError, shorten
from bench.measure.backends import BackendOptions, Calibration, Feeds, Placement, TensorSpec
from bench.measure.backends._onnx_file import check_file, check_weights
from bench.measure.backends._signature import no_tensor, refused
from bench.measure.onnx_convert import converted

OPTIMISATION = {
    "none": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "all": "ORT_ENABLE_ALL",
}
CPU = "CPUExecutionProvider"
Precision = Literal["fp32", "fp16", "int8-dynamic", "int8-static"]

_DTYPES = {
    "float": "float32", "double": "float64", "float16": "float16", "int64": "int64",
    "int32": "int32", "int16": "int16", "int8": "int8", "uint8": "uint8", "uint16": "uint16",
    "uint32": "uint32", "uint64": "uint64", "bool": "bool", "string": "object",
}  # fmt: skip


class Options(BackendOptions):
    """Precision, and how far the graph is optimised on loading."""

    precision: Precision = "fp32"  # type: ignore[assignment]
    optimisation: Literal["none", "basic", "extended", "all"] = "all"


class GpuOptions(Options):
    """As on the CPU, and what may stay there."""

    device_id: int = Field(default=0, ge=0)
    allow_on_cpu: list[str] = Field(default=[])
    """Kinds of nodes (``Shape``, ``Gather``) that may run on the CPU without a verdict."""


def package_missing(extra: str) -> str | None:
    """Why ONNX Runtime cannot be used, or ``None``."""
    if importlib.util.find_spec("onnxruntime") is None:
        return f'the package onnxruntime; install it with: pip install "inference-testbed[{extra}]"'
    return None


def provider_missing(provider: str) -> str | None:
    """Why an execution provider of onnxruntime-gpu cannot be used here, or ``None``."""
    if reason := package_missing("nvidia"):
        return reason
    import onnxruntime as ort

    if provider not in ort.get_available_providers():
        return (
            f"{provider}, which the installed onnxruntime does not have; uninstall it and install "
            'the GPU build: pip install "inference-testbed[nvidia]"'
        )
    return None if _has_gpu() else "an NVIDIA GPU with its driver; nvidia-smi must list it"


def convert(model: Path, options: Options, calibration: Calibration) -> Path:
    # Here and not on loading, which is timed: from 1.24 on, the runtime checks for itself.
    check_weights(model)
    return converted(model, options.precision, calibration)


class OnnxSession:
    """One inference session; intra-op threads as given, inter-op one.

    Raises:
        InputError: the file is not a model this runtime loads, or the provider refused it.
    """

    def __init__(
        self,
        model: Path,
        options: Options,
        threads: int,
        providers: Sequence[tuple[str, dict[str, Any]]] = ((CPU, {}),),
    ) -> None:
        import onnxruntime as ort

        check_file(model)
        settings = ort.SessionOptions()
        settings.intra_op_num_threads = threads
        settings.inter_op_num_threads = 1
        settings.log_severity_level = 4  # its errors come as exceptions, and are told from there
        level = OPTIMISATION[options.optimisation]
        settings.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level)
        settings.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
        self._wanted = providers[0][0]
        self._allowed = set(getattr(options, "allow_on_cpu", []))
        if self._wanted != CPU:
            _preload_cuda()
        try:
            # Left on, the fallback writes to stdout and runs on the CPU.
            self._session = ort.InferenceSession(
                str(model), settings, providers=list(providers), enable_fallback=0
            )
        except Exception as error:  # onnxruntime raises a type of its own per fault
            raise InputError(
                f"ONNX Runtime cannot load the model ({_short(error)})", where=str(model)
            ) from error
        if self._wanted not in self._session.get_providers():  # it falls back without an error
            raise InputError(
                f"ONNX Runtime fell back to {', '.join(self._session.get_providers())}",
                where=self._wanted,
                todo="Check the driver and the CUDA libraries: bench doctor",
            )
        self._path = model
        self.inputs = [_spec(entry, "input", model) for entry in self._session.get_inputs()]
        self.outputs = [_spec(entry, "output", model) for entry in self._session.get_outputs()]

    def run(self, feeds: Feeds) -> Sequence[npt.NDArray[Any]]:
        try:
            outputs: Sequence[npt.NDArray[Any]] = self._session.run(None, dict(feeds))
        except Exception as error:  # onnxruntime raises a type of its own per fault
            raise refused("ONNX Runtime", self._path, feeds, _short(error)) from error
        return outputs

    def placement(self) -> Placement:
        read = getattr(self._session, "get_provider_graph_assignment_info", None)
        if read is None:  # before 1.24
            return Placement(wanted=self._wanted, nodes={}, proof=None)
        nodes = [(part.ep_name, node.op_type) for part in read() for node in part.get_nodes()]
        return placement_of(nodes, self._wanted, self._allowed)

    def metadata(self) -> dict[str, str]:
        return dict(self._session.get_modelmeta().custom_metadata_map)


def placement_of(nodes: Iterable[tuple[str, str]], wanted: str, allowed: set[str]) -> Placement:
    """The placement from (provider, kind of node) of every node."""
    listed = list(nodes)
    strays = Counter(kind for where, kind in listed if where != wanted and kind not in allowed)
    return Placement(
        wanted=wanted,
        nodes=dict(Counter(where for where, _ in listed)),
        elsewhere=sorted(strays),
        proof="ONNX Runtime's graph assignment",
    )


def _preload_cuda() -> None:
    """Load CUDA and cuDNN from NVIDIA's wheels; left alone, the system's libraries only."""
    import onnxruntime as ort

    if hasattr(ort, "preload_dlls"):  # from 1.21 on
        with redirect_stdout(sys.stderr):  # where it says what it did not find
            ort.preload_dlls()


def _has_gpu() -> bool:
    import pynvml

    try:
        pynvml.nvmlInit()
        return int(pynvml.nvmlDeviceGetCount()) > 0
    except pynvml.NVMLError:
        return False


def _spec(entry: Any, role: str, model: Path) -> TensorSpec:
    plain = entry.type.startswith("tensor(")
    kind = entry.type.removeprefix("tensor(").removesuffix(")") if plain else entry.type
    if kind not in _DTYPES:
        raise no_tensor(role, entry.name, kind, model)
    shape = tuple(size if isinstance(size, int) else None for size in entry.shape)
    return TensorSpec(entry.name, _DTYPES[kind], shape)


_PREFIX = re.compile(
    r"\[ONNXRuntimeError\] : \d+ : \w+ : |Load model from .*? failed: ?"
    r"|/onnxruntime_src/\S+:\d+ .*?\) (?=[A-Z])"
)


def _short(error: Exception) -> str:
    """What the runtime says, without its error code and the place in its own source."""
    said = " ".join(str(error).split())
    return shorten(_PREFIX.sub("", said) or said, 300)
