"""What the OpenVINO backends share: one compiled model, asked synchronously."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from bench.errors import InputError
from bench.measure.backends import BackendOptions, Calibration, Feeds, Placement, TensorSpec
from bench.measure.backends._onnx_file import check_weights
from bench.measure.backends._signature import distinct, no_tensor, refused
from bench.measure.models import FORMATS
from bench.measure.onnx_convert import converted

_DTYPES = {
    "f16": "float16", "f32": "float32", "f64": "float64", "boolean": "bool", "char": "bool",
    "i8": "int8", "i16": "int16", "i32": "int32", "i64": "int64",
    "u8": "uint8", "u16": "uint16", "u32": "uint32", "u64": "uint64",
}  # fmt: skip
HINTS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16", "int8-static": "f32"}


class Options(BackendOptions):
    """Precision of the inference; OpenVINO left alone would pick bf16 where the CPU has it.

    A model with open dimensions is compiled once (``dynamic``), or once more for every shape it
    meets (``static``): faster to run, and slower the first time.
    """

    precision: Literal["fp32", "bf16", "fp16", "int8-static"] = "fp32"  # type: ignore[assignment]
    shapes: Literal["dynamic", "static"] = "dynamic"


def device_missing(device: str) -> str | None:
    """Why an OpenVINO device cannot be used here, or ``None``."""
    if importlib.util.find_spec("openvino") is None:
        return 'the package openvino; install it with: pip install "inference-testbed[openvino]"'
    import openvino

    found = openvino.Core().available_devices
    if any(name.partition(".")[0] == device for name in found):
        return None
    return f"an OpenVINO device {device} with its driver; there is {', '.join(found) or 'none'}"


def convert(model: Path, options: Options, calibration: Calibration) -> Path:
    if options.precision != "int8-static":
        return model
    if FORMATS[model.suffix.lower()] != "onnx":
        raise InputError(
            "only an ONNX file can be converted to int8-static", where=str(model),
            todo="Use a model file that is int8 already, with precision: fp32",
        )  # fmt: skip
    return converted(model, options.precision, calibration)


class OpenVinoSession:
    """A compiled model with one infer request: latency hint, one stream.

    Raises:
        InputError: the file is not a model OpenVINO reads or compiles.
    """

    def __init__(self, model: Path, options: Options, threads: int, device: str) -> None:
        import openvino

        if FORMATS[model.suffix.lower()] == "onnx":
            check_weights(model)  # OpenVINO would try every reader it has, and log each attempt
        elif not model.is_file() or model.stat().st_size == 0:
            raise InputError("there is no such model file, or it is empty", where=str(model))
        self._settings: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": HINTS[options.precision],
        }
        if device == "CPU":
            self._settings |= {"NUM_STREAMS": "1", "INFERENCE_NUM_THREADS": threads}
        self._path, self._device = model, device
        try:
            self._core = openvino.Core()
            self._model = self._core.read_model(str(model))
        except RuntimeError as error:
            raise self._refused(error) from error
        self._compiled = self._compile()
        _check_precision(self._compiled, options, device)
        self.inputs = _specs(self._model.inputs, "input", model)
        self.outputs = _specs(self._model.outputs, "output", model)
        self._place = {spec.name: place for place, spec in enumerate(self.inputs)}
        self._static = options.shapes == "static"
        self._requests: dict[tuple[Any, ...], Any] = {}

    def run(self, feeds: Feeds) -> Sequence[npt.NDArray[Any]]:
        if unknown := sorted(set(feeds) - set(self._place)):
            raise InputError(
                f"the model has no input {unknown[0]!r}", where=str(self._path),
                allowed=", ".join(self._place),
            )  # fmt: skip
        request = self._request(feeds)
        by_place = {self._place[name]: array for name, array in feeds.items()}
        try:
            results = request.infer(by_place, share_inputs=True, share_outputs=True)
        except (RuntimeError, ValueError, TypeError) as error:
            said = " ".join(str(error).split())[-200:]
            raise refused("OpenVINO", self._path, feeds, said) from error
        # The request's own buffers are written again by the next call.
        return [np.array(output) for output in results.values()]

    def _request(self, feeds: Feeds) -> Any:
        """The infer request for tensors of these shapes."""
        met = tuple((name, array.shape) for name, array in feeds.items()) if self._static else ()
        if met not in self._requests:
            if self._static:
                self._compiled = self._compile({self._place[name]: shape for name, shape in met})
            self._requests[met] = self._compiled.create_infer_request()
        return self._requests[met]

    def _compile(self, shapes: dict[int, tuple[int, ...]] | None = None) -> Any:
        """The compiled model; with ``shapes``, for these alone, by the place of the input."""
        try:
            model = self._model
            if shapes is not None:
                model = model.clone()
                model.reshape({place: list(shape) for place, shape in shapes.items()})
            return self._core.compile_model(model, self._device, self._settings)
        except RuntimeError as error:
            raise self._refused(error) from error

    def _refused(self, error: RuntimeError) -> InputError:
        said = " ".join(str(error).split())[-200:]
        return InputError(f"OpenVINO cannot load the model ({said})", where=str(self._path))

    def placement(self) -> Placement:
        ran_on = [str(name) for name in self._compiled.get_property("EXECUTION_DEVICES")]
        others = [name for name in ran_on if name.partition(".")[0] != self._device]
        return Placement(
            wanted=self._device,
            nodes={"+".join(ran_on): len(self._compiled.get_runtime_model().get_ops())},
            elsewhere=[f"the model on {name}" for name in others],
            proof="OpenVINO's execution devices and runtime graph",
        )

    def metadata(self) -> dict[str, str]:
        return _metadata(self._model)


def _check_precision(compiled: Any, options: Options, device: str) -> None:
    """OpenVINO takes a precision as a hint, and falls back to another one without a word.

    A CPU without fp16 instructions runs ``f16`` as ``bf16``.
    """
    given = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
    if given != HINTS[options.precision]:
        raise InputError(
            f"this {device} does not compute in {options.precision}: OpenVINO would use {given}",
            where="precision", allowed="fp32, or what the device computes in",
        )  # fmt: skip


def _metadata(model: Any) -> dict[str, str]:
    """What the ONNX file said of itself; OpenVINO keeps it as run-time information."""
    kept = dict(model.rt_info).get("framework", {})
    return {str(key): str(model.get_rt_info(["framework", key]).astype(str)) for key in kept}


def _specs(ports: Sequence[Any], role: str, model: Path) -> list[TensorSpec]:
    names = distinct([min(port.get_names(), default="") for port in ports], role)
    return [_spec(port, name, role, model) for port, name in zip(ports, names, strict=True)]


def _spec(port: Any, name: str, role: str, model: Path) -> TensorSpec:
    kind = port.element_type.get_type_name()
    if kind == "string":  # a second call with strings ends the process
        raise InputError(
            f"the {role} {name!r} holds strings, with which OpenVINO's Python interface crashes",
            where=str(model), todo="Measure this model with onnxruntime-cpu",
        )  # fmt: skip
    if kind not in _DTYPES:  # asked for NumPy's type of bf16, OpenVINO says float16
        raise no_tensor(role, name, kind, model)
    sizes = port.partial_shape
    if sizes.rank.is_dynamic:
        return TensorSpec(name, "unknown", ())
    shape = tuple(None if size.is_dynamic else size.get_length() for size in sizes)
    return TensorSpec(name, _DTYPES[kind], shape)
