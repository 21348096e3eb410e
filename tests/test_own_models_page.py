"""The examples of docs/own-models.md are read, and those that name the page's model are run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from bench import pipeline
from bench.measure import Measurement
from bench.measure.budget import BUDGETS
from bench.measure.tasks import tensors
from bench.prepare import Settings
from tests import models

pytestmark = pytest.mark.slow

PAGE = (Path(__file__).parent.parent / "docs" / "own-models.md").read_text()
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.S)
OF_TENSORS = [text for text in EXAMPLES if "name: tensors" in text]
SUITE = """
schema_version: 1
name: example
measure: {budget: smoke, max_batch: 2, loads: [single-stream]}
arms:
  - {backend: onnxruntime-cpu, device: this-host-one-thread}
"""
FEW = {"single_stream": 20, "batches_per_size": 2, "warm_up_limit": 16}


def options_of(text: str) -> dict[str, Any]:
    task: dict[str, Any] = yaml.safe_load(text)["task"]
    return {key: value for key, value in task.items() if key != "name"}


@pytest.mark.parametrize("text", OF_TENSORS)
def test_every_example_is_understood(text: str) -> None:
    tensors.Options.model_validate(options_of(text))


def test_every_option_has_an_example() -> None:
    shown = {option for text in OF_TENSORS for option in options_of(text)}
    assert shown == set(tensors.Options.model_fields)
    for option in ("samples", "seed", "shape", "range", "integers_below", "types", "tolerance"):
        assert f"| `{option}` |" in PAGE


def test_the_defaults_on_the_page_are_those_of_the_program() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| `?([\w.]+)`? \|", PAGE, re.M))
    for option in ("samples", "seed", "tolerance"):
        assert float(rows[option]) == tensors.Options.model_fields[option].default
    assert rows["batched"] == "true"


@pytest.mark.parametrize("text", [t for t in OF_TENSORS if "file: my-model.onnx" in t])
def test_the_examples_of_the_pages_model_run(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    monkeypatch.setitem(BUDGETS, "smoke", BUDGETS["smoke"].model_copy(update=FEW))
    models.graph_model(
        tmp_path / "my-model.onnx",
        [("Conv", ["image", "k"], ["c"], {}), ("GlobalAveragePool", ["c"], ["scores"], {})],
        [("image", onnx.TensorProto.FLOAT, ["n", 3, 32, 32])],
        [("scores", onnx.TensorProto.FLOAT, ["n", 4, 1, 1])],
        k=np.random.default_rng(0).standard_normal((4, 3, 3, 3)).astype(np.float32),
    )
    (tmp_path / "my-inputs").mkdir()
    for number in range(2):
        image = np.full((3, 32, 32), number + 1, dtype=np.float32)
        np.savez(tmp_path / "my-inputs" / f"{number}.npz", image=image)
    suite = text if "schema_version" in text else SUITE.lstrip() + text
    (tmp_path / "suite.yaml").write_text(suite)
    settings = Settings(engine="inline")
    run, measured = pipeline.measure_only(
        tmp_path / "suite.yaml", tmp_path / "out", settings, lambda *_: None
    )
    assert run.load("measurement.json", Measurement) == measured
    (arm,) = measured.arms
    assert arm.input_bytes == 3 * 32 * 32 * 4
    assert arm.output_bytes == 4 * 4
    assert {v.rule for v in arm.verdicts if v.status == "invalid"} == set()
