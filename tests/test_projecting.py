"""``bench project``: an answer for a network and a device, without a scenario."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from bench.cli import main
from bench.errors import InputError, UnknownName
from bench.projecting import Asked, project, shapes_of


def test_a_published_network_on_several_devices(capsys: pytest.CaptureFixture[str]) -> None:
    found = project("mobilenetv2_100@224", ["nvidia-rtx-4090", "raspberry-pi-5", "nvidia-h100-sxm"])
    by = {(one.device, one.figure): one for one in found.figures}
    assert not found.refused
    assert by["nvidia-rtx-4090", "throughput"].provenance == "published"
    assert by["nvidia-h100-sxm", "throughput"].provenance == "projected"
    for one in found.figures:
        assert one.low < one.value < one.high
        assert one.source


def test_a_runtime_is_asked_for() -> None:
    (rate, *_) = project("resnet18@224", ["nvidia-rtx-4090"], "pytorch").figures
    assert "PyTorch" in rate.source


def test_what_nothing_is_known_of_has_a_reason() -> None:
    found = project("resnet18@224", ["smartphone-generic", "nvidia-t4"])
    assert list(found.refused) == ["smartphone-generic"]
    assert {one.device for one in found.figures} == {"nvidia-t4"}


@pytest.mark.parametrize(
    ("model", "device", "error", "said"),
    [
        ("resnet50", "nvidia-t4", InputError, "several inputs"),
        ("resnet50@225", "nvidia-t4", UnknownName, "resnet50@224"),
        ("resent50@224", "nvidia-t4", UnknownName, "resnet50@224"),
        ("resnet50@224", "nvidia-t5", UnknownName, "nvidia-t4"),
        ("no-such.onnx", "nvidia-t4", InputError, "no-such.onnx"),
    ],
)
def test_what_is_not_there_is_said(
    model: str, device: str, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=re.escape(said)):
        project(model, [device])


def test_shapes_are_written_with_an_x() -> None:
    assert shapes_of(["image=1x3x224x224", "ids=1x128"]) == {
        "image": [1, 3, 224, 224], "ids": [1, 128],
    }  # fmt: skip
    for wrong in ("image", "image=", "image=1,3", "image=0x3", "image=axb"):
        with pytest.raises(InputError, match="no shape of an input"):
            shapes_of([wrong])


def test_a_file_of_ones_own_is_counted(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    weights = np.zeros((64, 3, 3, 3), np.float32)
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])],
        "one",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 3, None, None])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)],
        [onnx.numpy_helper.from_array(weights, "w")],
    )
    path = tmp_path / "one.onnx"
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)])
    onnx.save(onnx.helper.make_model(model.graph, ir_version=9), path)
    small, large = (
        project(str(path), ["raspberry-pi-5"], None, {"x": [1, 3, side, side]}).figures
        for side in (256, 1024)
    )
    assert small[0].value > large[0].value


def test_the_command_prints_one_document(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        "sys.argv", ["bench", "project", "resnet18@224", "--on", "nvidia-t4", "--json"]
    )
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert Asked.model_validate(json.loads(capsys.readouterr().out)).figures
