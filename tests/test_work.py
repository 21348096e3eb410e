"""Work counted from graphs: against figures by hand, textbook sums, and PyTorch's own counter."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.counts import NOTHING, Counts
from bench.errors import InputError, MissingRequirement, UnknownName
from bench.measure.operations import Kind
from bench.measure.task_work import _together
from bench.measure.work import Work, count_work

onnx = pytest.importorskip("onnx", reason="graphs are read with onnx")
pytest.importorskip("onnxruntime", reason="graphs run once in ONNX Runtime")


def graph(
    path: Path,
    nodes: Sequence[Any],
    inputs: Mapping[str, Sequence[int | str]],
    outputs: Sequence[str],
    weights: Mapping[str, np.ndarray[Any, Any]] | None = None,
    domains: Sequence[str] = (),
    functions: Sequence[Any] = (),
    opset: int = 20,
) -> Path:
    """A model of ``nodes`` on ``float32`` inputs, written to ``path``."""
    from onnx import TensorProto, helper, numpy_helper

    made = helper.make_graph(
        nodes, "made",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()],
        [onnx.ValueInfoProto(name=name) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(name, 1) for name in domains)]
    model = helper.make_model(made, opset_imports=opsets, functions=list(functions))
    model.ir_version = 10
    path.write_bytes(model.SerializeToString())
    return path


def node(type_: str, inputs: str, outputs: str, **attributes: Any) -> Any:
    names = [name.replace("-", "") for name in inputs.split()]
    return onnx.helper.make_node(type_, names, outputs.split(), **attributes)


def ones(*shape: int, dtype: type = np.float32) -> np.ndarray[Any, Any]:
    return np.ones(shape, dtype=dtype)


def of_kind(work: Work, *kinds: Kind) -> float:
    return work.flops * sum(share for kind, share in work.kinds.items() if kind in kinds)


def products(counts: Counts) -> float:
    return sum(counts[: Counts._fields.index("depthwise") + 1])


# --- ResNet-50 -----------------------------------------------------------------------------------


def resnet50_multiply_adds() -> int:
    """Table 1 of He et al. 2016 (arXiv:1512.03385), with the stride of a block in its 3×3
    convolution, as this file and torchvision have it; in its first 1×1 it would be 3.86e9.
    """
    total, inputs = 112 * 112 * 64 * 3 * 7 * 7, 64
    for blocks, width, size in ((3, 64, 56), (4, 128, 28), (6, 256, 14), (3, 512, 7)):
        for block in range(blocks):
            before = size * 2 if block == 0 and width > 64 else size
            total += before**2 * inputs * width
            total += size**2 * width * width * 9
            total += size**2 * width * 4 * width
            if block == 0:
                total += size**2 * inputs * 4 * width
            inputs = 4 * width
    return total + 2048 * 1000


def resnet50_written() -> int:
    total = 112 * 112 * 64
    for blocks, width, size in ((3, 64, 56), (4, 128, 28), (6, 256, 14), (3, 512, 7)):
        first = 1 if width == 64 else 4  # its 1×1 convolution is at the size before
        total += size**2 * width * (blocks - 1 + first + blocks + 4 * blocks + 4)
    return total + 1000


def test_resnet_50() -> None:
    folder = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
    if not (path := folder / "light_resnet50.onnx").is_file():
        pytest.skip("this onnx brings no light models")
    work = count_work(path, {"gpu_0/data_0": [1, 3, 224, 224]})
    biases = 1000
    assert of_kind(work, "convolution", "matmul") == pytest.approx(
        2 * resnet50_multiply_adds() + biases, rel=1e-12
    )
    assert 4.09e9 < work.flops / 2 < 4.12e9
    assert work.counts.linear == 2048 * 1000
    assert work.counts.convolution == resnet50_multiply_adds() - 2048 * 1000
    assert work.counts.written == resnet50_written()
    # The first, three in each of 16 blocks, four at shortcuts, and the classifier.
    assert work.counts.layers == 1 + 16 * 3 + 4 + 1
    assert work.kinds["convolution"] > 0.99
    assert sum(work.kinds.values()) == pytest.approx(1)
    # 25.6 million parameters, which this file makes from their shapes instead of storing them.
    assert work.weight_bytes < 20_000
    assert "102.4 MB of constants are computed" in work.note


# --- PyTorch's counter ---------------------------------------------------------------------------


def torch_case(name: str) -> tuple[Any, tuple[Any, ...]]:
    import torch
    from torch import nn

    class Recurrent(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.LSTM(320, 288, batch_first=True, bidirectional=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = self.cell(x)[0]
            return result

    class Products(nn.Module):  # type: ignore[misc]
        def forward(self, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
            return q @ k.transpose(-1, -2)

    cases: dict[str, Callable[[], tuple[Any, tuple[Any, ...]]]] = {
        "convolution": lambda: (
            nn.Sequential(
                nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(),
                nn.Conv2d(64, 128, 5, stride=2, groups=2, bias=False),
                nn.ConvTranspose2d(128, 48, 3, stride=2, groups=4),
            ),
            (torch.zeros(1, 32, 20, 24),),
        ),
        "linear": lambda: (nn.Linear(300, 500), (torch.zeros(1, 7, 300),)),
        "matmul": lambda: (Products(), (torch.zeros(1, 4, 9, 64), torch.zeros(1, 4, 11, 64))),
        "lstm": lambda: (Recurrent(), (torch.zeros(1, 13, 320),)),
    }  # fmt: skip
    return cases[name]()


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.filterwarnings("ignore")  # the exporter's notes to its own authors
@pytest.mark.parametrize(
    ("name", "kind"),
    [("convolution", "convolution"), ("linear", "matmul"), ("matmul", "matmul"),
     ("lstm", "recurrent")],
)  # fmt: skip
def test_pytorch_counts_the_same(name: str, kind: Kind, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    pytest.importorskip("onnxscript", reason="torch exports with onnxscript")
    from torch.utils.flop_counter import FlopCounterMode

    module, feeds = torch_case(name)
    module = module.eval()
    # On the meta device nothing is handed to libraries whose work the counter cannot see.
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module.to("meta")(*(feed.to("meta") for feed in feeds))
    module, feeds = torch_case(name)
    path = tmp_path / "exported.onnx"
    names = [f"x{index}" for index in range(len(feeds))]
    torch.onnx.export(
        module.eval(), feeds, str(path), input_names=names, opset_version=20, dynamo=True,
        external_data=False, verbose=False,
    )  # fmt: skip
    work = count_work(path, {n: list(f.shape) for n, f in zip(names, feeds, strict=True)})
    # It leaves out biases and what is done element by element.
    assert counter.get_total_flops() > 0
    assert 2 * products(work.counts) == counter.get_total_flops()
    if name == "convolution":
        # 20×24 stay, then 8×10 in two groups of 32, then 17×21 in four groups, 12 of each input.
        grouped = 8 * 10 * 128 * 32 * 25 + 8 * 10 * 128 * 12 * 9
        written = 20 * 24 * 64 + 8 * 10 * 128 + 17 * 21 * 48
        assert work.counts[1:-2] == (0, 0, grouped, 0, written)
        assert work.counts.layers == 3
    assert of_kind(work, kind) == pytest.approx(counter.get_total_flops(), rel=0.01)
    assert work.kinds[kind] > 0.98
    parameters = 4 * sum(math.prod(p.shape) for p in module.parameters())
    assert work.weight_bytes == pytest.approx(parameters, rel=0.01, abs=200)
    if name == "convolution":
        first = list(feeds[0].shape)
        four = count_work(path_of_batch(module, tmp_path), {"x0": [4, *first[1:]]})
        assert four.flops == 4 * work.flops


def path_of_batch(module: Any, folder: Path) -> Path:
    import torch

    path = folder / "four.onnx"
    torch.onnx.export(
        module, (torch.zeros(4, 32, 20, 24),), str(path), input_names=["x0"], opset_version=20,
        dynamo=True, external_data=False, verbose=False,
    )  # fmt: skip
    return path


# --- by hand -------------------------------------------------------------------------------------

X: dict[str, Sequence[int | str]] = {"x": ["n", 6, 8]}


@pytest.mark.parametrize(
    ("made", "weights", "flops", "kind"),
    [
        (node("MatMul", "x w", "y"), {"w": ones(8, 5)}, 2 * 6 * 5 * 8, "matmul"),
        (
            node("Einsum", "x w", "y", equation="bij,jk->bik"),
            {"w": ones(8, 5)}, 2 * 6 * 8 * 5, "matmul",
        ),
        (
            node("Einsum", "x w", "y", equation="...j,jk->...k"),
            {"w": ones(8, 5)}, 2 * 6 * 8 * 5, "matmul",
        ),
        (
            node("Conv", "x w b", "y", group=2),
            {"w": ones(4, 3, 3), "b": ones(4)}, 4 * 6 * (2 * 3 * 3 + 1), "convolution",
        ),
        (
            node("Conv", "x w", "y", strides=[2]),
            {"w": ones(4, 6, 3)}, 4 * 3 * 2 * 6 * 3, "convolution",
        ),
        (
            node("ConvTranspose", "x w", "y", strides=[2]),
            {"w": ones(6, 4, 3)}, 6 * 8 * 2 * 4 * 3, "convolution",
        ),
        # One step of 6 with inputs of 8: [directions, gates · 5 hidden, 8 or 5].
        (
            node("LSTM", "x w r b", "y", hidden_size=5),
            {"w": ones(1, 20, 8), "r": ones(1, 20, 5), "b": ones(1, 40)},
            6 * (2 * 20 * (8 + 5) + 2 * 20 + 13 * 5), "recurrent",
        ),
        (
            node("GRU", "x w r", "y", hidden_size=5, direction="bidirectional"),
            {"w": ones(2, 15, 8), "r": ones(2, 15, 5)},
            6 * 2 * (2 * 15 * (8 + 5) + 11 * 5), "recurrent",
        ),
        (
            node("RNN", "x w r", "y", hidden_size=5),
            {"w": ones(1, 5, 8), "r": ones(1, 5, 5)}, 6 * (2 * 5 * 13 + 2 * 5), "recurrent",
        ),
        (node("Softmax", "x", "y"), {}, 5 * 48, "other"),
        (node("Sigmoid", "x", "y"), {}, 48, "other"),
        (node("Sum", "x x x", "y"), {}, 2 * 48, "other"),
        (node("ReduceMean", "x", "y"), {}, 48, "other"),
        (node("MaxPool", "x", "y", kernel_shape=[3]), {}, 6 * 6 * 3, "other"),
        (
            node("LayerNormalization", "x s b", "y"),
            {"s": ones(8), "b": ones(8)}, 7 * 48, "other",
        ),
        (node("Transpose", "x", "y"), {}, 0, "other"),
        (node("Identity", "x", "y"), {}, 0, "other"),
    ],
    ids=lambda value: value.op_type if hasattr(value, "op_type") else "",
)  # fmt: skip
def test_one_operator(
    made: Any, weights: dict[str, Any], flops: float, kind: Kind, tmp_path: Path
) -> None:
    path = graph(tmp_path / "one.onnx", [made], X, ["y"], weights)
    work = count_work(path, {"x": [1, 6, 8]})
    assert work.flops == flops
    assert work.kinds[kind] == (1 if flops else 0)
    assert work.weight_bytes == 4 * sum(array.size for array in weights.values())
    assert work.note == ""


@pytest.mark.parametrize(
    ("nodes", "weights", "expected"),
    [
        # 6 channels of 8 elements; no padding, so that a kernel of 3 leaves 6.
        (
            [node("Conv", "x w b", "y")], {"w": ones(4, 6, 3), "b": ones(4)},
            {"convolution": 4 * 6 * 6 * 3, "written": 4 * 6, "parameters": 72 + 4},
        ),
        (
            [node("Conv", "x w", "y", group=2)], {"w": ones(4, 3, 3)},
            {"grouped": 4 * 6 * 3 * 3, "written": 4 * 6, "parameters": 36},
        ),
        (
            [node("Conv", "x w", "y", group=6)], {"w": ones(12, 1, 3)},
            {"depthwise": 12 * 6 * 3, "written": 12 * 6, "parameters": 36},
        ),
        # Each of 48 elements meets 4 channels and 3 places: 17 come out.
        (
            [node("ConvTranspose", "x w", "y", strides=[2])], {"w": ones(6, 4, 3)},
            {"convolution": 48 * 4 * 3, "written": 4 * 17, "parameters": 72},
        ),
        (
            [node("ConvTranspose", "x w", "y", strides=[2], group=2)], {"w": ones(6, 4, 3)},
            {"grouped": 48 * 4 * 3, "written": 8 * 17, "parameters": 72},
        ),
        (
            [node("ConvTranspose", "x w", "y", strides=[2], group=6)], {"w": ones(6, 1, 3)},
            {"depthwise": 48 * 3, "written": 6 * 17, "parameters": 18},
        ),
        (
            [node("MatMul", "x w", "y")], {"w": ones(8, 5)},
            {"linear": 6 * 8 * 5, "written": 30, "parameters": 40},
        ),
        (
            [node("MatMul", "w x", "y")], {"w": ones(5, 6)},
            {"linear": 5 * 6 * 8, "written": 40, "parameters": 30},
        ),
        (
            [node("Transpose", "w", "t"), node("MatMul", "x t", "y")], {"w": ones(5, 8)},
            {"linear": 6 * 8 * 5, "written": 30, "parameters": 40},
        ),
        (
            [node("DequantizeLinear", "w s", "d"), node("MatMul", "x d", "y")],
            {"w": ones(8, 5, dtype=np.int8), "s": ones()},
            {"linear": 6 * 8 * 5, "written": 30, "parameters": 41},
        ),
        (
            [node("Transpose", "x", "t", perm=[0, 2, 1]), node("MatMul", "x t", "y")],
            {"unused": ones(9)}, {"attention": 6 * 6 * 8},
        ),
        (
            [node("Reshape", "x s", "t"), node("Gemm", "t w b", "y", transB=1)],
            {"s": np.array([6, 8]), "w": ones(5, 8), "b": ones(5)},
            {"linear": 6 * 8 * 5, "written": 30, "parameters": 2 + 40 + 5},
        ),
        (
            [node("Einsum", "x w", "y", equation="bij,jk->bik")], {"w": ones(8, 5)},
            {"linear": 6 * 8 * 5, "written": 30, "parameters": 40},
        ),
        (
            [node("Einsum", "x x", "y", equation="bij,bkj->bik")], {},
            {"attention": 6 * 6 * 8},
        ),
        # One step of a batch of 6: four gates of 5 read 8 inputs and 5 of the state.
        (
            [node("LSTM", "x w r", "y", hidden_size=5)],
            {"w": ones(1, 20, 8), "r": ones(1, 20, 5)},
            {"linear": 6 * 20 * 13, "written": 30, "parameters": 20 * 13},
        ),
        # Six steps of a batch of 1, there and back.
        (
            [node("Transpose", "x", "t", perm=[1, 0, 2]),
             node("GRU", "t w r", "y", hidden_size=5, direction="bidirectional")],
            {"w": ones(2, 15, 8), "r": ones(2, 15, 5)},
            {"linear": 6 * 2 * 15 * 13, "written": 60, "parameters": 2 * 15 * 13, "layers": 12},
        ),
        ([node("Sigmoid", "x", "y")], {}, {"layers": 0}),
    ],
    ids=lambda value: value[-1].op_type if isinstance(value, list) else "",
)  # fmt: skip
def test_counts_by_layer(
    nodes: list[Any], weights: dict[str, Any], expected: dict[str, float], tmp_path: Path
) -> None:
    path = graph(tmp_path / "layer.onnx", nodes, X, ["y"], weights)
    counts = count_work(path, {"x": [1, 6, 8]}).counts
    assert counts == NOTHING._replace(**{"layers": 1, **expected})


def test_counts_of_the_calls_of_a_sample(tmp_path: Path) -> None:
    path = graph(tmp_path / "p.onnx", [node("MatMul", "x w", "y")], X, ["y"], {"w": ones(8, 5)})
    one, three = (count_work(path, {"x": [n, 6, 8]}) for n in (1, 3))
    work = _together([(one, 2.5), (three, 1)], [one])
    # Three and a half calls, on five and a half batches of 1; the weights are there once.
    assert work.counts == NOTHING._replace(
        linear=5.5 * 240, written=5.5 * 30, parameters=40, layers=3.5
    )
    assert work.weight_bytes == 160


def test_products_of_integers_and_what_is_stored_in_them(tmp_path: Path) -> None:
    nodes = [
        node("DynamicQuantizeLinear", "x", "q s z"),
        node("MatMulInteger", "q w z", "i"),
        node("Cast", "i", "y", to=1),
    ]
    weights = {"w": ones(8, 5, dtype=np.int8)}
    work = count_work(graph(tmp_path / "q.onnx", nodes, X, ["y"], weights), {"x": [1, 6, 8]})
    assert of_kind(work, "matmul") == pytest.approx(2 * 6 * 8 * 5)
    assert work.counts == NOTHING._replace(linear=6 * 8 * 5, written=30, parameters=8 * 5, layers=1)
    assert work.weight_bytes == 8 * 5
    # q of one byte, its scale and zero point, and two tensors of 30 in 4 bytes.
    assert work.activation_bytes == 48 + 4 + 1 + 2 * 30 * 4
    assert work.operators == 3


def test_attention_is_two_products_and_a_softmax(tmp_path: Path) -> None:
    from onnx import helper

    made = helper.make_node(
        "Attention", ["x", "w", "b"], ["y"], domain="com.microsoft", num_heads=2
    )
    weights = {"w": ones(8, 24), "b": ones(24)}
    path = graph(tmp_path / "a.onnx", [made], X, ["y"], weights, ["com.microsoft"])
    projections, products, softmax = 6 * 24 * (2 * 8 + 1), 2 * (2 * 6 * 6 * 8), 5 * 2 * 6 * 6
    work = count_work(path, {"x": [1, 6, 8]})
    assert work.flops == projections + products + softmax
    # A linear layer from 8 to 24 for each of 6, and the attention after it.
    assert work.counts == NOTHING._replace(
        linear=6 * 24 * 8, attention=products / 2, written=6 * 24, parameters=8 * 24 + 24, layers=2
    )


def test_attention_of_the_standard_has_no_projections(tmp_path: Path) -> None:
    made = node("Attention", "x k x", "y", q_num_heads=2, kv_num_heads=2)
    inputs: dict[str, Sequence[int | str]] = {"x": [1, 6, 8], "k": [1, 6, 8]}
    path = graph(tmp_path / "a.onnx", [made], inputs, ["y"], opset=23)
    products, softmax = 2 * (2 * 6 * 6 * 8), 5 * 2 * 6 * 6
    work = count_work(path, {"x": [1, 6, 8], "k": [1, 6, 8]})
    assert work.flops == products + softmax
    assert work.counts == NOTHING._replace(attention=products / 2, layers=1)


def test_trees_are_as_deep_as_balanced_ones_of_their_size(tmp_path: Path) -> None:
    from onnx import helper

    # Two trees of three nodes: one comparison each, and one addition.
    made = helper.make_node(
        "TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", n_targets=1,
        nodes_treeids=[0, 0, 0, 1, 1, 1], nodes_nodeids=[0, 1, 2, 0, 1, 2],
        nodes_featureids=[0] * 6, nodes_values=[0.5] * 6,
        nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"] * 2,
        nodes_truenodeids=[1, 0, 0, 1, 0, 0], nodes_falsenodeids=[2, 0, 0, 2, 0, 0],
        target_treeids=[0, 0, 1, 1], target_nodeids=[1, 2, 1, 2], target_ids=[0] * 4,
        target_weights=[1.0, 2.0, 3.0, 4.0],
    )  # fmt: skip
    path = graph(tmp_path / "t.onnx", [made], {"x": ["n", 3]}, ["y"], domains=["ai.onnx.ml"])
    work = count_work(path, {"x": [5, 3]})
    assert work.flops == 5 * 2 * (1 + 1)
    assert "balanced" in work.note
    assert work.weight_bytes > 6 * 4 + 6 * 5 * 8


def test_only_what_the_input_changes_is_counted_whatever_the_order(tmp_path: Path) -> None:
    nodes = [
        # ONNX Runtime sorts them; converters append nodes at the end.
        node("MatMul", "t v", "y"),
        node("Relu", "x", "t"),
        node("Mul", "w w", "v"),
        node("Shape", "x", "s"),
        node("Mul", "s s", "unused"),
    ]
    path = graph(tmp_path / "c.onnx", nodes, X, ["y"], {"w": ones(8, 5)})
    work = count_work(path, {"x": [1, 6, 8]})
    assert work.flops == 48 + 2 * 6 * 8 * 5
    assert work.operators == 2
    assert work.weight_bytes == 160
    assert work.activation_bytes == 4 * (48 + 30)


def test_a_batch_is_so_many_samples(tmp_path: Path) -> None:
    nodes = [node("Conv", "x w", "c"), node("Relu", "c", "y")]
    path = graph(tmp_path / "b.onnx", nodes, X, ["y"], {"w": ones(4, 6, 3)})
    one, eight = (count_work(path, {"x": [n, 6, 8]}) for n in (1, 8))
    assert eight.flops == 8 * one.flops
    assert eight.activation_bytes == 8 * one.activation_bytes
    assert eight.weight_bytes == one.weight_bytes == 4 * 72
    assert one.moved_bytes(1) == 4 * 72 + 2 * one.activation_bytes
    assert one.moved_bytes(8) == eight.moved_bytes(1)


def test_functions_of_the_models_own_are_counted_inside(tmp_path: Path) -> None:
    from onnx import helper

    opset = [helper.make_opsetid("", 20)]
    function = helper.make_function(
        "own", "Block", ["a"], ["b"], [node("Relu", "a", "m"), node("Exp", "m", "b")], opset
    )
    call = helper.make_node("Block", ["x"], ["y"], domain="own")
    path = graph(tmp_path / "f.onnx", [call], X, ["y"], domains=["own"], functions=[function])
    assert count_work(path, {"x": [1, 6, 8]}).flops == 2 * 48


def test_an_operator_without_a_rule_is_said(tmp_path: Path) -> None:
    made = node("LRN", "x", "y", size=3)
    work = count_work(graph(tmp_path / "u.onnx", [made], {"x": [1, 6, 8, 2]}, ["y"]),
                      {"x": [1, 6, 8, 2]})  # fmt: skip
    assert work.flops == 96
    assert "for want of a rule: LRN" in work.note


# --- what cannot be counted ----------------------------------------------------------------------


@pytest.fixture
def product(tmp_path: Path) -> Path:
    return graph(tmp_path / "p.onnx", [node("MatMul", "x w", "y")], X, ["y"], {"w": ones(8, 5)})


def test_a_missing_shape(product: Path) -> None:
    with pytest.raises(InputError, match=r"p\.onnx: the shape of the model's input 'x' is missing"):
        count_work(product, {})


def test_a_name_that_is_no_input(product: Path) -> None:
    with pytest.raises(UnknownName, match="unknown model input 'y'"):
        count_work(product, {"x": [1, 6, 8], "y": [1]})


@pytest.mark.parametrize(
    ("shape", "said"),
    [([1, 6, 9], r"does not run on inputs of the shapes x \[1, 6, 9\]"),
     ([1, 6], "does not run on inputs"), ([0, 6, 8], "size below 1"),
     ([-1, 6, 8], "size below 1")],
)  # fmt: skip
def test_a_shape_that_does_not_fit(product: Path, shape: list[int], said: str) -> None:
    with pytest.raises(InputError, match=said):
        count_work(product, {"x": shape})


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "empty"), (b"\x80\x04pickle", "pickle"), (b"\xff" * 50, "no ONNX model"),
     (None, "no such model file")],
)  # fmt: skip
def test_a_broken_file(content: bytes | None, said: str, tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=said):
        count_work(path, {"x": [1]})


def test_half_a_file(product: Path) -> None:
    product.write_bytes(product.read_bytes()[:-40])
    with pytest.raises(InputError, match=r"p\.onnx"):
        count_work(product, {"x": [1, 6, 8]})


def test_a_graph_with_branches(tmp_path: Path) -> None:
    from onnx import helper

    branches = {
        f"{name}_branch": helper.make_graph(
            [node(type_, "x", f"{name}_y")], name, [], [onnx.ValueInfoProto(name=f"{name}_y")]
        )
        for name, type_ in (("then", "Relu"), ("else", "Exp"))
    }
    nodes = [node("ReduceMax", "x", "m", keepdims=0), node("Cast", "m", "c", to=9),
             node("If", "c", "y", **branches)]  # fmt: skip
    path = graph(tmp_path / "if.onnx", nodes, X, ["y"])
    with pytest.raises(InputError, match=r"if\.onnx: the graph has If: .*depends on values"):
        count_work(path, {"x": [1, 6, 8]})


def test_a_graph_of_text(tmp_path: Path) -> None:
    from onnx import TensorProto, helper

    made = helper.make_graph(
        [node("Identity", "x", "y")], "text",
        [helper.make_tensor_value_info("x", TensorProto.STRING, [1])],
        [helper.make_tensor_value_info("y", TensorProto.STRING, [1])],
    )  # fmt: skip
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)])
    model.ir_version = 10
    path = tmp_path / "text.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match=r"tensor\(string\), which cannot be made up"):
        count_work(path, {"x": [1]})


def test_without_the_package_the_extra_is_named(
    product: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "onnx" else found(name)
    )
    with pytest.raises(MissingRequirement, match=r"package\(s\) onnx\. .*\[onnxruntime\]"):
        count_work(product, {"x": [1, 6, 8]})
