"""A task is a model and its six steps; it is one file in this folder.

Each file has ``Options`` (its settings in a scenario) and ``build(options) -> Task``, which
fetches the model and makes the inputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy.typing as npt

from bench.measure.models import ModelFile

Arrays = Mapping[str, npt.NDArray[Any]]

STEPS = ("input", "preprocess", "execute", "predict", "postprocess", "output")


@dataclass(frozen=True)
class Sample:
    """One input: a file, what is known to be in it, and which set it belongs to."""

    path: Path
    truth: str | None
    group: str


@dataclass(frozen=True)
class Score:
    """The accuracy of one group of answered samples."""

    metric: str
    value: float
    group: str
    samples: int


class Task(Protocol):
    """The steps around ``execute``, each over a whole batch."""

    model: Path
    model_file: ModelFile | None
    samples: Sequence[Sample]

    def prepare(self, metadata: Mapping[str, str]) -> None:
        """Take what the loaded model says of itself (labels, character set); not timed."""
        ...

    def input(self, samples: Sequence[Sample]) -> list[bytes]:
        """Read the encoded inputs."""
        ...

    def preprocess(self, encoded: Sequence[bytes]) -> Arrays:
        """Encoded inputs → tensors by input name, batch first."""
        ...

    def predict(self, outputs: Sequence[npt.NDArray[Any]]) -> Any:
        """Raw output tensors → a prediction for each item."""
        ...

    def postprocess(self, prediction: Any) -> list[dict[str, Any]]:
        """Prediction → answers in the user's terms."""
        ...

    def output(self, answers: Sequence[Mapping[str, Any]]) -> list[bytes]:
        """Answers → what leaves the program."""
        ...

    def score(self, answered: Sequence[tuple[Sample, bytes]]) -> list[Score]:
        """Accuracy of outputs against the truth, over all groups and per group."""
        ...
