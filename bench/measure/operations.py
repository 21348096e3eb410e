"""Operations of one ONNX operator, by the shapes of what it reads and writes: a rule for each.

A multiplication with its addition is two operations, as in the peak rates of data sheets; papers on
networks often count it as one. Every other operation on an element is one, also where a processor
needs several instructions for it (`exp`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

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

    def shape(self, index: int) -> tuple[int, ...]:
        tensor = self.inputs[index]
        return () if tensor is None else tensor.shape

    def has(self, index: int) -> bool:
        return len(self.inputs) > index and self.inputs[index] is not None

    @property
    def read(self) -> int:
        return math.prod(self.shape(0))

    @property
    def written(self) -> int:
        first = next((tensor for tensor in self.outputs if tensor), None)
        return first.elements if first else 0


def _convolution(weights: int = 1, bias: int | None = 2) -> Callable[[GraphNode], float]:
    """Weights are [outputs, inputs ÷ groups, kernel…]."""

    def rule(node: GraphNode) -> float:
        products = node.written * math.prod(node.shape(weights)[1:])
        return 2.0 * products + (bias is not None and node.has(bias)) * node.written

    return rule


def _transposed_convolution(node: GraphNode) -> float:
    """Weights are [inputs, outputs ÷ groups, kernel…], and every input element meets them."""
    return 2.0 * node.read * math.prod(node.shape(1)[1:]) + node.has(2) * node.written


def _matmul(node: GraphNode) -> float:
    inner = node.shape(0)[-2 if node.attributes.get("transA") else -1]
    return 2.0 * node.written * inner


def _gemm(node: GraphNode) -> float:
    return _matmul(node) + node.has(2) * node.written


def _einsum(node: GraphNode) -> float:
    """Every point of the index space is one product, and one addition to a sum."""
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
    return float(max(1, len(node.inputs)) * math.prod(sizes.values()))


def _recurrent(gates: int, pointwise: int) -> Callable[[GraphNode], float]:
    """Per step and direction: the gates' products with the input and the state, their biases, and
    ``pointwise`` operations on each element of the state.

    Weights are [directions, gates · hidden, inputs] and [directions, gates · hidden, hidden].
    """

    def rule(node: GraphNode) -> float:
        steps = math.prod(node.shape(0)[:2])  # time and batch, in either order
        directions, rows, inputs = node.shape(1)
        hidden = rows // gates
        products = 2 * rows * (inputs + hidden) + node.has(3) * 2 * rows
        return float(steps * directions * (products + pointwise * hidden))

    return rule


def _attention(node: GraphNode) -> float:
    """Scores, their softmax, and the weighted sum of the values.

    Query, key and value are [batch, heads, steps, width] or [batch, steps, heads · width]; where
    there is a past, an output holds all keys so far.
    """
    query = node.shape(0)
    present = node.outputs[1] if len(node.outputs) > 1 else None
    keys = (present.shape if present else node.shape(1))[-2]
    named = node.attributes.get("q_num_heads") or node.attributes.get("num_heads") or 1
    rows = math.prod(query[:-1]) * (1 if len(query) == 4 else named)
    return float(keys * (2 * node.read + 2 * node.written + _SOFTMAX * rows))


def _projected_attention(node: GraphNode) -> float:
    """Attention with the products that make query, key and value: [batch, steps, inputs] and
    weights [inputs, 3 · hidden]. No past.
    """
    batch, steps, inputs = node.shape(0)
    rows = batch * steps
    projections = (2 * inputs + 1) * rows * node.shape(1)[1]
    softmax = _SOFTMAX * rows * steps * node.attributes["num_heads"]
    return float(projections + 4 * steps * node.written + softmax)


def _trees(node: GraphNode) -> float:
    """A comparison at each level of each tree, and an addition for each tree."""
    nodes: dict[int, int] = {}
    for tree in node.attributes["nodes_treeids"]:
        nodes[tree] = nodes.get(tree, 0) + 1
    levels = sum(math.log2((count + 1) / 2) for count in nodes.values())
    return float(node.shape(0)[0] * (levels + len(nodes)))


def _pooling(node: GraphNode) -> float:
    return float(node.written * math.prod(node.attributes["kernel_shape"]))


def _per_written(amount: float) -> Callable[[GraphNode], float]:
    return lambda node: amount * node.written


def _per_read(amount: float) -> Callable[[GraphNode], float]:
    return lambda node: amount * node.read


def _variadic(node: GraphNode) -> float:
    return float(max(1, len(node.inputs) - 1) * node.written)


_SOFTMAX = 5
"""Maximum, difference, exponential, sum, quotient."""
Rule = Callable[[GraphNode], float]

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
    "ConvTranspose": ("convolution", _transposed_convolution),
    **dict.fromkeys(
        ("DynamicQuantizeMatMul", "FusedMatMul", "MatMul", "MatMulInteger",
         "MatMulIntegerToFloat", "MatMulNBits", "QLinearMatMul"),
        ("matmul", _matmul),
    ),
    **dict.fromkeys(("FusedGemm", "Gemm"), ("matmul", _gemm)),
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
