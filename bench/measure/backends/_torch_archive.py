"""PyTorch's model files, looked through before PyTorch reads them: a file must not run code.

``torch.export.load`` runs code in three ways: it unpickles example inputs, custom objects and odd
tensors; it evaluates the expressions of sizes and the checks of inputs; and it writes a Python
function out of the names in the graph (``sympify`` in ``torch/_export/serde/serialize.py``,
``_convert_guards_code_to_fn`` in ``torch/export/_unlift.py``, ``torch/fx/graph_module.py``; read
in 2.13). A TorchScript file is a program that a C++ interpreter runs; ``aten::save`` writes files
from it.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any

from bench.errors import InputError, shorten

# Members of a torch.export archive that hold plain bytes or JSON. All others may be pickled.
_PLAIN = re.compile(
    r"(data/(weights/weight_\d+|constants/tensor_\d+|(weights|constants)/\w+_config\.json)"
    r"|models/\w+\.json|archive_format|archive_version|byteorder|version|\.data/\w+)"
)
_SAMPLE_INPUTS = re.compile(r"data/sample_inputs/\w+\.pt")

_NUMBER = r"\d+(\.\d+)?(e[+-]?\d+)?"
_NAME = re.compile(r"[\w.+-]*", re.ASCII)
# Symbol('s0', positive=True), Mul(Integer(8), s1): capital letters are classes of SymPy.
_SIZE = re.compile(
    rf"([A-Z]\w*|[a-z]+(?==)|[a-z]+\d+|'(\w+|[\d.]+)'|{_NUMBER}|[\s(),=<>+*/-])*+", re.ASCII
)
# L['x'].size()[0] <= 512
_CHECK = re.compile(
    rf"(L(\['\w+'\]|\[\d+\])+(\.(size|stride)\(\)\[\d+\])?|[A-Z]\w*|and|or|not|{_NUMBER}"
    r"|[\s(),=!<>+*/%-])*+",
    re.ASCII,
)
_RULES = {"expr_str": _SIZE, "guards_code": _CHECK}
_FREE_TEXT = frozenset({"as_string", "out_spec", "torch_version"})
_NESTED_JSON = frozenset({"in_spec", "context"})

_WRITES_OR_READS_FILES = re.compile(rb"\b(save|from_file|load_tensor)\b|getattr\([^)]*\\")


def plain_archive(model: Path) -> io.BytesIO:
    """A copy of a ``torch.export`` archive in which nothing is left to unpickle or to evaluate.

    Example inputs are not needed and are emptied.

    Raises:
        InputError: no such archive, or one whose loading could run code.
    """
    copy = io.BytesIO()
    try:
        with zipfile.ZipFile(model) as old, zipfile.ZipFile(copy, "w") as new:
            for name in old.namelist():
                inner = name.partition("/")[2]
                if _SAMPLE_INPUTS.fullmatch(inner):
                    new.writestr(name, b"")
                    continue
                content = old.read(name)
                if not _PLAIN.fullmatch(inner) or _is_pickled(inner, content):
                    raise _refusal(model, f"{inner!r}, which only unpickling could read")
                if inner.endswith(".json") and (odd := _odd_text(json.loads(content))) is not None:
                    raise _refusal(model, f"text in {inner!r} that may be code: {shorten(odd)!r}")
                new.writestr(name, content)
    except (OSError, ValueError, RecursionError, zipfile.BadZipFile) as error:
        raise InputError(f"this is no torch.export archive ({error})", where=str(model)) from error
    copy.seek(0)
    return copy


def check_script(model: Path) -> None:
    """Refuse a TorchScript file whose program reads or writes files.

    Raises:
        InputError: no such archive, or such a program.
    """
    try:
        with zipfile.ZipFile(model) as archive:
            code = {n: archive.read(n) for n in archive.namelist() if n.endswith(".py")}
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(f"this is no TorchScript archive ({error})", where=str(model)) from error
    for name, text in code.items():
        if found := _WRITES_OR_READS_FILES.search(text):
            raise InputError(
                f"the program in {name!r} may read or write files: {found[0].decode()!r}",
                where=str(model), todo="Leave that step out, and script or trace the model again",
            )  # fmt: skip


def _odd_text(value: Any, key: str = "") -> str | None:
    """The first text below ``value`` that is more than a name, where only names are expected."""
    if isinstance(value, str):
        return _odd_string(value, key)
    if isinstance(value, list):
        inner = [(key, entry) for entry in value]
    elif isinstance(value, dict) and not _is_description(key, value):
        odd_keys = [name for name in value if not _NAME.fullmatch(name)]
        if odd_keys:
            return str(odd_keys[0])
        inner = list(value.items())
    else:
        return None
    found = (_odd_text(entry, name) for name, entry in inner)
    return next((text for text in found if text is not None), None)


def _odd_string(text: str, key: str) -> str | None:
    if key in _FREE_TEXT:
        return None
    if key in _NESTED_JSON:
        return _odd_text(json.loads(text))
    return None if _RULES.get(key, _NAME).fullmatch(text) else text


def _is_description(key: str, value: dict[str, Any]) -> bool:
    """Stack traces and the like: text that is kept and never interpreted."""
    return key == "metadata" and all(isinstance(entry, str) for entry in value.values())


def _is_pickled(name: str, content: bytes) -> bool:
    if not name.endswith("_config.json"):
        return False
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
