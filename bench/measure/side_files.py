"""Files that belong to a model beside its own: the weights that ONNX and OpenVINO IR keep apart.

A model names them, and it may be anybody's, so that only what lies with the model is taken. Caches
made of links (as the Hugging Face hub's: a link of the right name to a blob named by its hash) are
followed: beside the model is beside its link, or beside what the link leads to.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from bench.errors import InputError, shorten


def side_files(model: Path) -> dict[str, Path]:
    """Where each of the model's other files lies, by the name that the model has for it.

    Those of an ONNX file are known where the package ``onnx`` is there.

    Raises:
        InputError: no ONNX model, or a file that is missing or lies elsewhere.
    """
    suffix = model.suffix.lower()
    if suffix == ".onnx":
        names = _external_data(model)
    elif suffix == ".xml":
        weights = model.with_suffix(".bin")
        names = [weights.name] if weights.is_file() else []
    else:
        names = []
    return {name: _place(model, name) for name in names}


def is_plain_path(name: str) -> bool:
    """Whether ``name`` can only mean a place below the folder it is read in, on any system."""
    parts = PurePosixPath(name).parts
    return (
        bool(parts)
        and name.isprintable()
        and "\\" not in name
        and ".." not in parts
        and not PurePosixPath(name).is_absolute()
        and not PureWindowsPath(name).drive
    )


def load_graph(model: Path) -> Any:
    """The ONNX model (``onnx.ModelProto``) without the weights that it keeps apart.

    Raises:
        InputError: no ONNX model.
    """
    import onnx

    try:
        return onnx.load(str(model), load_external_data=False)
    except Exception as error:
        raise InputError(
            f"this is no ONNX model, or only a part of one ({' '.join(str(error).split())[:200]})",
            where=str(model),
        ) from error


def _external_data(model: Path) -> list[str]:
    if importlib.util.find_spec("onnx") is None:  # the runtimes check for themselves
        return []
    entries = [entry for tensor in _tensors(load_graph(model)) for entry in tensor.external_data]
    return sorted({entry.value for entry in entries if entry.key == "location"})


def _tensors(message: Any) -> Iterator[Any]:
    """Every tensor of a model: those of branches, loops, functions and attributes too."""
    if message.DESCRIPTOR.name == "TensorProto":
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for inner in value if not hasattr(value, "DESCRIPTOR") else [value]:
                yield from _tensors(inner)


def _place(model: Path, name: str) -> Path:
    folders = [model.parent.resolve(), model.resolve().parent]
    if not is_plain_path(name):
        raise _outside(model, name)
    found = next((folder / name for folder in folders if (folder / name).is_file()), None)
    if found is None:
        raise InputError(
            f"the file of the model's weights is missing: {shorten(name)}", where=str(model),
            todo="Put it beside the model; where the model has an origin, list it in side_files",
        )  # fmt: skip
    place = found.resolve()
    if not any(place.is_relative_to(folder) for folder in folders):
        raise _outside(model, name)
    return place


def _outside(model: Path, name: str) -> InputError:
    return InputError(
        f"the model keeps weights outside its folder: {shorten(name)}", where=str(model),
        allowed="external data beside the model",
    )  # fmt: skip
