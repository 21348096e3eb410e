"""TensorRT: an ONNX file built into an engine for the GPU at hand; the build is part of the load.

Networks are strongly typed: the precision is that of the file, so fp16 comes from a converted one.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from bench.errors import InputError
from bench.measure.backends import (
    BackendOptions,
    Calibration,
    Feeds,
    Placement,
    RunsOn,
    TensorSpec,
)
from bench.measure.backends._onnx_file import check_weights
from bench.measure.clock import Clock
from bench.measure.onnx_convert import converted

FORMATS = ("onnx",)
RUNS_ON: RunsOn = "gpu"


class Options(BackendOptions):
    """Precision, and the shapes the engine is built for."""

    precision: Literal["fp32", "fp16", "int8-static"] = "fp32"  # type: ignore[assignment]
    max_batch: int = Field(default=8, ge=1, le=4096)
    shapes: dict[str, list[int]] = Field(default={})
    """By input: its shape without the batch, where the model leaves other dimensions open."""
    tf32: bool = False
    """Whether fp32 may be rounded to 10 bits inside; off, since fp32 is asked for."""


def missing() -> str | None:
    for module, package in (("tensorrt", "tensorrt"), ("cuda", "cuda-python")):
        if importlib.util.find_spec(module) is None:
            return (
                f'the package {package}; install it with: pip install "inference-testbed[nvidia]"'
            )
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return f"an NVIDIA GPU with its driver ({error})"
    return None


def convert(model: Path, options: Options, calibration: Calibration) -> Path:
    return converted(model, options.precision, calibration)


def load(model: Path, options: Options, threads: int, clock: Clock) -> TensorRtSession:
    return TensorRtSession(model, options)


class TensorRtSession:
    """An engine, a context and a stream; buffers grow with the largest batch seen.

    Raises:
        InputError: the parser or the builder refuses the model.
    """

    def __init__(self, model: Path, options: Options) -> None:
        import tensorrt as trt

        check_weights(model)
        logger = trt.Logger(trt.Logger.ERROR)
        engine = trt.Runtime(logger).deserialize_cuda_engine(_build(trt, logger, model, options))
        if engine is None:
            raise InputError("TensorRT cannot load the engine it built", where=str(model))
        self._trt, self._engine = trt, engine
        self._context = engine.create_execution_context()
        self._runtime = _cuda_runtime()
        self._stream = _check(self._runtime.cudaStreamCreate())
        self._buffers: dict[str, tuple[int, int]] = {}
        names = [engine.get_tensor_name(k) for k in range(engine.num_io_tensors)]
        modes = {name: engine.get_tensor_mode(name) for name in names}
        self.inputs = [self._spec(n) for n in names if modes[n] == trt.TensorIOMode.INPUT]
        self.outputs = [self._spec(n) for n in names if modes[n] == trt.TensorIOMode.OUTPUT]

    def run(self, feeds: Feeds) -> Sequence[npt.NDArray[Any]]:
        runtime, kind = self._runtime, self._runtime.cudaMemcpyKind
        for name, array in feeds.items():
            host = np.ascontiguousarray(array)
            self._set_shape(name, host)
            to_device = kind.cudaMemcpyHostToDevice
            place = self._buffer(name, host.nbytes)
            _check(
                runtime.cudaMemcpyAsync(
                    place, host.ctypes.data, host.nbytes, to_device, self._stream
                )
            )
        results = []
        for spec in self.outputs:
            shape = tuple(self._context.get_tensor_shape(spec.name))
            host = np.empty(shape, dtype=spec.dtype)
            self._buffer(spec.name, host.nbytes)
            results.append(host)
        if not self._context.execute_async_v3(self._stream):
            raise RuntimeError("TensorRT could not start the inference")
        for spec, host in zip(self.outputs, results, strict=True):
            place, to_host = self._buffers[spec.name][0], kind.cudaMemcpyDeviceToHost
            _check(
                runtime.cudaMemcpyAsync(host.ctypes.data, place, host.nbytes, to_host, self._stream)
            )
        _check(runtime.cudaStreamSynchronize(self._stream))
        return results

    def placement(self) -> Placement:
        return Placement(
            wanted="GPU",
            nodes={"GPU": int(self._engine.num_layers)},
            proof="the layers of the TensorRT engine, which runs nowhere else",
        )

    def metadata(self) -> dict[str, str]:
        return {}

    def _set_shape(self, name: str, host: npt.NDArray[Any]) -> None:
        spec = next((spec for spec in self.inputs if spec.name == name), None)
        if spec is None or spec.dtype != host.dtype.name:
            raise InputError(
                f"the engine has no input {name!r} of the type {host.dtype}",
                allowed=", ".join(f"{each.name}: {each.dtype}" for each in self.inputs),
            )
        if not self._context.set_input_shape(name, host.shape):
            raise InputError(
                f"the engine was not built for the shape {host.shape} of its input {name!r}",
                where="backend tensorrt", todo="Raise max_batch, or give its shapes",
            )  # fmt: skip

    def _buffer(self, name: str, size: int) -> int:
        """Device memory of at least ``size`` bytes, bound to a tensor."""
        place, held = self._buffers.get(name, (0, 0))
        if held < size:
            if place:
                _check(self._runtime.cudaFree(place))
            place = _check(self._runtime.cudaMalloc(size))
            self._buffers[name] = (place, size)
            self._context.set_tensor_address(name, place)
        return place

    def _spec(self, name: str) -> TensorSpec:
        dtype = np.dtype(self._trt.nptype(self._engine.get_tensor_dtype(name))).name
        shape = tuple(None if s < 0 else int(s) for s in self._engine.get_tensor_shape(name))
        return TensorSpec(name, dtype, shape)


def _build(trt: Any, logger: Any, model: Path, options: Options) -> Any:
    builder = trt.Builder(logger)
    flags = getattr(trt, "NetworkDefinitionCreationFlag", None)
    strongly = getattr(flags, "STRONGLY_TYPED", None)  # the only kind there is from version 11 on
    network = builder.create_network(1 << int(strongly) if strongly is not None else 0)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(model)):
        said = "; ".join(str(parser.get_error(k)) for k in range(parser.num_errors))
        raise InputError(f"TensorRT cannot read the model ({said[:200]})", where=str(model))
    config = builder.create_builder_config()
    if not options.tf32:
        config.clear_flag(trt.BuilderFlag.TF32)
    profile = builder.create_optimization_profile()
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        smallest, usual, largest = batch_shapes(tensor.name, tuple(tensor.shape), options)
        profile.set_shape(tensor.name, smallest, usual, largest)
    config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise InputError("TensorRT cannot build an engine from the model", where=str(model))
    return plan


def batch_shapes(
    name: str, shape: tuple[int, ...], options: Options
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Smallest, usual and largest shape of an input; −1 stands for an open dimension.

    Raises:
        InputError: a dimension beside the batch is open, and the options do not give it.
    """
    rest = tuple(options.shapes.get(name, shape[1:]))
    if any(size < 0 for size in rest):
        raise InputError(
            f"the model leaves the shape of its input {name!r} open: {shape}",
            where="backend tensorrt",
            todo=f"Give it: shapes: {{{name}: [3, 224, 224]}}, without the batch",
        )
    if not shape or shape[0] >= 0:
        return shape, shape, shape
    return (1, *rest), (options.max_batch, *rest), (options.max_batch, *rest)


def _cuda_runtime() -> Any:
    try:
        from cuda.bindings import runtime
    except ModuleNotFoundError:  # before version 12.6 of cuda-python
        from cuda import cudart as runtime
    return runtime


def _check(result: Any) -> Any:
    """The value of a CUDA call; the first of what it returns is its error code."""
    code, *values = result if isinstance(result, tuple) else (result,)
    if int(code):
        raise RuntimeError(f"CUDA call failed: {code}")
    return values[0] if values else None
