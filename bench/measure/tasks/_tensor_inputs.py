"""What a model of plain tensors is fed with: what it asks for, and arrays that are read or drawn."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from bench.errors import InputError, UnknownName, shorten
from bench.files import require_file
from bench.measure.backends import TensorSpec
from bench.measure.message import TEXT, is_text

Array = npt.NDArray[Any]
Dtype = Literal[
    "float16", "float32", "float64", "int8", "int16", "int32", "int64",
    "uint8", "uint16", "uint32", "uint64", "bool",
]  # fmt: skip
DRAWN_TYPE = "float32"
INTEGERS_BELOW = 100
"""Token numbers, counts and classes below it exist in nearly every model."""
MOST_BYTES = 1 << 30
"""Of all requests together, as they lie in memory ready to be served."""
_DAMAGED = (
    OSError, EOFError, KeyError, MemoryError, NotImplementedError, SyntaxError, zipfile.BadZipFile,
    zlib.error,
)  # fmt: skip
"""What NumPy and zipfile raise of a file that is cut, changed, or no .npz at all."""
CUSTOMARY = {"attention_mask": (1, 1), "token_type_ids": (0, 1)}
"""Lowest and highest number of inputs that exported transformers give these names."""
UNBATCHED = (
    "Set batched: false, so that one request is one call with every dimension of the model, or "
    "export the model with the batch as a free first dimension of all inputs and outputs"
)


class InputOptions(Protocol):
    """The options that inputs are made by; see :class:`bench.measure.tasks.tensors.Options`."""

    @property
    def shape(self) -> Mapping[str, Sequence[int]]: ...
    @property
    def types(self) -> Mapping[str, str]: ...
    @property
    def range(self) -> Mapping[str, tuple[float, float]]: ...
    @property
    def integers_below(self) -> int | None: ...
    @property
    def seed(self) -> int: ...
    @property
    def batched(self) -> bool: ...


@dataclass(frozen=True)
class Wanted:
    """One input, as it is in one request."""

    name: str
    dtype: str
    """``unknown``: any, where neither the model nor the options say it."""
    shape: tuple[int | None, ...] | None
    """Without the batch; ``None`` where the model says nothing of it."""
    shared: bool = False
    """It has no dimension for a batch (a threshold, a rate): all requests of a batch share it."""


def wanted_inputs(specs: Sequence[TensorSpec], asked: InputOptions, where: str) -> list[Wanted]:
    """What one request must hold.

    Raises:
        InputError: an option contradicts the model, or its inputs have no batch to grow.
    """
    if not specs:
        raise InputError(
            "the model has no input, so that there is nothing to ask it", where=where,
            todo="Export it with its input as an argument, and not as a constant",
        )  # fmt: skip
    names = [spec.name for spec in specs]
    for option in ("shape", "types", "range"):
        for name in getattr(asked, option):
            if name not in names:
                raise UnknownName("input of the model", name, names, where=f"task.{option}")
    if asked.batched:
        _require_batch(specs, asked, where)
    return [_wanted(spec, asked) for spec in specs]


def _says_shape(spec: TensorSpec) -> bool:
    return spec.dtype != "unknown"


def _require_batch(specs: Sequence[TensorSpec], asked: InputOptions, where: str) -> None:
    """The first dimension of every input is a batch of any size, or of one."""
    for spec in specs:
        first = spec.shape[0] if spec.shape else None
        if first is not None and first != 1:
            raise InputError(
                f"the first dimension of the input {spec.name!r} is {first} and fixed, so that it "
                f"is no batch that may be of any size: {_shown(spec.shape)}",
                where=where, todo=UNBATCHED,
            )  # fmt: skip
    if all(_says_shape(spec) and not spec.shape and spec.name not in asked.shape for spec in specs):
        raise InputError(
            "no input of the model has a dimension for the batch", where=where, todo=UNBATCHED
        )


def _wanted(spec: TensorSpec, asked: InputOptions) -> Wanted:
    dtype = asked.types.get(spec.name, spec.dtype)
    if _says_shape(spec) and dtype != spec.dtype:
        raise InputError(
            f"the input {spec.name!r} of the model is {spec.dtype} and not {dtype}",
            where="task.types",
        )
    given = asked.shape.get(spec.name)
    if not _says_shape(spec):
        return Wanted(spec.name, dtype, None if given is None else tuple(given))
    own = spec.shape[1:] if asked.batched else spec.shape
    if given is None:
        return Wanted(spec.name, dtype, own, shared=asked.batched and not spec.shape)
    if spec.shape and not _fits(given, own):
        with_batch = asked.batched and _fits(given, spec.shape)
        raise InputError(
            f"{list(given)} is not the shape of the input {spec.name!r}", where="task.shape",
            allowed=_shown(own) + (", where … is any size" if None in own else ""),
            todo="Leave the batch out" if with_batch else None,
        )  # fmt: skip
    return Wanted(spec.name, dtype, tuple(given))


def _fits(shape: Sequence[int], wanted: Sequence[int | None]) -> bool:
    return len(shape) == len(wanted) and all(
        size in (None, found) for found, size in zip(shape, wanted, strict=True)
    )


def _shown(shape: Sequence[int | None]) -> str:
    return "[" + ", ".join("…" if size is None else str(size) for size in shape) + "]"


def read_request(path: Path, wanted: Sequence[Wanted], asked: InputOptions) -> list[Array]:
    """The arrays of an ``.npz`` file, in the order of the model's inputs.

    Raises:
        InputError: the file cannot be read, or an array is missing or does not fit.
    """
    arrays = _read_npz(path)
    for one in wanted:
        if one.name not in arrays:
            raise InputError(
                f"an input file has no array {one.name!r}", where=str(path),
                allowed=f"arrays named {', '.join(w.name for w in wanted)}",
            )  # fmt: skip
    return [_checked(one, arrays[one.name], asked, path) for one in wanted]


def _read_npz(path: Path) -> dict[str, Array]:
    try:
        require_file(path, MOST_BYTES)
        with path.open("rb") as file:
            with zipfile.ZipFile(file) as archive:
                unpacked = sum(entry.file_size for entry in archive.infolist())
            if unpacked > MOST_BYTES:
                raise InputError(
                    f"the file unpacks to {unpacked} bytes", where=str(path),
                    allowed=f"{MOST_BYTES} bytes for one request",
                )  # fmt: skip
            file.seek(0)
            kept = np.load(file, allow_pickle=False)
            return {name: kept[name] for name in kept.files}
    except ValueError as error:
        if "pickle" in str(error).lower():
            raise InputError(
                "this holds Python objects (a pickle), which are never read", where=str(path),
                todo="Save plain arrays of numbers, or of strings with astype(str)",
            ) from error  # fmt: skip
        raise _unreadable(path, error) from error
    except _DAMAGED as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> InputError:
    said = shorten(" ".join(str(error).split()) or type(error).__name__, 150)
    return InputError(
        f"this is no .npz file, or only a part of one ({said})", where=str(path),
        todo="Write it anew with numpy.savez",
    )  # fmt: skip


def _checked(one: Wanted, array: Array, asked: InputOptions, path: Path) -> Array:
    dtype = TEXT if is_text(array) else array.dtype.name
    known = one.shape is None or _fits(array.shape, one.shape)
    if known and one.dtype in (dtype, "unknown"):
        return array.astype(array.dtype.newbyteorder("="), copy=False)
    wanted = "strings" if one.dtype == TEXT else one.dtype.replace("unknown", "numbers")
    batch = ", without the batch" if asked.batched else ""
    raise InputError(
        f"the array {one.name!r} is {array.dtype} of shape {array.shape}", where=str(path),
        allowed=f"{wanted} of shape {_shown(one.shape or ())}{batch}",
        todo=f'Save it with .astype("{wanted}")' if known and wanted == one.dtype else None,
    )  # fmt: skip


def draw_request(wanted: Sequence[Wanted], asked: InputOptions, number: int) -> list[Array]:
    """Request ``number``, drawn: standard normal or in a range, in the type of the model.

    Raises:
        InputError: a shape is open, or the type cannot be drawn.
    """
    own = np.random.default_rng([asked.seed, number])
    shared = np.random.default_rng([asked.seed])
    return [_draw(one, asked, shared if one.shared else own) for one in wanted]


def _draw(one: Wanted, asked: InputOptions, rng: np.random.Generator) -> Array:
    if one.shape is None or None in one.shape:
        raise InputError(
            f"the model leaves the shape of its input {one.name!r} open: "
            f"{_shown(one.shape) if one.shape else 'it says nothing of it'}",
            where="task",
            todo=f"Give it, {'without the batch' if asked.batched else 'with every dimension'}: "
            f"shape: {{{one.name}: [{'' if asked.batched else '1, '}3, 224, 224]}}",
        )
    if one.dtype == TEXT:
        raise InputError(
            f"the input {one.name!r} takes strings, which cannot be drawn", where="task",
            todo="Give your own: inputs: FOLDER, with one .npz file per request",
        )  # fmt: skip
    sizes = [int(size) for size in one.shape if size is not None]
    dtype = np.dtype(DRAWN_TYPE if one.dtype == "unknown" else one.dtype)
    if dtype.kind == "f":
        if one.name in asked.range:
            return np.asarray(rng.uniform(*asked.range[one.name], sizes)).astype(dtype)
        return np.asarray(rng.standard_normal(sizes)).astype(dtype)
    low, high = _integers(one, asked, dtype)
    return np.asarray(rng.integers(low, high, sizes, np.int64, endpoint=True)).astype(dtype)


def _integers(one: Wanted, asked: InputOptions, dtype: np.dtype[Any]) -> tuple[int, int]:
    """Lowest and highest number: as asked, as is customary, or as the type suggests."""
    least, most = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    if one.name in asked.range:
        low, high = asked.range[one.name]
        if low != int(low) or high != int(high) or low < least or high > min(most, 2**63 - 1):
            raise InputError(
                f"the input {one.name!r} is {one.dtype}, which {low:g} to {high:g} does not fit",
                where="task.range", allowed=f"whole numbers from {least} to {most}",
            )  # fmt: skip
        return int(low), int(high)
    if asked.integers_below is None and one.name in CUSTOMARY:
        return CUSTOMARY[one.name]
    if asked.integers_below is None and dtype.itemsize == 1:  # pixels, and quantised numbers
        return int(least), int(most)
    return 0, min(int(most), (asked.integers_below or INTEGERS_BELOW) - 1)
