"""A task without a model: small arrays in, the same out. For the fake backend and tests."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.measure.models import ModelFile
from bench.measure.tasks import Arrays, Sample, Score
from bench.record import Record


class Options(Record):
    """How many inputs there are, and how large each one is."""

    samples: int = 16
    payload_bytes: int = 5000


def build(options: Options) -> SyntheticTask:
    return SyntheticTask(options)


class SyntheticTask:
    """Sample ``k`` is the number ``k``; the right answer is the same number."""

    model = Path("synthetic")
    model_file: ModelFile | None = None

    def __init__(self, options: Options) -> None:
        self._payload = options.payload_bytes
        self.samples = [Sample(Path(str(k)), str(k), "synthetic") for k in range(options.samples)]

    def prepare(self, metadata: Mapping[str, str]) -> None:
        return None

    def input(self, samples: Sequence[Sample]) -> list[bytes]:
        return [str(s.path).encode().ljust(self._payload) for s in samples]

    def preprocess(self, encoded: Sequence[bytes]) -> Arrays:
        return {"x": np.array([[float(item)] for item in encoded])}

    def predict(self, outputs: Sequence[npt.NDArray[Any]]) -> Any:
        return outputs[0][:, 0]

    def postprocess(self, prediction: Any) -> list[dict[str, Any]]:
        return [{"value": int(p)} for p in prediction]

    def output(self, answers: Sequence[Mapping[str, Any]]) -> list[bytes]:
        return [json.dumps(answer).encode() for answer in answers]

    def score(self, answered: Sequence[tuple[Sample, bytes]]) -> list[Score]:
        wrong = sum(str(json.loads(out)["value"]) != sample.truth for sample, out in answered)
        return [Score("error_rate", wrong / len(answered), "all", len(answered))]
