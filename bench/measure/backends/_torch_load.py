"""A PyTorch file → a module, its inputs as flat tensors, and how a call of it takes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import InputError
from bench.measure.backends import TensorSpec
from bench.measure.backends._torch_archive import plain_export, plain_script
from bench.measure.models import FORMATS

_NUMBERS = {"int": "int64", "float": "float64", "bool": "bool", "number": "float64"}
"""Numbers that a program takes beside tensors, and the scalars that stand for them."""

Arguments = tuple[Sequence[Any], Mapping[str, Any]]


@dataclass(frozen=True)
class Program:
    """A loaded module; ``arguments`` makes positional and named ones of tensors by input."""

    module: Any
    inputs: Sequence[TensorSpec]
    arguments: Callable[[Mapping[str, Any]], Arguments]


def load_program(model: Path, device: str) -> Program:
    """Read a ``torch.export`` or TorchScript file.

    Raises:
        InputError: it cannot be loaded, or only by running code that is not on the list; or it takes
            arguments that no arrays can stand for.
    """
    is_export = FORMATS[model.suffix.lower()] == "torch-export"
    return _load_export(model) if is_export else _load_script(model, device)


def _load_export(model: Path) -> Program:
    import torch

    with plain_export(model) as path:
        try:
            program: Any = torch.export.load(str(path))
            module = program.module()
        except Exception as error:  # the loader raises whatever it meets
            raise InputError(
                f"torch.export cannot load the model ({type(error).__name__}: {_short(error)})",
                where=str(model),
            ) from error
    values = {n.name: n.meta.get("val") for n in program.graph.nodes if n.op == "placeholder"}
    kind = torch.export.graph_signature.InputKind.USER_INPUT
    taken = [spec.arg for spec in program.graph_signature.input_specs if spec.kind == kind]
    constants = torch.export.graph_signature.ConstantArgument
    inputs = [_spec(a.name, values[a.name]) for a in taken if not isinstance(a, constants)]
    structure = program.call_spec.in_spec

    def arguments(tensors: Mapping[str, Any]) -> Arguments:
        leaves = [
            argument.value if isinstance(argument, constants)
            else _as_taken(tensors[argument.name], values[argument.name])
            for argument in taken
        ]  # fmt: skip
        positional, named = torch.utils._pytree.tree_unflatten(leaves, structure)
        return positional, named

    return Program(module, inputs, arguments)


def _spec(name: str, value: Any) -> TensorSpec:
    import torch

    if not isinstance(value, torch.Tensor):  # a size that may vary, or a number
        return TensorSpec(
            name, "float64" if isinstance(value, float | torch.SymFloat) else "int64", ()
        )
    shape = tuple(size if isinstance(size, int) else None for size in value.shape)
    return TensorSpec(name, _numpy_name(value.dtype), shape)


def _numpy_name(dtype: Any) -> str:
    """NumPy's name of a type; it has no bfloat16, which is fed as float32."""
    narrow = dtype.is_floating_point and dtype.itemsize <= 2 and str(dtype) != "torch.float16"
    return "float32" if narrow else str(dtype).removeprefix("torch.")


def _as_taken(tensor: Any, example: Any) -> Any:
    """A fed tensor as the program takes it: a number, or of the type that NumPy lacks."""
    import torch

    if not isinstance(example, torch.Tensor):
        return _number(tensor)
    return tensor if tensor.dtype == example.dtype else tensor.to(example.dtype)


def _number(tensor: Any) -> Any:
    if tensor.numel() != 1:
        raise InputError(
            f"an input that is one number was given {tensor.numel()}",
            todo="Set batched: false, so that every request is a call of its own",
        )
    return tensor.item()


def _load_script(model: Path, device: str) -> Program:
    import torch

    with plain_script(model, _operators) as path:
        try:
            module = torch.jit.load(str(path), map_location=device)
        except (RuntimeError, ValueError) as error:
            raise InputError(
                f"TorchScript cannot load the model ({_short(error)})", where=str(model)
            ) from error
    taken = [_Argument.of(argument, model) for argument in module.forward.schema.arguments[1:]]
    inputs = [spec for argument in taken for spec in argument.specs]

    def arguments(tensors: Mapping[str, Any]) -> Arguments:
        # All by name: one that is left to its default may stand before one that is not.
        return (), {a.name: a.value(tensors) for a in taken if a.specs or a.is_required}

    return Program(module.eval(), inputs, arguments)


def _operators() -> frozenset[str]:
    import torch

    schemas = torch._C._jit_get_all_schemas()
    return frozenset(s.name.partition("::")[2] for s in schemas if s.name.startswith("aten::"))


@dataclass(frozen=True)
class _Argument:
    """One argument of a TorchScript ``forward``, and the inputs that it is made of."""

    name: str
    kind: str
    is_required: bool
    specs: Sequence[TensorSpec]

    @classmethod
    def of(cls, argument: Any, model: Path) -> _Argument:
        name, kind, written = argument.name, argument.type.kind(), str(argument.type)
        required = not argument.has_default_value()
        if kind == "TensorType":
            specs = [TensorSpec(name, "unknown", ())]
        elif not required or kind == "OptionalType":
            specs = []
        elif written in _NUMBERS:
            specs = [TensorSpec(name, _NUMBERS[written], ())]
        elif kind == "TupleType" and all(
            e.kind() == "TensorType" for e in argument.type.elements()
        ):
            count = len(argument.type.elements())
            specs = [TensorSpec(f"{name}_{k}", "unknown", ()) for k in range(count)]
        else:
            raise InputError(
                f"the model's input {name!r} is a {written}, and its file does not say what is in it",
                where=str(model),
                allowed="tensors, tuples of tensors, numbers, and whatever has a default",
                todo="Script a module around it that takes its tensors one by one",
            )
        return cls(name, kind, required, specs)

    def value(self, tensors: Mapping[str, Any]) -> Any:
        values = [tensors[spec.name] for spec in self.specs]
        if self.kind == "TupleType":
            return tuple(values)
        if not values:  # optional, and without a default
            return None
        return values[0] if self.kind == "TensorType" else _number(values[0])


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
