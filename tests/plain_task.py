"""A task with nothing around ``execute``: what a harness adds is all that is left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.measure.backends import Feeds
from bench.measure.tasks import Sample, Task


class Plain(Task):
    """Feeds the same tensors every time, and answers nothing."""

    def __init__(self, feeds: Feeds) -> None:
        self._feeds = feeds
        self.samples = [Sample(Path("0"), None, "fixed")]
        self.files = {}

    def input(self, samples: Sequence[Sample]) -> list[bytes]:
        return [b""] * len(samples)

    def preprocess(self, encoded: Sequence[bytes]) -> Feeds:
        return self._feeds

    def predict(self, outputs: Sequence[Any]) -> Any:
        return None

    def postprocess(self, prediction: Any) -> list[dict[str, Any]]:
        return [{}] * len(next(iter(self._feeds.values())))

    def output(self, answers: Sequence[Mapping[str, Any]]) -> list[bytes]:
        return [b""] * len(answers)

    def agrees(self, answer: Mapping[str, Any], reference: Mapping[str, Any]) -> bool:
        return True
