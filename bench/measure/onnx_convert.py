"""ONNX files in another precision, made once and kept in the cache."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.errors import InputError, MissingRequirement
from bench.folders import cache_folder
from bench.measure.backends import Calibration, Feeds
from bench.measure.backends._onnx_file import check_weights
from bench.measure.models import sha256_of

RECIPES_VERSION = 2
"""Part of the cache's key: raise it whenever a recipe below changes what it makes."""
QUANTISED = {
    # Convolutions have no fast dynamic kernel on most CPUs, and would be slower than fp32.
    "int8-dynamic": ["MatMul", "Gemm"],
    "int8-static": ["Conv", "MatMul", "Gemm"],
}
PER_CHANNEL_OPSET = 13
"""From this operator set on DequantizeLinear has an axis."""


def converted(model: Path, precision: str, calibration: Calibration) -> Path:
    """The file to load in place of ``model``.

    ``int8-static`` measures the range of every activation on real inputs (quantise–dequantise
    format, one scale per channel of the weights); ``int8-dynamic`` measures it in every call;
    ``fp16`` keeps inputs and outputs in fp32.

    Raises:
        MissingRequirement: the package ``onnx`` is not there.
        InputError: the model cannot be converted.
    """
    if precision == "fp32":
        return model
    if importlib.util.find_spec("onnx") is None:
        raise MissingRequirement(
            f"The precision {precision!r} needs the Python package 'onnx' to convert the model. "
            'Install it with: pip install "inference-testbed[models]".'
        )
    check_weights(model)
    feeds = list(calibration()) if precision == "int8-static" else []
    target = _target(model, precision, feeds)
    if not target.is_file():
        _make(model, target, precision, feeds)
    return target


def _target(model: Path, precision: str, feeds: Sequence[Feeds]) -> Path:
    import onnxruntime as ort

    files = " ".join(sha256_of(file) for file in _files(model))
    recipe = f"{precision} {RECIPES_VERSION} {ort.__version__}"
    key = hashlib.sha256(f"{files} {recipe}".encode())
    for feed in feeds:
        for name, array in sorted(feed.items()):
            key.update(name.encode() + array.tobytes())
    return cache_folder() / "converted" / f"{model.stem}-{precision}-{key.hexdigest()[:16]}.onnx"


def _files(model: Path) -> list[Path]:
    """The model's file, and those that it keeps weights in."""
    import onnx

    tensors = onnx.load(str(model), load_external_data=False).graph.initializer
    entries = [entry for tensor in tensors for entry in tensor.external_data]
    beside = sorted({entry.value for entry in entries if entry.key == "location"})
    return [model, *(model.parent / name for name in beside)]


def _make(model: Path, target: Path, precision: str, feeds: Sequence[Feeds]) -> None:
    recipes: dict[str, Callable[[Path, Path, Sequence[Feeds]], None]] = {
        "fp16": _to_fp16, "int8-dynamic": _to_int8_dynamic, "int8-static": _to_int8_static,
    }  # fmt: skip
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        made = Path(folder) / "model.onnx"
        try:
            recipes[precision](model, made, feeds)
        except Exception as error:  # the tools raise whatever they meet
            raise InputError(
                f"the model cannot be converted to {precision} "
                f"({type(error).__name__}: {' '.join(str(error).split())[:200]})",
                where=str(model),
            ) from error
        if precision.startswith("int8") and not _is_quantised(made):
            raise InputError(
                f"{precision} would change nothing: the model has no operation that it is for",
                where=str(model), allowed=f"models with {', '.join(QUANTISED[precision])}",
            )  # fmt: skip
        os.replace(made, target)


def _is_quantised(model: Path) -> bool:
    import onnx

    kinds = {node.op_type for node in onnx.load(str(model)).graph.node}
    return bool(kinds & {"QuantizeLinear", "DynamicQuantizeLinear"})


def _to_fp16(model: Path, target: Path, feeds: Sequence[Feeds]) -> None:
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    loaded = onnx.load(str(model))
    onnx.save(convert_float_to_float16(loaded, keep_io_types=True), str(target))


def _to_int8_dynamic(model: Path, target: Path, feeds: Sequence[Feeds]) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    prepared = _prepare(model, target)
    quantize_dynamic(
        str(prepared),
        str(target),
        weight_type=QuantType.QInt8,
        op_types_to_quantize=QUANTISED["int8-dynamic"],
    )


def _to_int8_static(model: Path, target: Path, feeds: Sequence[Feeds]) -> None:
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    prepared = _prepare(model, target)
    quantize_static(
        str(prepared),
        str(target),
        _reader(feeds),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=QUANTISED["int8-static"],
    )


def _prepare(model: Path, target: Path) -> Path:
    """Shapes inferred, the graph simplified, and an operator set with scales per channel."""
    import onnx
    from onnx import version_converter
    from onnxruntime.quantization.shape_inference import quant_pre_process

    loaded = onnx.load(str(model))
    opset = next(entry.version for entry in loaded.opset_import if entry.domain in ("", "ai.onnx"))
    if opset < PER_CHANNEL_OPSET:
        model = target.with_name("newer.onnx")
        onnx.save(version_converter.convert_version(loaded, PER_CHANNEL_OPSET), str(model))
    prepared = target.with_name("prepared.onnx")
    quant_pre_process(str(model), str(prepared), skip_symbolic_shape=True)
    return prepared


def _reader(feeds: Sequence[Feeds]) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._left = iter(feeds)

        def get_next(self) -> dict[str, Any] | None:
            feed = next(self._left, None)
            return None if feed is None else dict(feed)

    return Reader()
