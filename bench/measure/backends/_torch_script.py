"""The programs in a TorchScript file, looked through before PyTorch runs any of them.

A TorchScript file is a program that a C++ interpreter runs, in part as soon as it is loaded
(``__setstate__``), and ``aten::save`` writes files from it. The text is Python's grammar; what it calls
must be defined in the file or be on the list. Of a value, ``x.save(…)`` is ``aten::save`` too
(``torch/csrc/jit/frontend/sugared_value.cpp``, read in 2.13), so that the names of values' attributes
are looked at as well.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from pathlib import Path

from bench.errors import InputError, shorten
from bench.measure.backends._torch_operators import (
    SCRIPT_ATEN,
    SCRIPT_CLASSES,
    SCRIPT_NAMESPACES,
    SCRIPT_OPEN_NAMESPACES,
    without_place,
)

_CLASSES = re.compile(rb"torch\.classes\.(\w+)")


def check_programs(members: Mapping[str, bytes], operators: frozenset[str], model: Path) -> None:
    """Refuse a file whose programs call more than what computes.

    ``members``: its programs (``.py``) and pickled values (``.pkl``) by name; ``operators``: the names
    of all ``aten`` operators that this PyTorch has.

    Raises:
        InputError: with the name of what it calls.
    """
    for name, content in members.items():
        for found in _CLASSES.findall(content):
            if found.decode() not in SCRIPT_CLASSES:
                raise _refusal(f"the class torch.classes.{found.decode()}", name, model)
        if name.endswith(".py"):
            try:
                tree = ast.parse(content.decode())
            except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
                raise InputError(
                    f"the program {name!r} cannot be looked through ({error})", where=str(model)
                ) from error
            if (odd := _odd_call(tree, operators)) is not None:
                raise _refusal(odd, name, model)


def _odd_call(tree: ast.Module, operators: frozenset[str]) -> str | None:
    """The first name in a program that stands for something that does not only compute."""
    whole: set[int] = set()
    for node in ast.walk(tree):  # from the outside in
        if isinstance(node, ast.Attribute):
            names = _dotted(node)
            if names and id(node) not in whole and names[0] in ("torch", "ops"):
                if not _is_listed(names):
                    return ".".join(names)
                whole.update(id(inner) for inner in ast.walk(node))
            elif id(node) not in whole and not _is_harmless(node.attr, operators):
                return node.attr
        elif isinstance(node, ast.Name):
            if node.id in ("torch", "ops") and id(node) not in whole:
                return node.id
        elif isinstance(node, ast.Call) and _is_call_of(node, "getattr"):
            if (odd := _odd_getattr(node, operators)) is not None:
                return odd
        elif isinstance(node, ast.Import | ast.ImportFrom):
            return "import"
    return None


def _dotted(node: ast.expr) -> list[str]:
    """``a.b.c`` as its names; nothing where it does not begin with a name."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return [node.id, *reversed(names)] if isinstance(node, ast.Name) else []


def _is_listed(names: list[str]) -> bool:
    match names:
        case ["torch", name]:
            return without_place(name) in SCRIPT_ATEN
        case ["ops", namespace, name]:
            listed = SCRIPT_NAMESPACES.get(namespace, frozenset())
            return namespace in SCRIPT_OPEN_NAMESPACES or without_place(name) in listed
        case _:
            return False


def _is_harmless(attribute: str, operators: frozenset[str]) -> bool:
    """Whether an attribute of a value cannot be an operator that is not on the list."""
    return attribute not in operators or without_place(attribute) in SCRIPT_ATEN


def _is_call_of(call: ast.Call, name: str) -> bool:
    return isinstance(call.func, ast.Name) and call.func.id == name


def _odd_getattr(call: ast.Call, operators: frozenset[str]) -> str | None:
    name = call.args[1] if len(call.args) > 1 else None
    if not isinstance(name, ast.Constant) or not isinstance(name.value, str):
        return "getattr"
    return None if _is_harmless(name.value, operators) else name.value


def _refusal(what: str, program: str, model: Path) -> InputError:
    return InputError(
        f"the program {program!r} calls {shorten(what)!r}, which is not among the operators that only "
        "compute; it was not loaded",
        where=str(model),
        todo="Leave that step out, and script or trace the model again",
    )
