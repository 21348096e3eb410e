"""Small models made for the tests: ``y = relu(x · w) + 1`` in every format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

WEIGHTS = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)


def expected(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.maximum(x @ WEIGHTS, 0) + 1


def onnx_model(path: Path, opset: int = 17, **tensor: Any) -> Path:
    """The model as ONNX; ``tensor`` changes fields of its weights."""
    from onnx import TensorProto, helper, numpy_helper

    weights = numpy_helper.from_array(WEIGHTS, "w")
    one = numpy_helper.from_array(np.ones(1, dtype=np.float32), "one")
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["m"]),
        helper.make_node("Relu", ["m"], ["r"]),
        helper.make_node("Add", ["r", "one"], ["y"]),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])]
    graph = helper.make_graph(nodes, "small", inputs, outputs, [weights, one])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 8
    entry = model.metadata_props.add()
    entry.key, entry.value = "note", "made for a test"
    if location := tensor.get("location"):
        kept = model.graph.initializer[0]
        kept.ClearField("raw_data")
        kept.data_location = TensorProto.EXTERNAL
        external = kept.external_data.add()
        external.key, external.value = "location", location
    path.write_bytes(model.SerializeToString())
    return path


def torch_module() -> Any:
    import torch

    class Small(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = torch.nn.Parameter(torch.from_numpy(WEIGHTS.copy()))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(x @ self.w) + 1

    return Small().eval()


def export_model(path: Path) -> Path:
    import torch

    shapes = ({0: torch.export.Dim.DYNAMIC},)
    program = torch.export.export(torch_module(), (torch.zeros(2, 4),), dynamic_shapes=shapes)
    torch.export.save(program, str(path))
    return path


def script_model(path: Path) -> Path:
    import warnings

    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated, and users have such files
        torch.jit.script(torch_module()).save(str(path))
    return path


def graph_model(
    path: Path,
    nodes: list[tuple[str, list[str], list[str], dict[str, Any]]],
    inputs: list[tuple[str, Any, Any]],
    outputs: list[tuple[str, Any, Any]],
    **constants: np.ndarray[Any, Any],
) -> Path:
    """Any ONNX graph: nodes as kind, inputs, outputs, attributes; tensors as name, type, shape.

    A type may be one of ``onnx.TensorProto``, or a whole ``TypeProto`` (a sequence), without shape.
    """
    from onnx import TypeProto, helper, numpy_helper

    def value(name: str, kind: Any, shape: Any) -> Any:
        if isinstance(kind, TypeProto):
            return helper.make_value_info(name, kind)
        return helper.make_tensor_value_info(name, kind, shape)

    graph = helper.make_graph(
        [helper.make_node(kind, list(into), out, **more) for kind, into, out, more in nodes],
        "made",
        [value(*one) for one in inputs],
        [value(*one) for one in outputs],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    path.write_bytes(model.SerializeToString())
    return path
