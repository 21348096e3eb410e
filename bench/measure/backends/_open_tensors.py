"""Tensors as the Open Inference Protocol v2 writes them: JSON, or bytes behind it.

BF16 has no type in NumPy: it is float32 here, rounded to the nearest BF16 on the way (ties to
even, as IEEE 754 has it). BYTES are texts, arrays of type ``object`` as ONNX Runtime takes and
gives them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.errors import InputError

DTYPES = {
    "BOOL": "bool", "UINT8": "uint8", "UINT16": "uint16", "UINT32": "uint32", "UINT64": "uint64",
    "INT8": "int8", "INT16": "int16", "INT32": "int32", "INT64": "int64",
    "FP16": "float16", "BF16": "float32", "FP32": "float32", "FP64": "float64", "BYTES": "object",
}  # fmt: skip
NAMES = tuple(DTYPES)
BY_NUMPY = {numpy: name for name, numpy in DTYPES.items() if name != "BF16"}
_LENGTH_BYTES = 4

Array = npt.NDArray[Any]


def datatype_of(name: str, array: Array, declared: str | None) -> str:
    """How an input is written; ``declared`` is what the model takes, where that is known.

    Raises:
        InputError: the protocol has no such type.
    """
    if declared == "BF16" and array.dtype.kind == "f":
        return declared
    if array.dtype.kind in "OSU":
        return "BYTES"
    if array.dtype.name not in BY_NUMPY:
        raise InputError(
            f"the protocol has no type for {array.dtype}",
            where=f"input {name!r}", allowed=", ".join(BY_NUMPY),
        )  # fmt: skip
    return BY_NUMPY[array.dtype.name]


def to_json(array: Array, datatype: str) -> list[Any]:
    """The flat data of a tensor."""
    if datatype == "BYTES":
        return [_text(item) for item in array.ravel()]
    if datatype == "BF16":
        array = _from_bf16(_to_bf16(array))
    flat: list[Any] = array.ravel().tolist()
    return flat


def to_bytes(array: Array, datatype: str) -> bytes:
    """The tensor as Triton's extension has it: little-endian, texts behind their lengths."""
    if datatype == "BYTES":
        texts = [_text(item).encode() for item in array.ravel()]
        return b"".join(len(text).to_bytes(_LENGTH_BYTES, "little") + text for text in texts)
    if datatype == "BF16":
        array = _to_bf16(array)
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()


def outputs(document: Any, tail: bytes) -> dict[str, Array]:
    """The tensors of an answer by name.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: the answer is not what it should be.
    """
    found, place = {}, 0
    for entry in document["outputs"]:
        datatype = entry["datatype"]
        if datatype not in DTYPES:
            raise ValueError(f"the output {entry['name']!r} has the datatype {datatype}")
        size = (entry.get("parameters") or {}).get("binary_data_size")
        if size is None:
            flat = np.array(entry["data"], dtype=DTYPES[datatype]).ravel()
        else:
            flat = _from_bytes(tail[place : place + size], datatype)
            place += size
        if flat.size != math.prod(entry["shape"]):
            raise ValueError(f"{flat.size} values for the shape {entry['shape']}")
        found[entry["name"]] = flat.reshape(entry["shape"])
    return found


def _from_bytes(content: bytes, datatype: str) -> Array:
    if datatype == "BYTES":
        texts, place = [], 0
        while place < len(content):
            begin = place + _LENGTH_BYTES
            place = begin + int.from_bytes(content[place:begin], "little")
            texts.append(content[begin:place].decode(errors="replace"))
        return np.array(texts, dtype=object)
    if datatype == "BF16":
        return _from_bf16(np.frombuffer(content, "<u2"))
    return np.frombuffer(content, np.dtype(DTYPES[datatype]).newbyteorder("<"))


def _to_bf16(array: Array) -> npt.NDArray[np.uint16]:
    """The upper halves of float32 numbers, rounded; what is no number stays none."""
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
    rounded = (bits.astype(np.uint64) + 0x7FFF + ((bits >> 16) & 1)) >> 16
    kept = np.where(np.isnan(array), (bits >> 16) | 0x40, rounded)
    return kept.astype(np.uint16).reshape(array.shape)


def _from_bf16(halves: npt.NDArray[np.uint16]) -> npt.NDArray[np.float32]:
    return (halves.astype(np.uint32) << 16).view(np.float32)


def _text(item: Any) -> str:
    return item.decode(errors="replace") if isinstance(item, bytes) else str(item)
