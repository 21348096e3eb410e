"""Expressions that PyTorch evaluates as Python when it loads a file: arithmetic on sizes, or refused.

They are read with Python's own grammar and walked node by node, so that whatever is not listed here
is refused.
"""

from __future__ import annotations

import ast
import re

from bench.measure.backends._torch_operators import ON_SIZES, listed

LARGEST_EXPONENT = 64
LARGEST_INTEGER = 2**64
LONGEST_TEXT = 50_000

_OPERATIONS = (
    ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.And, ast.Or, ast.Not, ast.UAdd,
    ast.USub, ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Is, ast.IsNot,
)  # fmt: skip
_POWERS = frozenset({"Pow", "PowByNatural", "FloatPow", "LShift", "pow"})
_FUNCTIONS = _POWERS | listed(
    # SymPy's, those of torch/utils/_sympy/functions.py, and Python's
    """
    Abs Add And CeilDiv CeilToInt CleanDiv Eq Equality Float FloatTrueDiv FloorDiv FloorToInt Ge
    GreaterThan Gt Identity IntTrueDiv Integer IsNonOverlappingAndDenseIndicator Le LessThan Lt Max
    Min Mod ModularIndexing Mul Ne Not OpaqueUnaryFn_sqrt Or PythonMod RShift Rational RoundDecimal
    RoundToInt StrictGreaterThan StrictLessThan Symbol ToFloat TruncToFloat TruncToInt Unequality
    Where abs float int max min round
    """
)
_NAMES = frozenset({"inf", "int_oo", "oo", "nan", "true", "false"})
_OF_TENSORS = frozenset({"size", "stride", "storage_offset", "item", "dim", "numel"})
_SYMBOL = re.compile(r"[a-z]{1,4}\d+", re.ASCII)
_PLAIN = re.compile(r"[\w.]*", re.ASCII)


def is_arithmetic(text: str) -> bool:
    """Whether ``text`` computes sizes, or checks inputs, and does nothing else.

    ``2*s0``, ``Max(Integer(1), FloorDiv(Symbol('s0', integer=True), 2))``,
    ``max(1, L['x'].size()[0] // 2) <= 512``.
    """
    if len(text) > LONGEST_TEXT:
        return False
    try:
        return _allows(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


def _allows(node: ast.AST) -> bool:
    match node:
        case ast.Constant(value=value):
            return _is_number(value)
        case ast.Name(id=name):
            return name in _NAMES or _SYMBOL.fullmatch(name) is not None
        case ast.BinOp(left=base, op=ast.Pow(), right=exponent):
            return _allows(base) and _is_small(exponent)
        case ast.BinOp(left=left, op=operation, right=right):
            return isinstance(operation, _OPERATIONS) and _allows(left) and _allows(right)
        case ast.UnaryOp(op=operation, operand=operand):
            return isinstance(operation, _OPERATIONS) and _allows(operand)
        case ast.BoolOp(values=values):
            return all(map(_allows, values))
        case ast.Compare(left=left, ops=operations, comparators=others):
            known = all(isinstance(operation, _OPERATIONS) for operation in operations)
            return known and all(map(_allows, [left, *others]))
        case ast.Attribute(value=ast.Name(id="math"), attr=attribute):
            return attribute in ("inf", "nan")
        case ast.Call(
            func=ast.Attribute(value=ast.Name(id="math" | "torch" as module), attr=name),
            args=[*arguments],
            keywords=[],
        ):
            return name in ON_SIZES[module] and all(map(_allows, arguments))
        case ast.Call(func=ast.Name(id=name)):
            return _allows_call(name, node)
        case ast.Call() | ast.Subscript():
            return _is_of_input(node)
        case _:
            return False


def _allows_call(name: str, call: ast.Call) -> bool:
    """``Symbol('s0', integer=True)``, ``Float('1.5', precision=53)``, ``Max(s0, Integer(1))``."""
    assumed = all(
        key.arg is not None and _PLAIN.fullmatch(key.arg) and isinstance(key.value, ast.Constant)
        for key in call.keywords
    )
    if name not in _FUNCTIONS or not assumed:
        return False
    if name in ("Symbol", "Float", "Integer"):
        return all(
            (isinstance(a, ast.Constant) and _is_plain(a.value)) or _allows(a) for a in call.args
        )
    if name in _POWERS:
        return len(call.args) == 2 and _allows(call.args[0]) and _is_small(call.args[1])
    return all(map(_allows, call.args))


def _is_of_input(node: ast.AST) -> bool:
    """``L['x']``, ``L['args'][0]``, ``L['x'].size()[0]``, ``L['x'].stride(1)``."""
    match node:
        case ast.Name(id="L"):
            return True
        case ast.Subscript(value=value, slice=ast.Constant(value=key)):
            return _is_plain(key) and _is_of_input(value)
        case ast.Call(func=ast.Attribute(value=value, attr=name), keywords=[]):
            numbers = all(isinstance(a, ast.Constant) and _is_number(a.value) for a in node.args)
            return name in _OF_TENSORS and numbers and _is_of_input(value)
        case _:
            return False


def _is_number(value: object) -> bool:
    """Booleans and ``None`` too: a check may compare an input with either."""
    return value is None or (isinstance(value, int | float) and abs(value) <= LARGEST_INTEGER)


def _is_plain(value: object) -> bool:
    if isinstance(value, str):
        return _PLAIN.fullmatch(value.lstrip("-")) is not None
    return _is_number(value)


def _is_small(exponent: ast.expr) -> bool:
    """A number that a power may be raised to, so that no result fills the memory."""
    match exponent:
        case ast.Constant(value=int() | float() as value):
            return abs(value) <= LARGEST_EXPONENT
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _is_small(operand)
        case ast.Call(func=ast.Name(id="Integer" | "Float" | "Rational"), args=[*arguments]):
            return all(map(_is_small, arguments))
        case _:
            return False
