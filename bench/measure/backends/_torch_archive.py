"""PyTorch's model files, looked through before PyTorch reads them: a file must not run code.

What is checked is what is loaded: PyTorch is given a copy, made of what was looked at. Nothing is
unpickled in Python: of a ``torch.export`` archive only JSON and plain bytes are kept, and a TorchScript
file is read by PyTorch's C++ reader, which builds tensors and script objects only.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.errors import InputError
from bench.measure.archives import opened
from bench.measure.backends._torch_graph import plain_graph
from bench.measure.backends._torch_script import check_programs

LARGEST_TEXT = 2**30
"""Bytes of a graph or a program; weights are copied in pieces, of any size."""

# Members of a torch.export archive that hold plain bytes or JSON. All others may be pickled.
_PLAIN = re.compile(
    r"(data/(weights/weight_\d+|constants/tensor_\d+|(weights|constants)/\w+_config\.json)"
    r"|models/\w+\.json|archive_format|archive_version|byteorder|version|\.data/\w+)"
)
_SAMPLE_INPUTS = re.compile(r"data/sample_inputs/\w+\.pt")


@contextmanager
def plain_export(model: Path) -> Iterator[Path]:
    """A copy of a ``torch.export`` archive in which nothing is left to unpickle or to evaluate.

    Example inputs are not needed and are emptied.

    Raises:
        InputError: no such archive, or one whose loading could run code.
    """
    with opened(model, str(model), "torch.export archive") as old, _copy(model) as (new, path):
        for entry in old.infolist():
            inner = entry.filename.partition("/")[2]
            if _SAMPLE_INPUTS.fullmatch(inner):
                new.writestr(entry.filename, b"")
            elif not _PLAIN.fullmatch(inner):
                raise _refusal(model, f"{inner!r}, which only unpickling could read")
            elif inner.endswith(".json"):
                new.writestr(entry.filename, _plain_json(old, entry, model))
            else:
                _copy_member(old, entry, new)
        new.close()
        yield path


@contextmanager
def plain_script(model: Path, operators: Callable[[], frozenset[str]]) -> Iterator[Path]:
    """A copy of a TorchScript file whose programs only compute.

    ``operators()``: the names of all ``aten`` operators that this PyTorch has.

    Raises:
        InputError: no such archive, or such a program.
    """
    with opened(model, str(model), "TorchScript archive") as old, _copy(model) as (new, path):
        texts = {
            entry.filename: _text(old, entry, model)
            for entry in old.infolist()
            if entry.filename.endswith((".py", ".pkl"))
        }
        if not any(name.endswith(".py") for name in texts):
            raise InputError(
                "this is no TorchScript archive: it holds no program", where=str(model),
                todo="A checkpoint of torch.save holds weights only, which unpickling would read; "
                "export the model with torch.jit.save or torch.export.save",
            )  # fmt: skip
        check_programs(texts, operators(), model)
        for entry in old.infolist():
            _copy_member(old, entry, new)
        new.close()
        yield path


@contextmanager
def _copy(model: Path) -> Iterator[tuple[zipfile.ZipFile, Path]]:
    with tempfile.TemporaryDirectory(prefix="bench-model-") as folder:
        path = Path(folder) / f"model{model.suffix}"
        with zipfile.ZipFile(path, "w") as new:
            yield new, path


def _copy_member(old: zipfile.ZipFile, entry: zipfile.ZipInfo, new: zipfile.ZipFile) -> None:
    copied = zipfile.ZipInfo(entry.filename)
    copied.file_size = entry.file_size
    with old.open(entry) as source, new.open(copied, "w") as target:
        shutil.copyfileobj(source, target, 2**20)


def _plain_json(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, model: Path) -> bytes:
    content = _text(archive, entry, model)
    if entry.filename.endswith("_config.json") and _is_pickled(content):
        raise _refusal(model, f"weights in {entry.filename!r}, which only unpickling could read")
    try:
        return plain_graph(content, model)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            f"this is no torch.export archive ({entry.filename}: {error})", where=str(model)
        ) from error


def _text(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, model: Path) -> bytes:
    if entry.file_size > LARGEST_TEXT:
        raise InputError(
            f"{entry.filename!r} is {entry.file_size:,} bytes long", where=str(model),
            allowed=f"graphs and programs of up to {LARGEST_TEXT:,} bytes",
        )  # fmt: skip
    return archive.read(entry)


def _is_pickled(content: bytes) -> bool:
    try:
        entries = json.loads(content)["config"].values()
        return any(entry.get("use_pickle") is not False for entry in entries)
    except (ValueError, KeyError, AttributeError):
        return True


def _refusal(model: Path, what: str) -> InputError:
    return InputError(
        f"the archive holds {what}",
        where=str(model),
        allowed="weights kept as plain tensors, a graph of plain names and sizes",
        todo="Export the model again with torch.export.save of this PyTorch version",
    )
