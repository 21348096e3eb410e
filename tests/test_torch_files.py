"""PyTorch's files: what common networks are made of loads, and nothing but what computes."""

from __future__ import annotations

import json
import re
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import extensions
from bench.errors import InputError
from bench.measure.backends import _torch_operators as operators
from bench.measure.backends._torch_graph import plain_graph
from bench.measure.backends._torch_operators import ATEN, SCRIPT_ATEN, may_be_called, without_place
from bench.measure.backends._torch_script import check_programs
from bench.measure.backends._torch_sizes import is_arithmetic
from bench.measure.clock import WallClock
from tests import models

pytestmark = pytest.mark.slow

torch: Any = pytest.importorskip("torch", reason="torch is not installed")
X = np.random.default_rng(1).standard_normal((4, 4)).astype(np.float32)


def load(path: Path) -> Any:
    module = extensions.load("bench.measure.backends", "torch-eager")
    return module.load(path, module.Options(), 1, WallClock())


def exported(path: Path, module: Any, *args: Any, shapes: Any = None, **named: Any) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's notes to its own authors
        program = torch.export.export(module.eval(), args, named or None, dynamic_shapes=shapes)
    torch.export.save(program, str(path))
    return path


def scripted(path: Path, module: Any) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated, and users have such files
        torch.jit.script(module).save(str(path))
    return path


def rewritten(whole: Path, changed: Path, suffix: str, edit: Callable[[str], str]) -> Path:
    """The archive with other text in its members that end in ``suffix``."""
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name.endswith(suffix):
                content = edit(content.decode()).encode()
            new.writestr(name, content)
    return changed


def module(forward: Callable[..., Any]) -> Any:
    class Module(torch.nn.Module):  # type: ignore[misc]
        pass

    Module.forward = lambda self, *args, **named: forward(*args, **named)
    return Module()


# The list


def test_every_listed_operator_is_one_of_pytorch() -> None:
    names = {s.name for s in torch._C._jit_get_all_schemas()}
    known = {name.partition("::")[2] for name in names if name.startswith("aten::")}
    unknown = {name for name in ATEN if name not in known and f"{name}_" not in known}
    assert unknown == set()


def test_no_listed_operator_takes_what_may_be_a_path_or_another_memory() -> None:
    """By their schemas: a text argument is a mode, and nothing has a storage or a stream."""
    modes = {
        "padding", "equation", "norm", "approximate", "rounding_mode", "reduce", "side", "mode",
        "UPLO", "driver", "ord", "p", "indexing", "padding_side", "pad_mode", "assert_msg",
        "activation", "interpolation", "dtype", "compute_mode", "a", "self", "b", "s", "string",
        "separator", "old", "new", "t", "el", "item", "key", "substr",
    }  # fmt: skip
    for schema in torch._C._jit_get_all_schemas():
        namespace, _, name = schema.name.partition("::")
        if namespace != "aten" or without_place(name) not in ATEN:
            continue
        for argument in schema.arguments:
            kind = str(argument.type)
            assert not re.search(r"Storage|Stream|__torch__|Future", kind), schema
            if kind in ("str", "Optional[str]"):
                assert argument.name in modes, schema


def test_every_core_operator_of_inference_is_listed() -> None:
    schemas = [schema.name.partition("::") for schema in torch._C._jit_get_all_schemas()]
    names = sorted({name for space, _, name in schemas if space == "aten"})
    packets = [getattr(torch.ops.aten, name, None) for name in names]
    core = {
        name
        for name, packet in zip(names, packets, strict=True)
        if hasattr(packet, "overloads")
        and any(torch.Tag.core in getattr(packet, o).tags for o in packet.overloads())
    }
    missing = {name for name in core if without_place(name) not in ATEN}
    # To change the size of a tensor in place shows memory that nobody has written.
    assert {name for name in missing if "backward" not in name} == {"resize_"}


@pytest.mark.parametrize(
    ("target", "allowed"),
    [("torch.ops.aten.add.Tensor", True), ("torch.ops.aten.relu_.default", True),
     ("torch.ops.aten.copy_.default", True), ("_operator.floordiv", True), ("math.ceil", True),
     ("torch.sym_max", True), ("torch.ops.higher_order.cond", True),
     ("torch.ops.aten.from_file.default", False), ("torch.ops.aten.save.default", False),
     ("torch.ops.aten.set_.source_Storage", False), ("torch.ops.aten.resize_.default", False),
     ("torch.ops.aten._reshape_alias.default", False), ("torch.ops.aten.manual_seed.default", False),
     ("torch.ops.aten._nested_view_from_buffer.default", False), ("torch.os.system", False),
     ("torch.ops.mine.op.default", False), ("torch.load", False), ("torch.ops.aten.add", False),
     ("torch.ops.aten.add.Tensor.__call__", False), ("_operator.methodcaller", False),
     ("_operator.attrgetter", False), ("_operator.setitem", False), ("math.__loader__", False),
     ("builtins.eval", False), ("#ext:op", False), ("torch.ops.load_library", False), ("", False),
     ("torch.ops.aten.__class__.default", False), ("torch.hub.load", False)],
)  # fmt: skip
def test_what_a_graph_may_call(target: str, allowed: bool) -> None:
    assert may_be_called(target) is allowed


# Graphs


def test_a_graph_that_maps_a_file_is_refused_with_the_operators_name(tmp_path: Path) -> None:
    """With ``copy_`` it overwrote the file: ``from_file(shared=True)`` is the file's own memory."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"as it was, 16 by")
    whole = exported(
        tmp_path / "m.pt2", module(lambda x: x + torch.full((4,), 1.5)), torch.zeros(4)
    )

    def evil(text: str) -> str:
        graph = json.loads(text)
        node = next(n for n in graph["graph_module"]["graph"]["nodes"] if "full" in n["target"])
        node["target"] = "torch.ops.aten.from_file.default"
        node["inputs"] = [
            {"name": "filename", "arg": {"as_string": str(victim)}, "kind": 1},
            {"name": "shared", "arg": {"as_bool": True}, "kind": 1},
            {"name": "size", "arg": {"as_int": 4}, "kind": 1},
        ]
        return json.dumps(graph)

    path = rewritten(whole, tmp_path / "evil.pt2", "models/model.json", evil)
    with pytest.raises(InputError, match=r"a call of 'torch\.ops\.aten\.from_file\.default'"):
        load(path)
    assert victim.read_bytes() == b"as it was, 16 by"
    load(whole)


@pytest.mark.parametrize(
    "graph",
    [
        {"nodes": [{"target": "torch.ops.aten.save.default", "metadata": {}}]},
        {"nodes": [{"target": "torch.ops.higher_order.cond", "inputs": [
            {"arg": {"as_graph": {"graph": {"nodes": [{"target": "torch.os.system"}]}}}}]}]},
        {"inputs": [{"arg": {"as_operator": "torch.ops.aten.from_file.default"}}]},
        {"a": {"expr_str": "Symbol('s0', __import__('os'))"}},
        {"guards_code": ["L['x'].size()[0] == open('x')"]},
        {"range_constraints": {"(open)('x')": {"min_val": 2}}},
        {"tensor_values": {"x=open('x')": {}}},
        {"in_spec": json.dumps([1, {"type": "builtins.dict", "context": '["x=print()"]'}])},
    ],
)  # fmt: skip
def test_code_anywhere_in_a_graph_is_refused(graph: Any) -> None:
    with pytest.raises(InputError, match=r"is not among the operators|may be code"):
        plain_graph(json.dumps(graph).encode(), Path("m.pt2"))


def test_notes_are_left_out_and_outputs_come_one_after_another() -> None:
    leaf = {"type": None, "context": None, "children_spec": []}
    pair = {"type": "their.own.Class", "context": "code()", "children_spec": [leaf, leaf]}
    graph = {
        "node": {"target": "torch.ops.aten.add.Tensor", "metadata": {"stack_trace": "any text"}},
        "tensor_values": {"metadata": {"dtype": 7}},  # a weight of that name
        "out_spec": json.dumps([1, {**pair, "children_spec": [leaf, pair]}]),
    }
    plain = json.loads(plain_graph(json.dumps(graph).encode(), Path("m.pt2")))
    assert plain["node"]["metadata"] == {}
    assert plain["tensor_values"] == graph["tensor_values"]
    protocol, spec = json.loads(plain["out_spec"])
    assert (protocol, spec["type"], spec["children_spec"]) == (1, "builtins.tuple", [leaf] * 3)


@pytest.mark.parametrize(
    "text",
    ["s0", "2*s39", "Symbol('s0', positive=True, integer=True)", "Mul(Integer(8), Symbol('u0'))",
     "Max(1, FloorDiv(s0, 2))", "Pow(s0, Integer(-1))", "Float('1.5', precision=53)", "s0**2",
     "((8*L['x'].size()[0]) % (L['x'].size()[0] // 2)) == 0", "L['args'][0].stride()[1] != 1",
     "max(1, L['x'].size()[0] // 2) <= 512 and min(3, L['a']['b'].size()[1]) >= 2", "L['n'] == 3",
     "math.trunc(1.5*torch.sym_float(L['x'].size()[1])) == 12", "not L['x'].size()[0] == 1",
     "Eq(PythonMod(s1, 4), 0)", "L['k'] is None", "L['x'].size(0) < math.inf", "-1*s0 + 1e3"],
)  # fmt: skip
def test_sizes_and_checks_are_arithmetic(text: str) -> None:
    assert is_arithmetic(text)


@pytest.mark.parametrize(
    "text",
    ["", "open('x')", "__import__('os')", "s0.__class__", "L['x'].__class__", "L['x'].data_ptr()",
     "(lambda: 1)()", "[i for i in s0]", "f'{s0}'", "L.__class__", "L['x\\'].size()", "Symbol",
     "Symbol('s0', name=open)", "preview(s0)", "lambdify(s0, s0)", "Symbol('__import__(1)')",
     "math.inf.__class__", "torch.load(1)", "s0 if s1 else s2", "s0 := 1", "s0; s1", "s0\ns1",
     "9**9**9", "Pow(Integer(9), Pow(9, 9))", "2**s0", f"Integer({10**30})", "max(*s0)",
     "L['x'].size(**s0)", "print(s0)", "eval(s0)", "'text'", "b'x'", "...", "1j", "(s0, s1)"],
)  # fmt: skip
def test_what_is_no_arithmetic_is_refused(text: str) -> None:
    assert not is_arithmetic(text)


class Block(torch.nn.Module):  # type: ignore[misc, name-defined]
    """What convolutional networks have, in place and with sizes that may vary."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.BatchNorm2d(8),
            torch.nn.ReLU(inplace=True), torch.nn.MaxPool2d(2), torch.nn.Hardswish(inplace=True),
            torch.nn.Dropout(), torch.nn.GroupNorm(2, 8),
        )  # fmt: skip
        self.up = torch.nn.ConvTranspose2d(8, 4, 2, 2)

    def forward(self, x: Any) -> Any:
        y = self.layers(x)
        z = torch.nn.functional.interpolate(self.up(y), scale_factor=1.5, mode="bilinear")
        y += 1
        return z, y.mean([2, 3]).softmax(1)


class Sequence(torch.nn.Module):  # type: ignore[misc, name-defined]
    """What networks of text and sound have."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = torch.nn.Embedding(20, 8)
        self.layer = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.lstm = torch.nn.LSTM(8, 4, bidirectional=True, batch_first=True)

    def forward(self, ids: Any) -> Any:
        with torch.no_grad():
            x = self.layer(self.embed(ids))
        return self.lstm(x)[0][:, -1], x.argmax(-1), torch.tril(x @ x.mT)


@pytest.mark.parametrize(
    ("network", "example", "dynamic", "fed"),
    [
        (Block, torch.zeros(2, 3, 16, 16), (0, 2, 3), np.ones((3, 3, 12, 20), np.float32)),
        (Sequence, torch.zeros(2, 7, dtype=torch.int64), (0,), np.ones((3, 7), np.int64)),
    ],
)
def test_ordinary_networks_load_and_answer_as_the_module_does(
    network: Any, example: Any, dynamic: Any, fed: Any, tmp_path: Path
) -> None:
    made = network().eval()
    shapes = (dict.fromkeys(dynamic, torch.export.Dim.DYNAMIC),)
    session = load(exported(tmp_path / "m.pt2", made, example, shapes=shapes))
    with torch.no_grad():
        wanted = made(torch.from_numpy(fed.copy()))
    for ours, theirs in zip(session.run({session.inputs[0].name: fed}), wanted, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-4, atol=1e-5)


def test_branches_load(tmp_path: Path) -> None:
    def forward(x: Any) -> Any:
        return torch.cond(x.sum() > 0, lambda x: x * 2, lambda x: x - 1, (x,))

    session = load(exported(tmp_path / "m.pt2", module(forward), torch.ones(2, 4)))
    for sign, wanted in ((1, 2.0), (-1, -2.0)):
        (y,) = session.run({session.inputs[0].name: np.full((2, 4), sign, np.float32)})
        np.testing.assert_array_equal(y, np.full((2, 4), wanted))


def test_sizes_that_are_multiples_load(tmp_path: Path) -> None:
    half = torch.export.Dim("half", min=1, max=16)
    path = exported(
        tmp_path / "m.pt2", module(lambda x: x.reshape(-1, 2, 4).sum(1)), torch.zeros(6, 4),
        shapes=(({0: 2 * half},),),
    )  # fmt: skip
    session = load(path)
    (y,) = session.run({session.inputs[0].name: X})
    np.testing.assert_allclose(y, X.reshape(2, 2, 4).sum(1), rtol=1e-6)


# Arguments that are not tensors one by one


class Sum(torch.nn.Module):  # type: ignore[misc, name-defined]
    def forward(self, xs: list[Any], by: dict[str, Any], k: int, scale: Any = None) -> Any:
        y = xs[0] + xs[1] * k - by["less"]
        return {"sum": y, "all": [y * 2]} if scale is None else y * scale


def test_lists_dictionaries_and_numbers_are_taken_as_they_were_exported(tmp_path: Path) -> None:
    one, two, three = (torch.full((4, 4), float(k)) for k in (1, 2, 3))  # one object is one input
    session = load(exported(tmp_path / "m.pt2", Sum(), [one, two], {"less": three}, 3))
    names = [spec.name for spec in session.inputs]
    assert names == ["xs_0", "xs_1", "by_less"]
    assert {spec.shape for spec in session.inputs} == {(4, 4)}
    fed = {name: X * (k + 1) for k, name in enumerate(names)}
    y, twice = sorted(session.run(fed), key=lambda array: float(np.abs(array).sum()))
    np.testing.assert_allclose(y, X + 2 * X * 3 - 3 * X, rtol=1e-5)
    np.testing.assert_allclose(twice, 2 * y, rtol=1e-5)


def test_a_type_that_numpy_lacks_is_fed_as_float32(tmp_path: Path) -> None:
    path = exported(tmp_path / "m.pt2", module(lambda x: x * 2), torch.ones(4, 4).bfloat16())
    session = load(path)
    assert session.inputs[0].dtype == "float32"
    (y,) = session.run({session.inputs[0].name: X})
    np.testing.assert_allclose(y, 2 * X, rtol=2**-7)


class Optionals(torch.nn.Module):  # type: ignore[misc, name-defined]
    def forward(
        self, x: torch.Tensor, mask: torch.Tensor | None = None, k: int = 2
    ) -> torch.Tensor:
        return x * k if mask is None else x * mask


class Pair(torch.nn.Module):  # type: ignore[misc, name-defined]
    def forward(self, xs: tuple[torch.Tensor, torch.Tensor], k: float) -> torch.Tensor:
        return xs[0] - xs[1] * k


class AnyList(torch.nn.Module):  # type: ignore[misc, name-defined]
    def forward(self, xs: list[torch.Tensor]) -> torch.Tensor:
        return xs[0]


def test_defaults_of_a_script_stay_and_pairs_are_taken_apart(tmp_path: Path) -> None:
    session = load(scripted(tmp_path / "m.jit", Optionals()))
    assert [spec.name for spec in session.inputs] == ["x"]
    np.testing.assert_allclose(session.run({"x": X})[0], 2 * X)
    session = load(scripted(tmp_path / "m.pt", Pair()))
    assert [spec.name for spec in session.inputs] == ["xs_0", "xs_1", "k"]
    (y,) = session.run({"xs_0": X, "xs_1": X, "k": np.array(3.0)})
    np.testing.assert_allclose(y, -2 * X, rtol=1e-6)


def test_a_list_of_any_length_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"input 'xs' is a List\[Tensor\].*takes its tensors one"):
        load(scripted(tmp_path / "m.jit", AnyList()))


@pytest.mark.parametrize("form", ["pt2", "jit"])
def test_a_model_that_writes_into_its_input_leaves_the_callers_array(
    form: str, tmp_path: Path
) -> None:
    class InPlace(torch.nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x.mul_(2)
            return x + 1

    path = tmp_path / f"m.{form}"
    made = (
        scripted(path, InPlace()) if form == "jit" else exported(path, InPlace(), torch.ones(4, 4))
    )
    session, fed = load(made), X.copy()
    for _ in range(3):
        (y,) = session.run({session.inputs[0].name: fed})
        np.testing.assert_allclose(y, 2 * X + 1, rtol=1e-6)
    np.testing.assert_array_equal(fed, X)


# Scripts

KNOWN = frozenset(
    s.name.partition("::")[2]
    for s in torch._C._jit_get_all_schemas()
    if s.name.startswith("aten::")
)
HEAD = "class M(Module):\n  def forward(self: __torch__.M,\n    x: Tensor) -> Tensor:\n    "


def check(body: str, members: Mapping[str, bytes] | None = None) -> None:
    check_programs({"m/code/m.py": (HEAD + body).encode(), **(members or {})}, KNOWN, Path("m.jit"))


@pytest.mark.parametrize(
    "body",
    ["return torch.relu_(torch.add(x, 1))", "return (self.conv).forward(x, )",
     "return ops.quantized.linear(x, self.packed, 1., 0)", "return annotate(Tensor, x)",
     "_0 = getattr(self, \"0\")\n    return (_0).forward(x, )", "return CONSTANTS.c0",
     "return __torch__.other.function(x, )", "ops.prim.RaiseException(\"no\")\n    return x",
     "return torch.slice(x, 0, torch.len([1]), torch.size(x, 0))", "return self.from_here",
     "if torch.__isnot__(x, None):\n      pass\n    return unchecked_cast(Tensor, x)"],
)  # fmt: skip
def test_programs_that_compute_are_read(body: str) -> None:
    check(body)


@pytest.mark.parametrize(
    "body",
    ["torch.save(x, \"f\")", "_f = torch.from_file(\"f\", True, 4)", "ops.aten.save(x, \"f\")",
     "ops.mine.anything(x)", "x.save(\"f\")", "(x).from_file(\"f\")", "f = torch.save\n    f(x, \"f\")",
     "t = torch\n    t.save(x, \"f\")", "ns = ops.aten\n    ns.save(x, \"f\")", "torch.ops.aten.save(x)",
     "getattr(x, \"save\")(\"f\")", "getattr(torch, \"save\")(x, \"f\")", "getattr(x, \"s\\141ve\")(\"f\")",
     "torch.set_(x, x)", "torch.jit.load(\"f\")", "ops.prim.rpc_sync(x)", "import os",
     "torch.manual_seed(1)", "x.resize_([9])"],
)  # fmt: skip
def test_programs_that_do_more_are_refused(body: str) -> None:
    with pytest.raises(InputError, match="not among the operators that only compute"):
        check(f"{body}\n    return x")


def test_classes_of_other_libraries_are_refused() -> None:
    check(
        "return x", {"m/data.pkl": b"c__torch__.torch.classes.quantized\nLinearPackedParamsBase\n"}
    )
    with pytest.raises(InputError, match=r"torch\.classes\.dist_c10d"):
        check("return x", {"m/data.pkl": b"c__torch__.torch.classes.dist_c10d\nStore\n"})


def test_what_is_checked_is_what_is_loaded(tmp_path: Path) -> None:
    whole = models.script_model(tmp_path / "m.jit")
    twice = tmp_path / "twice.jit"
    with (
        warnings.catch_warnings(),
        zipfile.ZipFile(whole) as old,
        zipfile.ZipFile(twice, "w") as new,
    ):
        warnings.simplefilter("ignore")
        for name in old.namelist():
            for _ in range(2 if name.endswith(".py") else 1):
                new.writestr(name, old.read(name))
    with pytest.raises(InputError, match=r"2 times"):
        load(twice)


def test_a_checkpoint_of_weights_is_told_from_a_script(tmp_path: Path) -> None:
    torch.save({"w": torch.zeros(2)}, tmp_path / "m.pt")
    with pytest.raises(InputError, match=r"holds no program.*torch\.export\.save"):
        load(tmp_path / "m.pt")


def test_names_of_scripts_are_a_part_of_the_list() -> None:
    assert operators.ATEN < SCRIPT_ATEN
