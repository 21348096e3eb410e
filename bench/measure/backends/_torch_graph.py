"""The graph of a ``torch.export`` file (its JSON), looked through before PyTorch reads it.

``torch.export.load`` evaluates the expressions of sizes and the checks of inputs, looks functions up
by their names, and writes a Python function out of the names in the graph (``sympify`` and
``deserialize_operator`` in ``torch/_export/serde/serialize.py``, ``_convert_guards_code_to_fn`` in
``torch/export/_unlift.py``, ``torch/fx/graph_module.py``; read in 2.13). So here names are names,
functions are on a list, and expressions are arithmetic.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from bench.errors import InputError, shorten
from bench.measure.backends._torch_operators import may_be_called
from bench.measure.backends._torch_sizes import is_arithmetic

_NAME = re.compile(r"[\w.+-]*", re.ASCII)
_FUNCTIONS = frozenset({"target", "as_operator"})
_EXPRESSIONS = frozenset({"expr_str", "guards_code"})
_EXPRESSIONS_AS_KEYS = frozenset({"range_constraints"})
_FREE_TEXT = frozenset({"as_string", "as_strings", "torch_version"})
_NESTED_JSON = frozenset({"in_spec", "context"})


def plain_graph(content: bytes, model: Path) -> bytes:
    """The same graph with nothing in it but what computes.

    What is only for readers (stack traces) is left out, and outputs come one after another, in
    whatever classes the exporter's packages had them.

    Raises:
        InputError: a function that is not on the list, or text that may be code.
        ValueError: no JSON.
    """
    return json.dumps(_Reader(model).plain(json.loads(content))).encode()


class _Reader:
    def __init__(self, model: Path) -> None:
        self._model = model

    def plain(self, value: Any, key: str = "") -> Any:
        """``value`` without its notes; raises where it holds more than names and numbers."""
        if isinstance(value, str):
            return self._text(value, key)
        if isinstance(value, list):
            return [self.plain(entry, key) for entry in value]
        if isinstance(value, dict):
            return {
                self._key(name, key): {} if _is_note(name, value) else self.plain(entry, name)
                for name, entry in value.items()
            }
        return value

    def _key(self, name: str, owner: str) -> str:
        fits = is_arithmetic(name) if owner in _EXPRESSIONS_AS_KEYS else _NAME.fullmatch(name)
        if not fits:
            raise self._refusal(f"text that may be code: {shorten(name)!r}")
        return name

    def _text(self, text: str, key: str) -> str:
        if key == "out_spec":
            return _flat(text)
        if key in _FREE_TEXT:
            return text
        if key in _NESTED_JSON:
            self.plain(json.loads(text))
            return text
        if key in _FUNCTIONS:
            if not may_be_called(text):
                raise self._refusal(
                    f"a call of {shorten(text)!r}, which is not among the operators that only compute"
                )
            return text
        fits = is_arithmetic(text) if key in _EXPRESSIONS else _NAME.fullmatch(text)
        if not fits:
            raise self._refusal(f"text that may be code: {shorten(text)!r}")
        return text

    def _refusal(self, what: str) -> InputError:
        return InputError(
            f"the graph of the model holds {what}; it was not loaded",
            where=str(self._model),
            allowed="tensors, sizes, and operators that compute with them",
            todo="Export a network without that step, with torch.export.save of this PyTorch version",
        )


def _is_note(name: str, owner: dict[str, Any]) -> bool:
    """Stack traces and the like, which a node and a module carry for their readers."""
    return name == "metadata" and ("target" in owner or "module_call_graph" in owner)


def _flat(spec: str) -> str:
    """A specification of outputs with the same leaves in one tuple."""
    protocol, tree = json.loads(spec)
    if not _children(tree):
        return spec if tree == _LEAF else json.dumps([protocol, _tuple(0)])
    return json.dumps([protocol, _tuple(_leaves(tree))])


_LEAF: dict[str, Any] = {"type": None, "context": None, "children_spec": []}


def _tuple(leaves: int) -> dict[str, Any]:
    return {"type": "builtins.tuple", "context": "null", "children_spec": [_LEAF] * leaves}


def _children(tree: dict[str, Any]) -> list[dict[str, Any]]:
    children: list[dict[str, Any]] = tree["children_spec"]
    return children


def _leaves(tree: dict[str, Any]) -> int:
    if tree["type"] is None:
        return 1
    return sum(map(_leaves, _children(tree)))
