"""A network built from code: the same answers from every format it is exported to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import extensions
from bench.errors import MissingRequirement
from bench.measure import exports
from bench.measure.clock import WallClock
from bench.measure.exports import Recipe, exported
from bench.measure.models import fetch

READERS = {
    "onnx": ("onnxruntime-cpu", "openvino-cpu"),
    "torch-export": ("torch-eager",),
    "tflite": ("litert-cpu",),
}


def network() -> Any:
    import torch

    class Small(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(3)
            self.layers = torch.nn.Sequential(
                torch.nn.Conv2d(3, 5, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1),
                torch.nn.Flatten(), torch.nn.Linear(5, 4),
            )  # fmt: skip

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            scores: torch.Tensor = self.layers(pixels)
            return scores

    return Small().eval()


def example() -> Mapping[str, Any]:
    import torch

    return {"pixels": torch.zeros(2, 3, 8, 8)}


RECIPE = Recipe(
    name="small",
    packages=("torch", "onnx", "onnxscript"),
    module=network,
    example=example,
    dynamic={"pixels": (0,)},
    outputs=("scores",),
    licence="none: seeded weights",
    meaning="images [N, 3, 8, 8] → [N, 4]",
)


@pytest.mark.real
@pytest.mark.parametrize("format_", READERS)
def test_every_format_answers_as_the_module_does_at_any_batch(
    format_: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(exports, "cache_folder", lambda: tmp_path)
    torch = pytest.importorskip("torch", reason="torch is not installed")
    try:
        path = fetch(exported(RECIPE, format_))
    except MissingRequirement as error:
        pytest.skip(str(error))
    assert capsys.readouterr().out == ""
    for name in READERS[format_]:
        backend = extensions.load("bench.measure.backends", name)
        if reason := backend.missing():
            pytest.skip(f"{name} needs {reason}")
        session = backend.load(path, backend.Options(), 1, WallClock())
        for batch in (1, 4, 2):
            pixels = np.random.default_rng(batch).standard_normal((batch, 3, 8, 8), np.float32)
            with torch.no_grad():
                wanted = network()(torch.from_numpy(pixels)).numpy()
            found = session.run({session.inputs[0].name: pixels})[0]
            np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_what_an_export_needs_is_said_with_the_extra_that_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(exports.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingRequirement, match=r"litert_torch.*\[models,litert-models\]"):
        exported(RECIPE, "tflite")
