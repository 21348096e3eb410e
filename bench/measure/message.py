"""Tensors as one message, as a network carries them: what a request or an answer weighs.

A message is a line with the type and shape of each tensor, and then the tensors end to end. Strings
are UTF-8, each behind its length in four bytes (as in the binary form of the Open Inference Protocol).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

TEXT = "object"
"""NumPy's name for the type of an array of strings."""
_LENGTH = 4

Array = npt.NDArray[Any]


def pack(arrays: Iterable[Array]) -> bytes:
    """The message of ``arrays`` of any shapes; a NumPy scalar is an array without dimensions."""
    heads, bodies = [], list[bytes | memoryview]()
    for array in map(np.asarray, arrays):
        name = TEXT if is_text(array) else array.dtype.name
        heads.append(" ".join([name, *map(str, array.shape)]))
        bodies.append(_text_bytes(array) if name == TEXT else np.ascontiguousarray(array).data)
    return b"".join([";".join(heads).encode(), b"\n", *bodies])


def unpack(message: bytes) -> list[Array]:
    """The arrays of a message, as views that cannot be written."""
    end = message.index(b"\n")
    place, arrays = end + 1, []
    for head in message[:end].decode().split(";") if end else ():
        name, *sizes = head.split(" ")
        shape = tuple(map(int, sizes))
        count = math.prod(shape)
        if name == TEXT:
            flat, place = _texts(message, place, count)
        else:
            dtype = np.dtype(name)
            flat = np.frombuffer(message, dtype, count, place)
            place += count * dtype.itemsize
        arrays.append(flat.reshape(shape))
    return arrays


def weight(message: bytes) -> int:
    """Bytes of the tensors alone: every protocol writes types and shapes in its own way."""
    return len(message) - message.index(b"\n") - 1


def is_text(array: Array) -> bool:
    """Whether the array holds strings."""
    return array.dtype.kind in "OSUT"


def as_text(array: Array) -> npt.NDArray[np.str_]:
    """The strings of an array, whether a runtime gives them as ``str`` or as bytes."""
    words = [_word(item) for item in array.ravel().tolist()]
    return np.array(words, dtype=np.str_).reshape(array.shape)


def _word(item: object) -> str:
    return item.decode(errors="replace") if isinstance(item, bytes) else str(item)


def _text_bytes(array: Array) -> bytes:
    words = [_word(item).encode() for item in array.ravel().tolist()]
    return b"".join(len(word).to_bytes(_LENGTH, "little") + word for word in words)


def _texts(message: bytes, place: int, count: int) -> tuple[Array, int]:
    words: list[str] = []
    for _ in range(count):
        start = place + _LENGTH
        place = start + int.from_bytes(message[place:start], "little")
        words.append(message[start:place].decode())
    flat = np.empty(count, dtype=object)
    flat[:] = words
    return flat, place


def array_bytes(arrays: Sequence[Array]) -> int:
    """What arrays would weigh as a message."""
    return sum(len(_text_bytes(a)) if is_text(a) else a.nbytes for a in arrays)
