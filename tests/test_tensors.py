"""Models of plain tensors: inputs and outputs of every type and shape, supported or refused in words."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import extensions
from bench.errors import InputError
from bench.measure import message
from bench.measure.backends import TensorSpec
from bench.measure.backends._signature import distinct
from bench.measure.clock import WallClock
from bench.measure.reference import compare_outputs, run_one
from bench.measure.tasks import ONE_STAGE, tensors
from bench.measure.tasks._tensor_inputs import draw_request, read_request, wanted_inputs
from bench.measure.worker import serve
from tests import models

pytest.importorskip("onnxruntime")
DATA = Path(__file__).parent / "data"
onnx = pytest.importorskip("onnx")
FLOAT, INT64, STRING = (getattr(onnx.TensorProto, name) for name in ("FLOAT", "INT64", "STRING"))


def ready(
    path: Path, backend: str = "onnxruntime-cpu", **options: Any
) -> tuple[tensors.Tensors, dict[str, Any]]:
    """The task with its model loaded."""
    task = tensors.build(tensors.Options.model_validate({"file": path, **options}))
    module = extensions.load("bench.measure.backends", backend)
    if reason := module.missing():
        pytest.skip(f"needs {reason}")
    sessions = {ONE_STAGE: module.load(path, module.Options(), 1, WallClock())}
    task.prepare(sessions)
    return task, sessions


def relu(path: Path, into: Any, out: Any, kind: Any = FLOAT) -> Path:
    return models.graph_model(
        path, [("Relu", ["x"], ["y"], {})], [("x", kind, into)], [("y", kind, out)]
    )


# What a request and an answer weigh.


def test_a_drawn_input_and_its_answer_weigh_what_their_tensors_do(tmp_path: Path) -> None:
    path = relu(tmp_path / "m.onnx", ["b", 3, 20, 30], ["b", 3, 20, 30])
    task, sessions = ready(path, samples=4)
    batch = serve(task, sessions, task.samples[:3], WallClock())
    assert batch.input_bytes == [3 * 20 * 30 * 4] * 3
    assert batch.output_bytes == [3 * 20 * 30 * 4] * 3
    # Of a long answer only what is compared is kept.
    assert all(len(kept) < 3 * 20 * 30 * 4 for kept in batch.outputs)


def test_files_and_drawn_numbers_of_one_shape_weigh_the_same(tmp_path: Path) -> None:
    path = relu(tmp_path / "m.onnx", ["b", 50], ["b", 50])
    folder = tmp_path / "npz"
    folder.mkdir()
    for number in range(2):
        np.savez(folder / f"{number}.npz", x=np.full(50, number, dtype=np.float32))
    sizes = []
    for options in ({"samples": 2}, {"inputs": folder}):
        task, sessions = ready(path, **options)
        sizes.append(serve(task, sessions, task.samples, WallClock()).input_bytes)
    assert sizes[0] == sizes[1] == [200, 200]


def test_nothing_is_drawn_or_read_inside_the_timed_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "npz"
    folder.mkdir()
    np.savez(folder / "a.npz", x=np.zeros(8, dtype=np.float32))
    path = relu(tmp_path / "m.onnx", ["b", 8], ["b", 8])
    served = [ready(path), ready(path, inputs=folder)]

    def too_late(*_: Any, **__: Any) -> None:
        raise AssertionError("inputs are made while the clock runs")

    monkeypatch.setattr(np.random, "default_rng", too_late)
    monkeypatch.setattr(np, "load", too_late)
    monkeypatch.setattr(Path, "read_bytes", too_late)
    for task, sessions in served:
        assert serve(task, sessions, task.samples[:1], WallClock()).error is None


def test_what_is_kept_of_an_answer_agrees_with_itself_alone(tmp_path: Path) -> None:
    path = relu(tmp_path / "m.onnx", ["b", 3, 40, 40], ["b", 3, 40, 40])
    task, sessions = ready(path, samples=2)
    first, second = (
        task.read(serve(task, sessions, [s], WallClock()).outputs[0]) for s in task.samples
    )
    assert task.agrees(first, first)
    assert not task.agrees(first, second)


@pytest.mark.parametrize(
    "arrays",
    [
        [np.arange(6, dtype=np.int64).reshape(2, 3), np.float32(1.5)],
        [np.zeros((0, 4), dtype=np.float16), np.array([True, False])],
        [np.array([["a", "ärger"], ["", "z"]], dtype=object), np.array(b"raw", dtype=object)],
    ],
)
def test_a_message_there_and_back(arrays: list[Any]) -> None:
    packed = message.pack(arrays)
    for found, sent in zip(message.unpack(packed), map(np.asarray, arrays), strict=True):
        assert found.shape == sent.shape
        if message.is_text(sent):
            assert (message.as_text(found) == message.as_text(sent)).all()
        else:
            assert found.dtype == sent.dtype
            np.testing.assert_array_equal(found, sent)
    assert message.weight(packed) == message.array_bytes([np.asarray(a) for a in arrays])


def test_text_weighs_its_letters_and_a_length_each() -> None:
    assert message.weight(message.pack([np.array(["ab", "é"], dtype=object)])) == 4 + 2 + 4 + 2


# Outputs.


@pytest.mark.parametrize("second", ["ReduceMean", "NonZero"])
def test_an_output_that_is_no_batch_is_refused_or_asked_one_by_one(
    tmp_path: Path, second: str
) -> None:
    attributes = {"keepdims": 0} if second == "ReduceMean" else {}
    path = models.graph_model(
        tmp_path / "m.onnx",
        [("Relu", ["x"], ["y"], {}), (second, ["x"], ["z"], attributes)],
        [("x", FLOAT, ["b", 8])],
        [("y", FLOAT, ["b", 8]), ("z", INT64 if second == "NonZero" else FLOAT, None)],
    )
    task, sessions = ready(path)
    with pytest.raises(InputError, match=r"output 1 has the shape .*batched: false.*export"):
        run_one(task, sessions, task.samples[0])
    task, sessions = ready(path, batched=False, shape={"x": [2, 8]})
    batch = serve(task, sessions, task.samples[:1], WallClock())
    assert batch.input_bytes == [2 * 8 * 4]
    assert len(batch.outputs) == 1


def test_a_batch_fixed_at_one_needs_no_option(tmp_path: Path) -> None:
    path = models.graph_model(
        tmp_path / "m.onnx",
        [("Greater", ["x", "limit"], ["g"], {}), ("NonZero", ["g"], ["z"], {})],
        [("x", FLOAT, [1, 8])],
        [("z", INT64, [2, "n"])],
        limit=np.array(9, dtype=np.float32),
    )
    task, sessions = ready(path)  # numbers above 9 are never drawn: no detection at all
    assert task.largest_batch == 1
    batch = serve(task, sessions, task.samples[:1], WallClock())
    assert task.read(batch.outputs[0]) == {"outputs": [{"shape": [2, 0], "values": []}]}


@pytest.mark.parametrize("shape", [[4, 8], [200, 3], [10, "b", 16]])
def test_a_first_dimension_that_is_no_batch_is_refused(tmp_path: Path, shape: list[Any]) -> None:
    path = relu(tmp_path / "m.onnx", shape, shape)
    with pytest.raises(InputError, match=rf"is {shape[0]} and fixed.*batched: false.*export"):
        ready(path, shape={"x": [5, 16]} if len(shape) == 3 else {})
    whole = {"x": [10, 5, 16]} if len(shape) == 3 else {}
    task, sessions = ready(path, batched=False, shape=whole)
    (y,) = run_one(task, sessions, task.samples[0])
    assert list(y.shape) == [5 if size == "b" else size for size in shape]


def test_sequences_and_dictionaries_are_refused_with_the_way_out(tmp_path: Path) -> None:
    helper = onnx.helper
    tensor = helper.make_tensor_type_proto(FLOAT, ["b", 8])
    split = models.graph_model(
        tmp_path / "split.onnx",
        [("SplitToSequence", ["x"], ["s"], {})],
        [("x", FLOAT, ["b", 8])],
        [("s", helper.make_sequence_type_proto(tensor), None)],
    )
    with pytest.raises(InputError, match=r"output 's' is a sequence of tensors.*of its own"):
        ready(split)
    join = models.graph_model(
        tmp_path / "join.onnx",
        [("ConcatFromSequence", ["s"], ["y"], {"axis": 0})],
        [("s", helper.make_sequence_type_proto(tensor), None)],
        [("y", FLOAT, None)],
    )
    with pytest.raises(InputError, match="input 's' is a sequence of tensors"):
        ready(join)


def sklearn_model(path: Path, labels: list[Any], **options: Any) -> Path:
    skl2onnx = pytest.importorskip("skl2onnx")
    linear = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(0)
    fitted = linear.LogisticRegression().fit(
        rng.standard_normal((40, 4)).astype(np.float32), labels * 20
    )
    kinds = [("X", skl2onnx.common.data_types.FloatTensorType([None, 4]))]
    content = skl2onnx.to_onnx(
        fitted, initial_types=kinds, target_opset=17, options={id(fitted): options}
    )
    path.write_bytes(content.SerializeToString())
    return path


@pytest.mark.filterwarnings("ignore")  # the converter's notes to its own authors
def test_a_classifier_with_dictionaries_names_zipmap(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'zipmap': False"):
        ready(sklearn_model(tmp_path / "m.onnx", [0, 1]))


@pytest.mark.filterwarnings("ignore")
def test_a_classifier_with_words_for_labels_is_measured(tmp_path: Path) -> None:
    path = sklearn_model(tmp_path / "m.onnx", ["no", "yes"], zipmap=False)
    task, sessions = ready(path)
    batch = serve(task, sessions, task.samples[:4], WallClock())
    words = {task.read(kept)["outputs"][0]["text"][0] for kept in batch.outputs}
    assert words <= {"no", "yes"}
    assert batch.output_bytes[0] in (4 + 2 + 8, 4 + 3 + 8)
    outputs = [run_one(task, sessions, sample) for sample in task.samples[:4]]
    assert [p.relative_error for p in compare_outputs([(o, o) for o in outputs])] == [0, 0]


def test_words_that_differ_are_apart() -> None:
    ours, theirs = (np.array(words, dtype=object) for words in (["a", "b"], ["a", "c"]))
    (parity,) = compare_outputs([([ours], [theirs.astype(str)])])
    assert parity.largest_difference == 1
    assert parity.relative_error == pytest.approx(0.5**0.5)


def test_minus_infinity_is_an_answer_where_the_reference_has_it_too(tmp_path: Path) -> None:
    path = models.graph_model(
        tmp_path / "m.onnx",
        [("Greater", ["x", "zero"], ["g"], {}), ("Where", ["g", "x", "low"], ["y"], {})],
        [("x", FLOAT, ["b", 8])],
        [("y", FLOAT, ["b", 8])],
        zero=np.array(0, dtype=np.float32),
        low=np.array(-np.inf, dtype=np.float32),
    )
    task, sessions = ready(path)
    masked = run_one(task, sessions, task.samples[0])
    (parity,) = compare_outputs([(masked, masked)])
    assert parity.relative_error == 0
    (parity,) = compare_outputs([([np.zeros_like(masked[0])], masked)])
    assert parity.relative_error > 1
    batch = serve(task, sessions, task.samples[:2], WallClock())
    first, second = map(task.read, batch.outputs)
    assert task.agrees(first, first)
    assert not task.agrees(first, second)


def test_an_overflow_is_none_and_a_hole_in_the_input_is_named(tmp_path: Path) -> None:
    path = models.graph_model(
        tmp_path / "m.onnx", [("Exp", ["x"], ["y"], {})], [("x", FLOAT, ["b", 2])],
        [("y", FLOAT, ["b", 2])],
    )  # fmt: skip
    for name, row, said in (
        ("a", [1, 1000], "1 of 2 values that are not finite"),
        ("b", [1, np.nan], "so does its input 'x'"),
    ):
        folder = tmp_path / name
        folder.mkdir()
        np.savez(folder / "one.npz", x=np.array(row, dtype=np.float32))
        task, sessions = ready(path, inputs=folder)
        with pytest.raises(InputError, match=rf"one\.npz: .*{said}"):
            run_one(task, sessions, task.samples[0])


# Inputs.


def asked(**options: Any) -> tensors.Options:
    return tensors.Options.model_validate({"file": "model.onnx", **options})


def drawn(spec: TensorSpec, **options: Any) -> Any:
    chosen = asked(**options)
    return draw_request(wanted_inputs([spec], chosen, "m"), chosen, 0)[0]


@pytest.mark.parametrize(
    ("spec", "options", "low", "high", "dtype"),
    [
        (TensorSpec("ids", "int64", (None, 500)), {}, 0, 99, "int64"),
        (TensorSpec("ids", "int32", (None, 500)), {"integers_below": 7}, 0, 6, "int32"),
        (TensorSpec("pixels", "uint8", (None, 5000)), {}, 0, 255, "uint8"),
        (TensorSpec("pixels", "uint8", (None, 5000)), {"integers_below": 1000}, 0, 255, "uint8"),
        (TensorSpec("q", "int8", (None, 5000)), {}, -128, 127, "int8"),
        (TensorSpec("on", "bool", (None, 100)), {}, 0, 1, "bool"),
        (TensorSpec("attention_mask", "int64", (None, 100)), {}, 1, 1, "int64"),
        (TensorSpec("token_type_ids", "int64", (None, 100)), {}, 0, 1, "int64"),
        (TensorSpec("ids", "int64", (None, 500)), {"range": {"ids": [-3, 3]}}, -3, 3, "int64"),
        (TensorSpec("p", "float16", (None, 500)), {"range": {"p": [0, 1]}}, 0, 1, "float16"),
    ],
)
def test_each_input_is_drawn_in_its_own_type_and_range(
    spec: TensorSpec, options: dict[str, Any], low: int, high: int, dtype: str
) -> None:
    array = drawn(spec, **options)
    assert array.dtype.name == dtype
    assert array.shape == spec.shape[1:]
    assert array.min() >= low
    assert array.max() <= high
    if dtype != "float16":
        assert {int(array.min()), int(array.max())} == {low, high}


def test_a_model_that_does_not_say_its_types_is_told_them() -> None:
    spec = TensorSpec("ids", "unknown", ())
    array = drawn(spec, shape={"ids": [5]}, types={"ids": "int64"})
    assert array.dtype == np.int64
    assert drawn(spec, shape={"ids": [5]}).dtype == np.float32


@pytest.mark.parametrize(
    ("spec", "options", "said"),
    [
        (("x", "float32", (None, 64)), {"shape": {"xx": [64]}}, r"task\.shape: unknown .*mean 'x'"),
        (("x", "float32", (None, 64)), {"range": {"y": [0, 1]}}, r"task\.range: unknown"),
        (("x", "float32", (None, 64)), {"shape": {"x": [1, 64]}}, "Leave the batch out"),
        (("x", "float32", (None, 64)), {"shape": {"x": [65]}}, r"Allowed: \[64\]"),
        (("x", "float32", (None, None)), {}, r"leaves the shape .* open: \[…\]"),
        (("x", "unknown", ()), {}, "it says nothing of it"),
        (("x", "object", (None, 2)), {}, "strings, which cannot be drawn.*inputs: FOLDER"),
        (("x", "float32", (None, 2)), {"types": {"x": "int64"}}, "is float32 and not int64"),
        (("x", "uint8", (None, 2)), {"range": {"x": [0, 256]}}, "whole numbers from 0 to 255"),
        (("x", "int64", (None, 2)), {"range": {"x": [0.5, 2]}}, "whole numbers"),
        (("x", "float32", ()), {}, "no input of the model has a dimension for the batch"),
    ],
)
def test_what_cannot_be_drawn_is_said(spec: Any, options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        drawn(TensorSpec(*spec), **options)


def test_a_model_without_inputs_is_refused() -> None:
    with pytest.raises(InputError, match="has no input"):
        wanted_inputs([], asked(), "m.onnx")


def test_a_scalar_is_shared_by_the_batch(tmp_path: Path) -> None:
    path = models.graph_model(
        tmp_path / "m.onnx",
        [("Mul", ["x", "t"], ["y"], {})],
        [("x", FLOAT, ["b", 8]), ("t", FLOAT, [])],
        [("y", FLOAT, ["b", 8])],
    )
    task, sessions = ready(path)
    feeds = task.preprocess(task.input(task.samples[:3]))
    assert feeds["t"].shape == ()
    (y,) = task.execute(sessions, feeds)
    np.testing.assert_allclose(y, feeds["x"] * feeds["t"], rtol=1e-6)
    folder = tmp_path / "npz"
    folder.mkdir()
    for number in range(2):
        x = np.ones(8, dtype=np.float32)
        np.savez(folder / f"{number}.npz", x=x, t=np.float32(number))
    task, _ = ready(path, inputs=folder)  # thresholds that differ cannot share a batch
    assert task.largest_batch == 1
    assert "one request is one call" in (task.caveat or "")


def test_inputs_of_several_lengths_are_asked_one_by_one(tmp_path: Path) -> None:
    path = relu(tmp_path / "m.onnx", ["b", "n"], ["b", "n"])
    folder = tmp_path / "npz"
    folder.mkdir()
    for length in (3, 5):
        np.savez(folder / f"{length}.npz", x=np.ones(length, dtype=np.float32))
    task, sessions = ready(path, inputs=folder)
    assert task.largest_batch == 1
    assert [run_one(task, sessions, s)[0].shape for s in task.samples] == [(1, 3), (1, 5)]


def test_strings_go_in_and_come_out(tmp_path: Path) -> None:
    path = models.graph_model(
        tmp_path / "m.onnx", [("Identity", ["x"], ["y"], {})], [("x", STRING, ["b", 2])],
        [("y", STRING, ["b", 2])],
    )  # fmt: skip
    folder = tmp_path / "npz"
    folder.mkdir()
    np.savez(folder / "a.npz", x=np.array(["one", "zwölf"]))
    task, sessions = ready(path, inputs=folder)
    batch = serve(task, sessions, task.samples, WallClock())
    assert batch.input_bytes == batch.output_bytes == [4 + 3 + 4 + 6]
    assert task.read(batch.outputs[0])["outputs"][0]["text"] == ["one", "zwölf"]


def damaged(folder: Path, how: str) -> None:
    good = np.ones(64, dtype=np.float32)
    np.savez(folder / "0.npz", x=good)
    bad = folder / "1.npz"
    if how == "cut":
        bad.write_bytes((folder / "0.npz").read_bytes()[:200])
    elif how == "folder":
        bad.mkdir()
    elif how == "pipe":
        os.mkfifo(bad)
    elif how == "empty":
        bad.write_bytes(b"")
    elif how == "flipped":
        content = bytearray((folder / "0.npz").read_bytes())
        content[200] ^= 0xFF
        bad.write_bytes(content)
    elif how == "pickled":
        np.savez(bad, x=np.array([{"a": 1}], dtype=object))
    elif how == "header":  # an array that would not fit into any memory
        with zipfile.ZipFile(bad, "w") as file:
            head = "{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999999, 9), }"
            file.writestr("x.npy", b"\x93NUMPY\x01\x00" + bytes([80, 0]) + head.ljust(80).encode())
    elif how == "npy":
        with bad.open("wb") as plain:
            np.save(plain, good)
    else:
        np.savez(bad, x=good.astype(how))


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("cut", "only a part of one"),
        ("empty", "only a part of one"),
        ("folder", "folder"),
        pytest.param(
            "pipe", "", marks=pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes")
        ),
        ("flipped", "only a part of one"),
        ("pickled", "never read.*plain arrays"),
        ("npy", "only a part of one"),
        ("header", "only a part of one"),
        ("float64", r"float64 of shape \(64,\).*\.astype\(\"float32\"\)"),
    ],
)
def test_a_damaged_file_is_named_before_anything_is_measured(
    tmp_path: Path, how: str, said: str
) -> None:
    damaged(tmp_path, how)
    path = relu(tmp_path / "m.onnx", ["b", 64], ["b", 64])
    with pytest.raises(InputError, match=rf"1\.npz: .*{said}"):
        ready(path, inputs=tmp_path)


def test_more_inputs_than_memory_are_refused_or_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensors, "MOST_BYTES", 1000)
    path = relu(tmp_path / "m.onnx", ["b", 64], ["b", 64])
    with pytest.raises(InputError, match=r"task\.samples: .*Allowed: 1 to 3"):
        ready(path, samples=9)
    for number in range(9):
        np.savez(tmp_path / f"{number}.npz", x=np.ones(64, dtype=np.float32))
    task, _ = ready(path, inputs=tmp_path)
    assert len(task.samples) == 3
    assert "3 of 9 inputs are used" in (task.caveat or "")


def test_a_model_that_fails_on_drawn_numbers_names_the_options(tmp_path: Path) -> None:
    path = models.graph_model(
        tmp_path / "m.onnx", [("Gather", ["table", "ids"], ["y"], {})], [("ids", INT64, ["b", 6])],
        [("y", FLOAT, ["b", 6, 4])], table=np.ones((10, 4), dtype=np.float32),
    )  # fmt: skip
    task, sessions = ready(path)
    with pytest.raises(InputError, match=r"out of data bounds.*drawn.*integers_below"):
        run_one(task, sessions, task.samples[0])
    task, sessions = ready(path, integers_below=10)
    assert run_one(task, sessions, task.samples[0])[0].shape == (1, 6, 4)


def test_a_model_that_takes_one_alone_names_the_batch(tmp_path: Path) -> None:
    path = models.graph_model(
        tmp_path / "m.onnx", [("Reshape", ["x", "one"], ["y"], {})], [("x", FLOAT, ["b", 8])],
        [("y", FLOAT, None)], one=np.array([1, 8]),
    )  # fmt: skip
    task, sessions = ready(path)
    run_one(task, sessions, task.samples[0])
    with pytest.raises(InputError, match=r"measure\.max_batch: 1.*batched: false"):
        serve(task, sessions, task.samples[:2], WallClock())


def test_files_of_another_byte_order_are_the_same_numbers(tmp_path: Path) -> None:
    path = relu(tmp_path / "m.onnx", ["b", 4], ["b", 4])
    np.savez(tmp_path / "big.npz", x=np.arange(4, dtype=">f4"))
    task, _ = ready(path, inputs=tmp_path)
    np.testing.assert_array_equal(task.preprocess(task.input(task.samples))["x"], [[0, 1, 2, 3]])


def test_files_say_the_types_of_a_model_that_does_not(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", ids=np.arange(3))
    spec = TensorSpec("ids", "unknown", ())
    for options, fits in (
        ({}, True),
        ({"shape": {"ids": [3]}}, True),
        ({"types": {"ids": "int32"}}, False),
    ):
        chosen = asked(**options)
        wanted = wanted_inputs([spec], chosen, "m")
        if fits:
            assert read_request(tmp_path / "a.npz", wanted, chosen)[0].dtype == np.int64
        else:
            with pytest.raises(InputError, match=r'\.astype\("int32"\)'):
                read_request(tmp_path / "a.npz", wanted, chosen)


def test_what_a_runtime_raises_of_wrong_inputs_is_told_with_the_way_out(tmp_path: Path) -> None:
    class Script:
        """As TorchScript: names without types, and its own kind of error."""

        inputs = (TensorSpec("ids", "unknown", ()),)

        def run(self, feeds: Any) -> Any:
            if feeds["ids"].dtype != np.int64:
                raise RuntimeError("Expected tensor for argument 'indices' to be Long")
            return [feeds["ids"]]

    (tmp_path / "m.jit").write_bytes(b"")
    for types in ({}, {"ids": "int64"}):
        options = {"file": tmp_path / "m.jit", "shape": {"ids": [4]}, "types": types}
        task = tensors.build(tensors.Options.model_validate(options))
        sessions: Any = {ONE_STAGE: Script()}
        task.prepare(sessions)
        if types:
            assert run_one(task, sessions, task.samples[0])[0].dtype == np.int64
        else:
            with pytest.raises(
                InputError, match=r"ids: float32 \[1, 4\] \(Expected .*types, range"
            ):
                run_one(task, sessions, task.samples[0])


def test_types_that_numpy_has_not_are_refused(tmp_path: Path) -> None:
    kind = onnx.TensorProto.BFLOAT16
    path = models.graph_model(
        tmp_path / "m.onnx",
        [("Cast", ["x"], ["f"], {"to": FLOAT}), ("Cast", ["f"], ["y"], {"to": kind})],
        [("x", kind, ["b", 8])],
        [("y", kind, ["b", 8])],
    )
    with pytest.raises(InputError, match=r"'x' is of the type bfloat16.*float32"):
        ready(path)
    # Asked for NumPy's type of bf16, OpenVINO says float16.
    with pytest.raises(InputError, match=r"'x' is of the type bf16.*float32"):
        ready(path, "openvino-cpu")


def test_every_cpu_runtime_shares_the_scalar_and_the_order(tmp_path: Path) -> None:
    path = models.graph_model(
        tmp_path / "m.onnx",
        [("Sub", ["b", "t"], ["s"], {}), ("Mul", ["s", "a"], ["y"], {})],
        [("b", FLOAT, ["n", 8]), ("a", FLOAT, ["n", 8]), ("t", FLOAT, [])],
        [("y", FLOAT, ["n", 8])],
    )
    answers = []
    for backend in ("onnxruntime-cpu", "openvino-cpu"):
        task, sessions = ready(path, backend)
        answers.append(task.execute(sessions, task.preprocess(task.input(task.samples[:3])))[0])
    np.testing.assert_allclose(answers[0], answers[1], rtol=1e-5)


def test_inputs_without_names_are_both_fed() -> None:
    """LiteRT adds two inputs that its file does not name; one of them used to stay unset."""
    task, sessions = ready(DATA / "two-unnamed-inputs.tflite", "litert-cpu")
    feeds = task.preprocess(task.input(task.samples[:1]))
    assert list(feeds) == ["input 0", "input 1"]
    (total,) = task.execute(sessions, feeds)
    np.testing.assert_allclose(total, feeds["input 0"] + feeds["input 1"], rtol=1e-6)


def test_inputs_without_a_name_or_with_the_same_are_told_apart() -> None:
    assert distinct(["", "x", "", "y", "x"], "input") == ["input 0", "x 1", "input 2", "y", "x 4"]
