"""A chain of two tasks without models: the first finds the halves of even numbers, the second answers with
them. For the fake backend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from bench.measure.chain import HANDED, First, Following, packed
from bench.measure.models import ModelFile
from bench.measure.tasks import ONE_STAGE, Sample
from bench.record import Record

SCRIPT = ModelFile(
    name="script", origin="none:identity.scripted", sha256="", licence="", meaning="x → x"
)


class Options(Record):
    """Which of the tasks."""

    stage: Literal["find", "read"] = "find"
    samples: int = Field(default=8, ge=2)


def build(options: Options) -> First | Following:
    return {"find": Halves, "read": Read}[options.stage](options.samples)


class Halves(First):
    """Sample ``k`` is the number ``k``."""

    files: Mapping[str, Any] = {ONE_STAGE: [SCRIPT]}

    def __init__(self, samples: int) -> None:
        self.samples = [Sample(Path(str(k)), str(k), "numbers") for k in range(samples)]

    def input(self, samples: Sequence[Sample]) -> list[bytes]:
        return [str(sample.path).encode() for sample in samples]

    def preprocess(self, encoded: Sequence[bytes]) -> Any:
        return {"x": np.array([[float(item)] for item in encoded])}

    def predict(self, outputs: Any) -> Any:
        return outputs[0][:, 0]

    def postprocess(self, prediction: Any) -> list[dict[str, Any]]:
        return [{"even": x % 2 == 0, HANDED: x / 2} for x in prediction.tolist()]

    def sent(self, handed: float) -> list[bytes]:
        return [str(handed).encode()]

    def found(self, answer: Mapping[str, Any]) -> int:
        return int(answer["even"])

    def agrees(self, answer: Any, reference: Any) -> bool:
        return bool(answer == reference)


class Read(Following):
    """Asked about even numbers only; the half is the size, too."""

    files: Mapping[str, Any] = {ONE_STAGE: [SCRIPT]}
    size_unit = "ones"

    def __init__(self, samples: int) -> None:
        numbers = [Sample(Path(str(k)), str(k / 2), "numbers") for k in range(samples)]
        self.samples, self.skipped = numbers[::2], range(1, samples, 2)

    def size(self, sample: Sample) -> float:
        return int(str(sample.path)) / 2

    def input(self, samples: Sequence[Sample]) -> list[bytes]:
        return [packed({"even": True}, [str(self.size(one)).encode()]) for one in samples]

    def received(self, files: Sequence[bytes]) -> float:
        return float(files[0])

    def tensors(self, handed: Sequence[float]) -> Any:
        return {"x": np.array(handed)[:, None]}

    def nothing(self) -> dict[str, Any]:
        return {"half": None}

    def predict(self, outputs: Any) -> Any:
        return outputs[0][:, 0]

    def postprocess(self, prediction: Any) -> list[dict[str, Any]]:
        return [{"half": x} for x in prediction.tolist()]

    def agrees(self, answer: Any, reference: Any) -> bool:
        return bool(answer == reference)
