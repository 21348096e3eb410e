"""ONNX files, looked at before a runtime reads them."""

from __future__ import annotations

from pathlib import Path

from bench.errors import InputError
from bench.measure.side_files import side_files

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
    side_files(model)
