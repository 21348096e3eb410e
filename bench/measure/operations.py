"""Operations of one ONNX operator, by the shapes of what it reads and writes: a rule for each.

A multiplication with its addition is two operations, as in the peak rates of data sheets; papers on
networks often count it as one, and so do the ``Counts`` of a node. Every other operation on an
element is one, also where a processor needs several instructions for it (`exp`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from bench.counts import NOTHING, Counts

Kind = Literal["convolution", "matmul", "recurrent", "other"]
KINDS: tuple[Kind, ...] = ("convolution", "matmul", "recurrent", "other")


@dataclass(frozen=True)
class Tensor:
    shape: tuple[int, ...]
    item_bytes: float

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def bytes(self) -> float:
        return self.elements * self.item_bytes


@dataclass(frozen=True)
class GraphNode:
    type: str
    inputs: Sequence[Tensor | None]
    outputs: Sequence[Tensor | None]
    attributes: Mapping[str, Any]
    constant: Sequence[bool]
    """Whether no input value of the graph changes it, by input of the node."""

    def shape(self, index: int) -> tuple[int, ...]:
        tensor = self.inputs[index]
        return () if tensor is None else tensor.shape

    def has(self, index: int | None) -> bool:
        return index is not None and len(self.inputs) > index and self.inputs[index] is not None

    @property
    def read(self) -> int:
        return math.prod(self.shape(0))

    @property
    def written(self) -> int:
        first = next((tensor for tensor in self.outputs if tensor), None)
        return first.elements if first else 0


class Operations(NamedTuple):
    """What a node does: the layers that it is, and operations beside their products."""

    counts: Counts
    beside: float

    @property
    def flops(self) -> float:
        of = self.counts
        products = of.convolution + of.linear + of.attention + of.grouped + of.depthwise
        return 2 * products + self.beside


Rule = Callable[[GraphNode], Operations]


def _layers(beside: float, written: float, layers: float = 1.0, **products: float) -> Operations:
    """``written`` without what attention writes; ``products`` by name in ``Counts``."""
    return Operations(
        NOTHING._replace(written=float(written), layers=float(layers), **products), float(beside)
    )


def _no_layer(operations: float) -> Operations:
    return Operations(NOTHING, float(operations))


def _convolution(weights: int = 1, bias: int | None = 2, transposed: bool = False) -> Rule:
    """Weights are [outputs, inputs ÷ groups, kernel…], and every output element meets them.

    Transposed they are [inputs, outputs ÷ groups, kernel…], and every input element does.
    """

    def rule(node: GraphNode) -> Operations:
        each = node.shape(weights)[1:]
        products = (node.read if transposed else node.written) * math.prod(each)
        kind = "depthwise" if each[:1] == (1,) else "grouped"
        if node.attributes.get("group", 1) == 1:
            kind = "convolution"
        return _layers(node.has(bias) * node.written, node.written, **{kind: float(products)})

    return rule


def _matmul(weights: int = 1, bias: int | None = None) -> Rule:
    def rule(node: GraphNode) -> Operations:
        inner = node.shape(0)[-2 if node.attributes.get("transA") else -1]
        beside = node.has(bias) * node.written
        return _product(node, node.written * inner, (0, weights), beside)

    return rule


def _product(
    node: GraphNode, products: float, operands: Iterable[int], beside: float
) -> Operations:
    """Of tensors: a linear layer where one of them is a constant."""
    if any(node.constant[index] for index in operands):
        return _layers(beside, node.written, linear=float(products))
    return _layers(beside, 0, attention=float(products))


def _einsum(node: GraphNode) -> Operations:
    """Every point of the index space is one product, and one addition to a sum; a third operand is
    one more multiplication, and a single one is only added up.
    """
    equation = node.attributes["equation"].decode().replace(" ", "")
    sizes: dict[str, int] = {}
    for index, labels in enumerate(equation.partition("->")[0].split(",")):
        shape = node.shape(index)
        before, dots, after = labels.partition("...")
        hidden = len(shape) - len(before) - len(after) if dots else 0
        # Dimensions behind the dots are aligned at their ends.
        names = [*before, *(f".{hidden - position}" for position in range(hidden)), *after]
        for name, size in zip(names, shape, strict=True):
            sizes[name] = max(size, sizes.get(name, 1))
    points, operands = math.prod(sizes.values()), len(node.inputs)
    if operands == 1:
        return _no_layer(points)
    return _product(node, points, range(operands), (operands - 2) * points)


def _recurrent(gates: int, pointwise: int) -> Rule:
    """Per step and direction: the gates' products with the input and the state, their biases, and
    ``pointwise`` operations on each element of the state.

    Weights are [directions, gates · hidden, inputs] and [directions, gates · hidden, hidden]. No
    step can begin before the last, so that each is a layer.
    """

    def rule(node: GraphNode) -> Operations:
        directions, rows, inputs = node.shape(1)
        hidden = rows // gates
        steps = math.prod(node.shape(0)[:2]) * directions  # time and batch, in either order
        beside = node.has(3) * 2 * rows + pointwise * hidden
        layers = node.shape(0)[node.attributes.get("layout", 0)] * directions
        products = float(steps * rows * (inputs + hidden))
        return _layers(steps * beside, node.written, layers, linear=products)

    return rule


def _attention(node: GraphNode) -> Operations:
    """Scores, their softmax, and the weighted sum of the values.

    Query, key and value are [batch, heads, steps, width] or [batch, steps, heads · width]; where
    there is a past, an output holds all keys so far.
    """
    query = node.shape(0)
    present = node.outputs[1] if len(node.outputs) > 1 else None
    keys = (present.shape if present else node.shape(1))[-2]
    named = node.attributes.get("q_num_heads") or node.attributes.get("num_heads") or 1
    rows = math.prod(query[:-1]) * (1 if len(query) == 4 else named)
    return _layers(_SOFTMAX * keys * rows, 0, attention=float(keys * (node.read + node.written)))


def _projected_attention(node: GraphNode) -> Operations:
    """Attention, and before it the linear layer that makes query, key and value: [batch, steps,
    inputs] and weights [inputs, 3 · hidden]. No past.
    """
    batch, steps, inputs = node.shape(0)
    rows = batch * steps
    projected = rows * node.shape(1)[1]
    softmax = _SOFTMAX * rows * steps * node.attributes["num_heads"]
    return _layers(
        projected + softmax, projected, layers=2,
        linear=float(inputs * projected), attention=2.0 * steps * node.written,
    )  # fmt: skip


def _trees(node: GraphNode) -> Operations:
    """A comparison at each level of each tree, and an addition for each tree."""
    nodes: dict[int, int] = {}
    for tree in node.attributes["nodes_treeids"]:
        nodes[tree] = nodes.get(tree, 0) + 1
    levels = sum(math.log2((count + 1) / 2) for count in nodes.values())
    return _no_layer(node.shape(0)[0] * (levels + len(nodes)))


def _pooling(node: GraphNode) -> Operations:
    return _no_layer(node.written * math.prod(node.attributes["kernel_shape"]))


def _per_written(amount: float) -> Rule:
    return lambda node: _no_layer(amount * node.written)


def _per_read(amount: float) -> Rule:
    return lambda node: _no_layer(amount * node.read)


def _variadic(node: GraphNode) -> Operations:
    return _no_layer(max(1, len(node.inputs) - 1) * node.written)


_SOFTMAX = 5
"""Maximum, difference, exponential, sum, quotient."""

ASKS_SHAPE = {"Shape", "Size"}
VIEWS = {"Dropout", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"}
BY_VALUE = {"Compress", "NonMaxSuppression", "NonZero", "Unique"}
_MOVES = """
    Cast CastLike CenterCropPad Col2Im Compress Concat ConcatFromSequence ConstantOfShape
    DepthToSpace Expand EyeLike Gather GatherElements GatherND NonZero OneHot Pad ReverseSequence
    Scatter ScatterElements ScatterND SequenceAt SequenceConstruct Slice SpaceToDepth Split
    SplitToSequence Tile Transpose Trilu ZipMap
"""
_ELEMENTWISE = """
    Abs Acos Acosh Add And Asin Asinh Atan Atanh BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor
    Ceil Celu Clip Cos Cosh DequantizeLinear Div Elu Equal Erf Exp Floor Gelu Greater GreaterOrEqual
    HardSigmoid HardSwish IsInf IsNaN LeakyRelu Less LessOrEqual Log Mish Mod Mul Neg Not Or PRelu
    Pow QuantizeLinear Reciprocal Relu Round Selu Shrink Sigmoid Sign Sin Sinh Softplus Softsign
    Sqrt Sub Swish Tan Tanh ThresholdedRelu Where Xor
"""
_REDUCTIONS = """
    ArgMax ArgMin CumSum GlobalAveragePool GlobalMaxPool ReduceL1 ReduceL2 ReduceLogSum
    ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare
"""

_RULES: dict[str, tuple[Kind, Rule]] = {
    **dict.fromkeys(_MOVES.split(), ("other", _per_written(0))),
    **dict.fromkeys(_ELEMENTWISE.split(), ("other", _per_written(1))),
    **dict.fromkeys(_REDUCTIONS.split(), ("other", _per_read(1))),
    **dict.fromkeys(("Max", "Mean", "Min", "Sum"), ("other", _variadic)),
    **dict.fromkeys(("AveragePool", "LpPool", "MaxPool"), ("other", _pooling)),
    **dict.fromkeys(("Softmax", "LogSoftmax"), ("other", _per_written(_SOFTMAX))),
    # Mean and variance are weights: what is left is a factor and a summand.
    "BatchNormalization": ("other", _per_written(2)),
    # Mean, difference, square, its mean, quotient, factor, summand.
    **dict.fromkeys(
        ("GroupNormalization", "InstanceNormalization", "LayerNormalization",
         "MeanVarianceNormalization"),
        ("other", _per_written(7)),
    ),
    # Square, its mean, quotient, factor.
    **dict.fromkeys(
        ("LpNormalization", "RMSNormalization", "SimplifiedLayerNormalization"),
        ("other", _per_written(4)),
    ),
    # Two passes over the values for their range, then a quotient and a shift.
    "DynamicQuantizeLinear": ("other", _per_written(4)),
    "Conv": ("convolution", _convolution()),
    "FusedConv": ("convolution", _convolution()),
    "DeformConv": ("convolution", _convolution(bias=3)),
    "ConvInteger": ("convolution", _convolution(bias=None)),
    "QLinearConv": ("convolution", _convolution(weights=3, bias=8)),
    "ConvTranspose": ("convolution", _convolution(transposed=True)),
    **dict.fromkeys(
        ("DynamicQuantizeMatMul", "FusedMatMul", "MatMul", "MatMulInteger",
         "MatMulIntegerToFloat", "MatMulNBits"),
        ("matmul", _matmul()),
    ),
    "QLinearMatMul": ("matmul", _matmul(weights=3)),
    **dict.fromkeys(("FusedGemm", "Gemm"), ("matmul", _matmul(bias=2))),
    "Einsum": ("matmul", _einsum),
    "Attention": ("matmul", _attention),
    "com.microsoft.Attention": ("matmul", _projected_attention),
    # Sums of the gates and their functions; the state's own products and its function.
    "LSTM": ("recurrent", _recurrent(gates=4, pointwise=13)),
    "GRU": ("recurrent", _recurrent(gates=3, pointwise=11)),
    "RNN": ("recurrent", _recurrent(gates=1, pointwise=2)),
    **dict.fromkeys(("TreeEnsembleClassifier", "TreeEnsembleRegressor"), ("other", _trees)),
}  # fmt: skip

UNKNOWN: tuple[Kind, Rule] = ("other", _per_written(1))
"""How an operator without a rule is counted."""


def rule_of(domain: str, type_: str) -> tuple[Kind, Rule] | None:
    """How an operator is counted; ``None`` where no rule is known."""
    return _RULES.get(f"{domain}.{type_}".removeprefix(".")) or _RULES.get(type_)
