"""A task without a model: small arrays in, the same out. For the fake backend and tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from bench.measure.backends import Feeds
from bench.measure.models import ModelFile
from bench.measure.tasks import ONE_STAGE, Sample, Score, Task
from bench.record import Record
from bench.units import Size

Count = Annotated[int, Field(ge=0)]


class Options(Record):
    """How many inputs there are, and how large each one is."""

    samples: int = Field(default=16, ge=1, le=100_000)
    payload_bytes: int = Field(default=5000, ge=1)
    sizes: list[Size] = Field(default=[])
    """Of the inputs, in turn, each of which weighs the payload for every unit; by default they have
    none."""
    found: list[Count] = Field(default=[])
    """How much is found in the inputs, in turn; by default nothing is counted."""


def build(options: Options) -> SyntheticTask:
    return SyntheticTask(options)


class SyntheticTask(Task):
    """Sample ``k`` is the number ``k``; the right answer is the same number."""

    def __init__(self, options: Options) -> None:
        self._payload, self._sizes = options.payload_bytes, options.sizes
        self._found = options.found
        self.size_unit = "units" if options.sizes else None
        self.samples = [Sample(Path(str(k)), str(k), "synthetic") for k in range(options.samples)]
        script = ModelFile(
            name="script", origin="none:identity.scripted", sha256="", licence="", meaning="x → x"
        )
        self.files = {ONE_STAGE: [script]}

    def input(self, samples: Sequence[Sample]) -> list[bytes]:
        sizes = [self.size(sample) if self._sizes else 1.0 for sample in samples]
        return [
            str(sample.path).encode().ljust(round(self._payload * size))
            for sample, size in zip(samples, sizes, strict=True)
        ]

    def size(self, sample: Sample) -> float:
        return self._sizes[int(str(sample.path)) % len(self._sizes)]

    def found(self, answer: Mapping[str, Any]) -> int | None:
        return self._found[answer["value"] % len(self._found)] if self._found else None

    def preprocess(self, encoded: Sequence[bytes]) -> Feeds:
        """The numbers, and with sizes, how large each is."""
        feeds = {"x": np.array([[float(item)] for item in encoded])}
        if self._sizes:
            feeds["size"] = np.array([[len(item) / self._payload] for item in encoded])
        return feeds

    def predict(self, outputs: Sequence[npt.NDArray[Any]]) -> Any:
        return outputs[0][:, 0]

    def postprocess(self, prediction: Any) -> list[dict[str, Any]]:
        return [{"value": round(p)} for p in prediction]

    def agrees(self, answer: Mapping[str, Any], reference: Mapping[str, Any]) -> bool:
        return bool(answer["value"] == reference["value"])

    def score(self, answered: Sequence[tuple[Sample, Mapping[str, Any]]]) -> list[Score]:
        wrong = sum(str(answer["value"]) != sample.truth for sample, answer in answered)
        return [Score("error_rate", wrong / len(answered), "all", len(answered))]
