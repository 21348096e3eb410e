"""ONNX files in another precision, made once and kept in the cache."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.errors import InputError, MissingRequirement
from bench.folders import cache_folder
from bench.measure.backends import Calibration, Feeds
from bench.measure.backends._onnx_file import check_weights
from bench.measure.models import sha256_of
from bench.measure.side_files import load_graph, side_files

RECIPES_VERSION = 4
"""Part of the cache's key: raise it whenever a recipe below changes what it makes."""
QUANTISED = {
    # Convolutions have no fast dynamic kernel on most CPUs, and would be slower than fp32.
    "int8-dynamic": ["MatMul", "Gemm"],
    "int8-static": ["Conv", "MatMul", "Gemm"],
}
PER_CHANNEL_OPSET = 13
"""From this operator set on DequantizeLinear has an axis."""
LARGEST_INLINE_BYTES = 2**31 - 2**20
"""A protobuf message holds less than 2 GiB; the weights of a larger model lie beside it."""


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

    files = " ".join(sha256_of(file) for file in [model, *side_files(model).values()])
    recipe = f"{precision} {RECIPES_VERSION} {ort.__version__} {_needs_seven_bits()}"
    key = hashlib.sha256(f"{files} {recipe}".encode())
    for feed in feeds:
        for name, array in sorted(feed.items()):
            key.update(name.encode() + array.tobytes())
    name = f"{model.stem}-{precision}-{key.hexdigest()[:16]}"
    return cache_folder() / "converted" / name / f"{model.stem}.onnx"


def _make(model: Path, target: Path, precision: str, feeds: Sequence[Feeds]) -> None:
    recipes: dict[str, Callable[[Path, Path, Sequence[Feeds]], None]] = {
        "fp16": _to_fp16, "int8-dynamic": _to_int8_dynamic, "int8-static": _to_int8_static,
    }  # fmt: skip
    target.parent.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent.parent) as scratch:
        folder = Path(scratch) / "made"
        folder.mkdir()
        made = folder / target.name
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
        with suppress(OSError):  # another process was as far as that
            os.replace(folder, target.parent)
    if not target.is_file():
        raise InputError("the converted model cannot be kept", where=str(target.parent))


def _is_quantised(model: Path) -> bool:
    kinds = {node.op_type for node in load_graph(model).graph.node}
    return bool(kinds & {"QuantizeLinear", "DynamicQuantizeLinear"})


def _to_fp16(model: Path, target: Path, feeds: Sequence[Feeds]) -> None:
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    large = _is_large(model)
    halved = convert_float_to_float16(
        onnx.load(str(model)), keep_io_types=True, disable_shape_infer=large
    )
    _save(halved, target, large)


def _to_int8_dynamic(model: Path, target: Path, feeds: Sequence[Feeds]) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    prepared = _prepare(model, target.parent.parent)
    quantize_dynamic(
        str(prepared),
        str(target),
        weight_type=QuantType.QInt8,
        op_types_to_quantize=QUANTISED["int8-dynamic"],
        reduce_range=_needs_seven_bits(),
        use_external_data_format=_is_large(model),
    )


def _to_int8_static(model: Path, target: Path, feeds: Sequence[Feeds]) -> None:
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    prepared = _prepare(model, target.parent.parent)
    quantize_static(
        str(prepared),
        str(target),
        _reader(feeds),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=QUANTISED["int8-static"],
        reduce_range=_needs_seven_bits(),
        use_external_data_format=_is_large(model),
    )


def _needs_seven_bits() -> bool:
    """Whether this processor sums pairs of 8-bit products in 16 bits, which overflow.

    x86 before VNNI does, and weights of seven bits keep it from it:
    https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html ("reduce_range").
    """
    try:
        flags = set(Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split())
    except OSError:  # not Linux: taken as a processor of today
        return False
    return "avx2" in flags and not flags & {"avx512_vnni", "avx_vnni", "avxvnni"}


def _prepare(model: Path, scratch: Path) -> Path:
    """Shapes inferred, the graph simplified, and an operator set with scales per channel.

    The steps leave weights that lie beside the model behind, so that they are taken in first.
    """
    import onnx
    from onnx import version_converter
    from onnxruntime.quantization.shape_inference import quant_pre_process

    loaded, large = onnx.load(str(model)), _is_large(model)
    opset = next(entry.version for entry in loaded.opset_import if entry.domain in ("", "ai.onnx"))
    if opset < PER_CHANNEL_OPSET:
        loaded = version_converter.convert_version(loaded, PER_CHANNEL_OPSET)
    whole, prepared = scratch / "whole.onnx", scratch / "prepared.onnx"
    _save(loaded, whole, large)
    quant_pre_process(
        str(whole),
        str(prepared),
        skip_symbolic_shape=True,
        save_as_external_data=large,
        all_tensors_to_one_file=large,
        external_data_location="prepared.data" if large else None,
    )
    return prepared


def _is_large(model: Path) -> bool:
    files = [model, *side_files(model).values()]
    return sum(file.stat().st_size for file in files) > LARGEST_INLINE_BYTES


def _save(model: Any, path: Path, large: bool) -> None:
    import onnx

    if large:
        onnx.save(model, str(path), save_as_external_data=True, location=f"{path.stem}.data")
    else:
        onnx.save(model, str(path))


def _reader(feeds: Sequence[Feeds]) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._left = iter(feeds)

        def get_next(self) -> dict[str, Any] | None:
            feed = next(self._left, None)
            return None if feed is None else dict(feed)

    return Reader()
