"""A task without a model: small arrays in, the same out. For the fake backend and tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from bench.measure.backends import Feeds
from bench.measure.models import ModelFile
from bench.measure.tasks import ONE_STAGE, Sample, Score, Task
from bench.record import Record


class Options(Record):
    """How many inputs there are, and how large each one is."""

    samples: int = Field(default=16, ge=1, le=100_000)
    payload_bytes: int = Field(default=5000, ge=1)


def build(options: Options) -> SyntheticTask:
    return SyntheticTask(options)


class SyntheticTask(Task):
    """Sample ``k`` is the number ``k``; the right answer is the same number."""

    def __init__(self, options: Options) -> None:
        self._payload = options.payload_bytes
        self.samples = [Sample(Path(str(k)), str(k), "synthetic") for k in range(options.samples)]
        script = ModelFile(
            name="script", origin="none:identity.scripted", sha256="", licence="", meaning="x → x"
        )
        self.files = {ONE_STAGE: [script]}

    def input(self, samples: Sequence[Sample]) -> list[bytes]:
        return [str(s.path).encode().ljust(self._payload) for s in samples]

    def preprocess(self, encoded: Sequence[bytes]) -> Feeds:
        return {"x": np.array([[float(item)] for item in encoded])}

    def predict(self, outputs: Sequence[npt.NDArray[Any]]) -> Any:
        return outputs[0][:, 0]

    def postprocess(self, prediction: Any) -> list[dict[str, Any]]:
        return [{"value": round(p)} for p in prediction]

    def agrees(self, answer: Mapping[str, Any], reference: Mapping[str, Any]) -> bool:
        return bool(answer["value"] == reference["value"])

    def score(self, answered: Sequence[tuple[Sample, Mapping[str, Any]]]) -> list[Score]:
        wrong = sum(str(answer["value"]) != sample.truth for sample, answer in answered)
        return [Score("error_rate", wrong / len(answered), "all", len(answered))]
