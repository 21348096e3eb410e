"""ONNX files, looked at before a runtime reads them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from bench.errors import InputError

PICKLE = b"\x80"
"""First byte of a pickle of protocol 2 or later; the second is the protocol."""


def check_file(model: Path) -> None:
    """Refuse what can be no ONNX file.

    Raises:
        InputError: with the path and the fault.
    """
    if not model.is_file():
        raise InputError("there is no such model file", where=str(model))
    if model.stat().st_size == 0:
        raise InputError("the model file is empty (0 bytes)", where=str(model))
    with model.open("rb") as file:
        head = file.read(2)
    if head[:1] == PICKLE and head[1:2] <= b"\x05":
        raise InputError(
            "this is a Python pickle and no ONNX model; it was not opened", where=str(model),
            todo="Export the model to ONNX",
        )  # fmt: skip


def check_weights(model: Path) -> None:
    """Refuse weights that lie outside the model's own folder, where the package ``onnx`` is there.

    Raises:
        InputError: with the path and the fault.
    """
    check_file(model)
    if importlib.util.find_spec("onnx") is None:
        return
    import onnx

    try:
        graph = onnx.load(str(model), load_external_data=False).graph
    except Exception as error:
        raise InputError(
            f"this is no ONNX model, or only a part of one ({' '.join(str(error).split())[:200]})",
            where=str(model),
        ) from error
    folder = model.parent.resolve()
    for tensor in graph.initializer:
        for entry in tensor.external_data:
            if entry.key != "location":
                continue
            place = (folder / entry.value).resolve()
            if not place.is_relative_to(folder):
                raise InputError(
                    f"the model keeps weights outside its folder: {entry.value}", where=str(model),
                    allowed="external data beside the model",
                )  # fmt: skip
            if not place.is_file():
                raise InputError(
                    f"the file of the model's weights is missing: {entry.value}", where=str(model)
                )
