"""Backends on a small model: the same answers, proof of placement, and clear errors."""

from __future__ import annotations

import io
import json
import pickle
import re
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import extensions
from bench.errors import InputError
from bench.measure.backends import Session
from bench.measure.backends._onnx_file import check_weights
from bench.measure.backends._onnxruntime import CPU, placement_of
from bench.measure.backends.tensorrt import Options as TensorRtOptions
from bench.measure.backends.tensorrt import batch_shapes
from bench.measure.clock import WallClock
from tests import models

BACKENDS = "bench.measure.backends"
X = np.random.default_rng(1).standard_normal((5, 4)).astype(np.float32)

ONNX = ("onnxruntime-cpu", "openvino-cpu")


def backend(name: str) -> Any:
    module = extensions.load(BACKENDS, name)
    if reason := module.missing():
        pytest.skip(f"{name} needs {reason}")
    return module


def load(name: str, path: Path, **options: Any) -> Session:
    module = backend(name)
    session: Session = module.load(path, module.Options(**options), 1, WallClock())
    return session


def needs(*packages: str) -> None:
    for package in packages:
        pytest.importorskip(package, reason=f"{package} is not installed")


@pytest.fixture(scope="module")
def onnx_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    needs("onnx")
    return models.onnx_model(tmp_path_factory.mktemp("onnx") / "small.onnx")


@pytest.mark.parametrize("name", ONNX)
def test_onnx_backends_agree_with_the_formula(name: str, onnx_path: Path) -> None:
    session = load(name, onnx_path)
    for rows in (X, X[:1], X):
        (y,) = session.run({"x": rows})
        np.testing.assert_allclose(y, models.expected(rows), rtol=1e-5)
    assert [spec.name for spec in session.inputs] == ["x"]
    assert session.inputs[0].shape == (None, 4)
    assert session.inputs[0].dtype == "float32"
    assert session.metadata()["note"] == "made for a test"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("torch-eager", "export"),
        ("torch-eager", "script"),
        pytest.param("torch-compile", "export", marks=pytest.mark.slow),
    ],
)
def test_torch_backends_agree_with_the_formula(name: str, kind: str, tmp_path: Path) -> None:
    needs("torch")
    if kind == "export":
        path = models.export_model(tmp_path / "small.pt2")
    else:
        path = models.script_model(tmp_path / "small.jit")
    session = load(name, path)
    for rows in (X, X[:1], X[:3]):
        (y,) = session.run({"x": rows})
        np.testing.assert_allclose(y, models.expected(rows), rtol=1e-5)
    assert [spec.name for spec in session.inputs] == ["x"]
    placed = session.placement()
    assert placed.nodes == {"cpu": 2}
    assert placed.elsewhere == []


def test_answers_are_not_changed_by_later_calls(onnx_path: Path) -> None:
    for name in ONNX:
        session = load(name, onnx_path)
        (first,) = session.run({"x": X})
        kept = first.copy()
        session.run({"x": X * 2})
        np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("name", ONNX)
def test_placement_is_proven(name: str, onnx_path: Path) -> None:
    session = load(name, onnx_path)
    session.run({"x": X})
    placed = session.placement()
    assert placed.proof
    assert placed.elsewhere == []
    assert sum(placed.nodes.values()) > 0


def test_a_recorded_fall_back_to_the_cpu_is_named() -> None:
    cuda = "CUDAExecutionProvider"
    nodes = [(cuda, "Conv"), (cuda, "Relu"), (CPU, "Shape"), (CPU, "NonMaxSuppression")]
    placed = placement_of(nodes, cuda, {"Shape"})
    assert placed.nodes == {cuda: 2, CPU: 2}
    assert placed.elsewhere == ["NonMaxSuppression"]
    assert placement_of(nodes[:3], cuda, {"Shape"}).elsewhere == []


def test_one_training_step_moves_the_weights(tmp_path: Path) -> None:
    needs("torch")
    session: Any = load("torch-eager", models.export_model(tmp_path / "m.pt2"), step="training")
    before = [p.detach().clone() for p in session._module.parameters()]
    (y,) = session.run({"x": X})
    np.testing.assert_allclose(y, models.expected(X), rtol=1e-5)
    after = list(session._module.parameters())
    assert any(bool((a != b).any()) for a, b in zip(before, after, strict=True))


def test_what_cannot_be_trained_is_said(tmp_path: Path) -> None:
    needs("torch")
    import torch

    program = torch.export.export(torch.nn.ReLU(), (torch.zeros(2, 4),))
    torch.export.save(program, str(tmp_path / "m.pt2"))
    with pytest.raises(InputError, match="no weights that can be trained"):
        load("torch-eager", tmp_path / "m.pt2", step="training")


@pytest.mark.slow
def test_a_new_batch_size_is_not_compiled_anew(tmp_path: Path) -> None:
    needs("torch")
    session = load("torch-compile", models.export_model(tmp_path / "m.pt2"))
    from torch._dynamo.utils import counters

    for size in (1, 5):
        session.run({"x": X[:size]})
    compiled = counters["stats"]["unique_graphs"]
    assert compiled > 0
    for size in (3, 2, 4):
        session.run({"x": X[:size]})
    assert counters["stats"]["unique_graphs"] == compiled


def test_threads_are_as_many_as_asked_for(onnx_path: Path, tmp_path: Path) -> None:
    openvino: Any = load("openvino-cpu", onnx_path)
    assert openvino._compiled.get_property("INFERENCE_NUM_THREADS") == 1
    needs("torch")
    import torch

    load("torch-eager", models.export_model(tmp_path / "m.pt2"))
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_openvino_computes_in_the_precision_that_is_asked_for_or_refuses(
    precision: str, onnx_path: Path
) -> None:
    needs("openvino")
    import openvino

    able = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if precision.upper() in able:
        (y,) = load("openvino-cpu", onnx_path, precision=precision).run({"x": X})
        np.testing.assert_allclose(y, models.expected(X), rtol=0.05, atol=0.05)
    else:
        with pytest.raises(InputError, match=f"does not compute in {precision}"):
            load("openvino-cpu", onnx_path, precision=precision)


def test_openvino_compiles_once_for_every_shape_it_meets_where_shapes_are_static(
    onnx_path: Path,
) -> None:
    session: Any = load("openvino-cpu", onnx_path, shapes="static")
    for rows in (X, X[:1], X, X[:1]):
        (y,) = session.run({"x": rows})
        np.testing.assert_allclose(y, models.expected(rows), rtol=1e-5)
        assert session._compiled.input(0).partial_shape.is_static
    assert len(session._requests) == 2


def test_a_conversion_that_changes_nothing_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs("onnx")
    from onnx import TensorProto, helper

    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    ports = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", 4]) for n in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", ports[:1], ports[1:])
    path = tmp_path / "relu.onnx"
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8)
    path.write_bytes(model.SerializeToString())
    module = backend("onnxruntime-cpu")
    for precision in ("int8-dynamic", "int8-static"):
        with pytest.raises(InputError, match="would change nothing"):
            module.convert(path, module.Options(precision=precision), lambda: [{"x": X}])
    other = backend("openvino-cpu")
    with pytest.raises(InputError, match="only an ONNX file"):
        other.convert(
            tmp_path / "m.tflite", other.Options(precision="int8-static"), lambda: [{"x": X}]
        )


@pytest.mark.parametrize("precision", ["fp16", "int8-dynamic", "int8-static"])
def test_converted_models_are_near_the_original(
    precision: str, onnx_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    module = backend("onnxruntime-cpu")
    options = module.Options(precision=precision)
    path = module.convert(onnx_path, options, lambda: [{"x": X}])
    assert path != onnx_path
    (y,) = module.load(path, options, 1, WallClock()).run({"x": X})
    error = np.linalg.norm(y - models.expected(X)) / np.linalg.norm(models.expected(X))
    assert 0 < error < 0.05
    made = path.stat().st_mtime_ns
    assert module.convert(onnx_path, options, lambda: [{"x": X}]) == path
    assert path.stat().st_mtime_ns == made


@pytest.mark.parametrize("optimisation", ["none", "basic", "extended", "all"])
def test_every_level_of_optimisation_gives_the_same_answer(
    optimisation: str, onnx_path: Path
) -> None:
    (y,) = load("onnxruntime-cpu", onnx_path, optimisation=optimisation).run({"x": X})
    np.testing.assert_allclose(y, models.expected(X), rtol=1e-5)


def broken_files(folder: Path, whole: Path) -> dict[str, Path]:
    """Files that are no models, by what is wrong with them."""
    content = {
        "empty": b"",
        "truncated": whole.read_bytes()[: whole.stat().st_size // 2],
        "a pickle": pickle.dumps({"a": 1}),
        "noise": b"\x08\x07garbage",
    }
    paths = {}
    for name, data in content.items():
        paths[name] = folder / f"{name}.onnx"
        paths[name].write_bytes(data)
    return paths


@pytest.mark.parametrize("name", ONNX)
@pytest.mark.parametrize("fault", ["empty", "truncated", "a pickle", "noise", "missing"])
def test_a_broken_file_is_one_clear_error(
    name: str, fault: str, onnx_path: Path, tmp_path: Path
) -> None:
    path = broken_files(tmp_path, onnx_path).get(fault, tmp_path / "missing.onnx")
    with pytest.raises(InputError, match=path.name):
        load(name, path)


def test_an_operator_set_nobody_knows(tmp_path: Path) -> None:
    needs("onnx")  # OpenVINO reads such a file as its newest operator set, and rightly answers
    path = models.onnx_model(tmp_path / "future.onnx", opset=999)
    with pytest.raises(InputError, match="future"):
        load("onnxruntime-cpu", path)


@pytest.mark.parametrize("name", ONNX)
def test_weights_outside_the_folder_are_refused(name: str, tmp_path: Path) -> None:
    needs("onnx")
    (tmp_path / "inner").mkdir()
    (tmp_path / "secret.bin").write_bytes(models.WEIGHTS.tobytes())
    module = backend(name)
    for location, said in (("../secret.bin", "outside its folder"), ("none.bin", "missing")):
        path = models.onnx_model(tmp_path / "inner" / "m.onnx", location=location)
        with pytest.raises(InputError, match=said):
            check_weights(path)
        with pytest.raises(InputError, match=r"m\.onnx"):  # the runtimes refuse it as well
            module.load(path, module.Options(), 1, WallClock())


class Bomb:
    """Pickled, it would run code when read."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, ("exploded", "w"))


@pytest.mark.parametrize("inner", ["data/custom_objs/obj_0", "data/constants/opaque_obj_0"])
def test_an_archive_with_pickles_is_refused(inner: str, tmp_path: Path) -> None:
    needs("torch")
    path = models.export_model(tmp_path / "m.pt2")
    with zipfile.ZipFile(path, "a") as archive:
        root = archive.namelist()[0].partition("/")[0]
        archive.writestr(f"{root}/{inner}", pickle.dumps(Bomb()))
    with pytest.raises(InputError, match="unpickling"):
        load("torch-eager", path)
    assert not Path("exploded").exists()


def test_pickled_example_inputs_are_never_read(tmp_path: Path) -> None:
    needs("torch")
    whole, evil = models.export_model(tmp_path / "m.pt2"), tmp_path / "evil.pt2"
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(evil, "w") as new:
        for name in old.namelist():
            content = pickle.dumps(Bomb()) if "sample_inputs" in name else old.read(name)
            new.writestr(name, content)
    (y,) = load("torch-eager", evil).run({"x": X})
    np.testing.assert_allclose(y, models.expected(X), rtol=1e-5)
    assert not Path("exploded").exists()


def _rewrite(whole: Path, changed: Path, edit: Callable[[dict[str, Any]], str]) -> Path:
    """The archive with the text that ``edit`` makes of its graph."""
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name.endswith("models/model.json"):
                content = edit(json.loads(content)).encode()
            new.writestr(name, content)
    return changed


CODE = "open('exploded','w')"


def _evil_size(graph: dict[str, Any]) -> str:
    return re.sub(r"Symbol\('s\d+'", f"({CODE}, Symbol('s0'", json.dumps(graph), count=1)


def _evil_name(graph: dict[str, Any]) -> str:
    return json.dumps(graph).replace('"x"', f'"x={CODE}"')


def _evil_check(graph: dict[str, Any]) -> str:
    return json.dumps({**graph, "guards_code": [f"{CODE} is None"]})


def _evil_input(graph: dict[str, Any]) -> str:
    text = json.dumps(graph)
    return text.replace('\\"context\\": \\"[]\\"', f'\\"context\\": \\"[{CODE}]\\"')


@pytest.mark.parametrize("edit", [_evil_size, _evil_name, _evil_check, _evil_input])
def test_an_archive_with_code_in_its_graph_is_refused(
    edit: Callable[[dict[str, Any]], str], tmp_path: Path
) -> None:
    needs("torch")
    whole = models.export_model(tmp_path / "m.pt2")
    _rewrite(whole, tmp_path / "same.pt2", json.dumps)
    load("torch-eager", tmp_path / "same.pt2").run({"x": X})
    with pytest.raises(InputError, match=r"may be code|no torch\.export archive"):
        load("torch-eager", _rewrite(whole, tmp_path / "evil.pt2", edit))
    assert not Path("exploded").exists()


def test_a_script_that_writes_files_is_refused(tmp_path: Path) -> None:
    needs("torch")
    path = models.script_model(tmp_path / "m.jit")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "evil.jit", "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name.endswith(".py"):
                content = content.replace(b"  return", b'  torch.save(x, "exploded")\n    return')
            new.writestr(name, content)
    with pytest.raises(InputError, match=r"calls .torch\.save., which is not among the operators"):
        load("torch-eager", tmp_path / "evil.jit")
    load("torch-eager", path).run({"x": X})
    assert not Path("exploded").exists()


def test_a_torch_pickle_is_no_archive(tmp_path: Path) -> None:
    needs("torch")
    for name, content in (("m.pt2", pickle.dumps(Bomb())), ("m.jit", pickle.dumps(Bomb()))):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=name):
            load("torch-eager", tmp_path / name)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("m/data.pkl", pickle.dumps(Bomb()))
    (tmp_path / "m.jit").write_bytes(buffer.getvalue())
    with pytest.raises(InputError, match=r"m\.jit"):
        load("torch-eager", tmp_path / "m.jit")
    assert not Path("exploded").exists()


def test_a_litert_file_that_is_none(tmp_path: Path) -> None:
    for content in (b"", b"TFL3garbage"):
        (tmp_path / "m.tflite").write_bytes(content)
        with pytest.raises(InputError, match=r"m\.tflite"):
            load("litert-cpu", tmp_path / "m.tflite")


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        ((-1, 3, 8), ((1, 3, 8), (4, 3, 8), (4, 3, 8))),
        ((2, 3), ((2, 3), (2, 3), (2, 3))),
    ],
)
def test_tensorrt_profiles(shape: tuple[int, ...], wanted: Sequence[tuple[int, ...]]) -> None:
    assert batch_shapes("x", shape, TensorRtOptions(max_batch=4)) == wanted
    with pytest.raises(InputError, match=r"shapes: \{x:"):
        batch_shapes("x", (-1, -1), TensorRtOptions())


@pytest.mark.parametrize("name", extensions.names(BACKENDS))
def test_what_is_missing_is_said_with_a_remedy(name: str) -> None:
    reason = extensions.load(BACKENDS, name).missing()
    assert reason is None or len(reason) > 10
    assert reason is None or not reason.endswith(".")
