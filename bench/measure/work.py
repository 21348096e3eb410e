"""How much work one sample is for a model, counted from its ONNX graph.

The graph runs once, unoptimised, with every tensor as an output: the shapes are those that really
occur, and nothing has to be inferred. What no input value can change (weights that the graph makes
itself, arithmetic on shapes) is done once, before the first sample, and is not counted.

What an operator counts for is in ``operations.py``.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.counts import Counts, added
from bench.errors import InputError, MissingRequirement, UnknownName
from bench.measure.backends._onnx_file import check_weights
from bench.measure.operations import (
    ASKS_SHAPE,
    BY_VALUE,
    KINDS,
    UNKNOWN,
    VIEWS,
    GraphNode,
    Kind,
    Tensor,
    rule_of,
)
from bench.record import Record


class Work(Record):
    """What one call with the given shapes computes and moves; with a batch of 1, one sample."""

    flops: float
    """Operations; those on integers too."""
    weight_bytes: float
    """All constants, as the file stores them."""
    activation_bytes: float
    """Every tensor written, at the graph's own precision; views are not written."""
    operators: int
    """Nodes of the graph that write something."""
    kinds: dict[Kind, float]
    """The share of each class in ``flops``."""
    counts: Counts
    """What a processor's time depends on; the parameters as the file stores them, once."""
    note: str
    """What the count leaves out or simplifies; empty where it is exact."""

    def moved_bytes(self, batch: int) -> float:
        """Bytes between processor and memory in one call: the weights are read once, and every
        tensor is written once and read once for each sample.

        Nothing is fused and nothing stays in a cache, so that runtimes move less.
        """
        return self.weight_bytes + 2 * batch * self.activation_bytes


def count_work(path: Path, shapes: Mapping[str, Sequence[int]]) -> Work:
    """Count one call of the ONNX model at ``path`` with inputs of ``shapes``, by input.

    Raises:
        MissingRequirement: the package ``onnx`` or ONNX Runtime is not there.
        InputError: no ONNX model, a shape is missing or does not fit, or the graph has branches or
            loops, whose work depends on values.
    """
    absent = [name for name in ("onnx", "onnxruntime") if importlib.util.find_spec(name) is None]
    if absent:
        raise MissingRequirement(
            f"Counting the work of a model needs the Python package(s) {', '.join(absent)}. "
            'Install them with: pip install "inference-testbed[onnxruntime]".'
        )
    model = _plain_graph(path)
    stored = _stored(model)
    tensors = {**_traced(model, path, shapes), **stored}
    return _counted(model, tensors, shapes, stored)


def _counted(
    model: Any,
    tensors: Mapping[str, Tensor],
    inputs: Iterable[str],
    stored: Mapping[str, Tensor],
) -> Work:
    from onnx.helper import get_attribute_value

    alive = _changing(model, inputs)
    flops: dict[Kind, float] = dict.fromkeys(KINDS, 0.0)
    moved, operators, tables = 0.0, 0, 0.0
    layers: list[tuple[Counts, float]] = []
    made: dict[str, float] = {}
    used: set[str] = set()
    unruled: set[str] = set()
    types: set[str] = set()
    for node in model.graph.node:
        if not alive.intersection(node.output):
            made.update(_made_by(node, tensors))
            continue
        seen = GraphNode(
            type=node.op_type,
            inputs=[tensors.get(name) for name in node.input],
            outputs=[tensors.get(name) for name in node.output],
            attributes={entry.name: get_attribute_value(entry) for entry in node.attribute},
            constant=[name not in alive for name in node.input],
        )
        types.add(node.op_type)
        if node.op_type in VIEWS:
            continue
        known = rule_of(node.domain, node.op_type)
        if known is None:
            unruled.add(node.op_type)
        kind, rule = known or UNKNOWN
        done = rule(seen)
        flops[kind] += done.flops
        layers.append((done.counts, 1.0))
        moved += sum(tensor.bytes for tensor in seen.outputs if tensor)
        operators += 1
        if node.domain == "ai.onnx.ml":  # these keep their parameters beside the graph's tensors
            tables += _attribute_bytes(seen.attributes)
        used.update(node.input)
    total = sum(flops.values())
    read = {name for node in model.graph.node for name in node.input}
    parameters = sum(float(stored[name].elements) for name in read & stored.keys())
    return Work(
        flops=total,
        weight_bytes=tables + sum(tensor.bytes for tensor in stored.values()),
        activation_bytes=moved,
        operators=operators,
        kinds={kind: value / total if total else 0.0 for kind, value in flops.items()},
        counts=added(layers)._replace(parameters=parameters),
        note=_note(types, unruled, sum(made[name] for name in used & made.keys())),
    )


def _changing(model: Any, inputs: Iterable[str]) -> set[str]:
    """The tensors whose values the inputs can change. Nodes may stand in any order."""
    alive, left = set(inputs), list(model.graph.node)
    while True:
        found = [n for n in left if alive.intersection(n.input) and n.op_type not in ASKS_SHAPE]
        if not found:
            return alive
        for node in found:
            alive.update(filter(None, node.output))
        left = [node for node in left if not alive.intersection(node.output)]


def _made_by(node: Any, tensors: Mapping[str, Tensor]) -> dict[str, float]:
    """Constants that are computed; runtimes keep quantised ones as they are stored."""
    if node.op_type in ("Constant", "DequantizeLinear"):
        return {}
    return {name: tensors[name].bytes for name in node.output if name in tensors}


def _note(types: set[str], unruled: set[str], made: float) -> str:
    parts = []
    if unruled:
        parts.append(f"one operation per element written, for want of a rule: {_listed(unruled)}")
    if found := types & BY_VALUE:
        parts.append(
            f"the shapes after {_listed(found)} depend on values; the inputs were all ones"
        )
    if any(name.startswith("TreeEnsemble") for name in types):
        parts.append("decision trees are taken to be balanced")
    if made >= 1e6:
        parts.append(
            f"{made / 1e6:.1f} MB of constants are computed from what is stored, once, and are "
            "not in weight_bytes"
        )
    return "; ".join(parts)


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names))


def _plain_graph(path: Path) -> Any:
    """The model with functions of its own written out, and nothing that branches."""
    import onnx

    check_weights(path)
    model = onnx.load(str(path), load_external_data=False)
    if model.functions:
        from onnx import inliner

        model = inliner.inline_local_functions(model)
    branching = {
        node.op_type
        for node in model.graph.node
        if any(entry.HasField("g") or entry.graphs for entry in node.attribute)
    }
    if branching:
        raise InputError(
            f"the graph has {_listed(branching)}: how much it computes depends on values",
            where=str(path), allowed="graphs without branches and loops",
            todo="Export the model without them, or simplify it for one shape",
        )  # fmt: skip
    if not model.graph.node:
        raise InputError("the model has no operators", where=str(path))
    return model


def _stored(model: Any) -> dict[str, Tensor]:
    """The constants in the file, by the name of the tensor."""
    found = {tensor.name: _of(tensor) for tensor in model.graph.initializer}
    for sparse in model.graph.sparse_initializer:
        found[sparse.values.name] = _of(sparse.values)
    for node in model.graph.node:
        if node.op_type == "Constant":
            for entry in node.attribute:
                if entry.name == "value":
                    found[node.output[0]] = _of(entry.t)
    return found


def _of(tensor: Any) -> Tensor:
    from onnx import TensorProto

    name = TensorProto.DataType.Name(tensor.data_type).lower()
    return Tensor(tuple(tensor.dims), _ITEM_BYTES.get(name, 0.0))


def _traced(model: Any, path: Path, shapes: Mapping[str, Sequence[int]]) -> dict[str, Tensor]:
    """Every tensor that a run on inputs of ``shapes`` makes."""
    import onnx
    import onnxruntime as ort

    known = {entry.name for entry in model.graph.output}
    for node in model.graph.node:
        for name in node.output:
            if name and name not in known:
                model.graph.output.append(onnx.ValueInfoProto(name=name))
                known.add(name)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.add_session_config_entry(
        "session.model_external_initializers_file_folder_path", str(path.parent.resolve())
    )
    try:
        session = ort.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        feeds = _feeds(session.get_inputs(), path, shapes)
        results = session.run_with_ort_values(None, feeds)
    except InputError:
        raise
    except Exception as error:  # the runtime's exceptions have no common base but this one
        raise InputError(
            f"the model does not run on inputs of the shapes {_written(shapes)} "
            f"({' '.join(str(error).split())[:200]})",
            where=str(path),
        ) from error
    names = [entry.name for entry in session.get_outputs()]
    tensors = {
        name: Tensor(tuple(result.shape()), _item_bytes(result.data_type()))
        for name, result in zip(names, results, strict=True)
        if result.is_tensor()
    }
    for name, shape in shapes.items():
        tensors[name] = Tensor(tuple(shape), _item_bytes(feeds[name].data_type()))
    return tensors


def _feeds(
    inputs: Sequence[Any], path: Path, shapes: Mapping[str, Sequence[int]]
) -> dict[str, Any]:
    """Ones: in masks they keep everything, and as indices every table has them."""
    import onnxruntime as ort

    names = [entry.name for entry in inputs]
    for name in shapes:
        if name not in names:
            raise UnknownName("model input", name, names, where=str(path))
    feeds = {}
    for entry in inputs:
        if entry.name not in shapes:
            raise InputError(
                f"the shape of the model's input {entry.name!r} is missing",
                where=str(path), allowed=f"sizes for {entry.shape}",
            )  # fmt: skip
        shape = tuple(shapes[entry.name])
        if any(size < 1 for size in shape):
            raise InputError(
                f"the shape {list(shape)} of the input {entry.name!r} has a size below 1",
                where=str(path), allowed=f"sizes for {entry.shape}",
            )  # fmt: skip
        dtype = _DTYPES.get(entry.type)
        if dtype is None:
            raise InputError(
                f"the input {entry.name!r} is a {entry.type}, which cannot be made up here",
                where=str(path), allowed=", ".join(_DTYPES),
            )  # fmt: skip
        feeds[entry.name] = ort.OrtValue.ortvalue_from_numpy(np.ones(shape, dtype=dtype))
    return feeds


def _written(shapes: Mapping[str, Sequence[int]]) -> str:
    return ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())


def _item_bytes(type_: str) -> float:
    return _ITEM_BYTES.get(type_.removeprefix("tensor(").removesuffix(")"), 0.0)


def _attribute_bytes(attributes: Mapping[str, Any]) -> float:
    """Lists of numbers: floats of 4 bytes, integers of 8, as the file's format has them."""
    lists = [value for value in attributes.values() if isinstance(value, list | tuple)]
    return float(sum(
        4 if isinstance(item, float) else 8
        for values in lists for item in values if isinstance(item, float | int)
    ))  # fmt: skip


_DTYPES = {
    f"tensor({name})": dtype
    for name, dtype in {
        "float": np.float32, "float16": np.float16, "double": np.float64, "int8": np.int8,
        "int16": np.int16, "int32": np.int32, "int64": np.int64, "uint8": np.uint8,
        "uint16": np.uint16, "uint32": np.uint32, "uint64": np.uint64, "bool": np.bool_,
    }.items()
}  # fmt: skip
_ITEM_BYTES = {
    "float": 4.0, "float16": 2.0, "bfloat16": 2.0, "double": 8.0, "complex64": 8.0,
    "complex128": 16.0, "int4": 0.5, "uint4": 0.5, "float4e2m1": 0.5, "int8": 1.0, "uint8": 1.0,
    "float8e4m3fn": 1.0, "float8e4m3fnuz": 1.0, "float8e5m2": 1.0, "float8e5m2fnuz": 1.0,
    "float8e8m0": 1.0, "bool": 1.0, "int16": 2.0, "uint16": 2.0, "int32": 4.0, "uint32": 4.0,
    "int64": 8.0, "uint64": 8.0,
}  # fmt: skip
