"""What a model says of its inputs and outputs, in the words of the contract, or why it cannot be used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from bench.errors import InputError
from bench.measure.backends import Feeds

SEQUENCE = "a tensor of its own for each of its parts"
ZIPMAP = (
    "Convert it without dictionaries: convert_sklearn(model, …, options={'zipmap': False}), so that "
    "the probabilities come as one tensor"
)


def no_tensor(role: str, name: str, kind: str, model: Path) -> InputError:
    """The fault of an input or output whose ``kind`` (the runtime's word) is no plain tensor."""
    if kind.startswith("seq(map("):
        todo = ZIPMAP
    elif "(" in kind:
        todo = f"Export the model with {SEQUENCE}"
    else:
        todo = (
            "Export it with float32 there; a Cast behind the input and before the output keeps the "
            "computation as it is"
        )
    return InputError(
        f"the {role} {name!r} is {_in_words(kind)}, which is no tensor that NumPy has",
        where=str(model), allowed="tensors of numbers, booleans or strings", todo=todo,
    )  # fmt: skip


def _in_words(kind: str) -> str:
    for start, words in (
        ("seq(map(", "a sequence of dictionaries"),
        ("seq(", "a sequence of tensors"),
        ("map(", "a dictionary"),
        ("optional(", "optional"),
        ("sparse_tensor(", "a sparse tensor"),
    ):
        if kind.startswith(start):
            return f"{words} ({kind})"
    return f"of the type {kind}"


def refused(runtime: str, model: Path, feeds: Feeds, said: str) -> InputError:
    """The fault of a model that a runtime loads, and does not run on what it is fed with."""
    fed = ", ".join(f"{name}: {array.dtype} {list(array.shape)}" for name, array in feeds.items())
    return InputError(f"{runtime} cannot run the model on {fed} ({said})", where=str(model))


def distinct(names: Sequence[str], role: str) -> list[str]:
    """Names to tell inputs or outputs apart by: where one is absent or comes twice, its place."""
    seen = Counter(names)
    return [
        f"{role} {place}" if not name else name if seen[name] == 1 else f"{name} {place}"
        for place, name in enumerate(names)
    ]
