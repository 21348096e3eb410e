"""A task is a model and its six steps; it is one file in this folder.

Each file has ``Options`` (its settings in a scenario) and ``build(options) -> Task``, which
makes or fetches the inputs. Models are fetched only when :meth:`Task.model` is called.

The six steps are timed. They do what a service would do: whatever else a measurement needs (drawing
inputs, thinning answers for the comparison) belongs into :meth:`Task.prepare` and :meth:`Task.keep`.
"""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from bench.errors import InputError
from bench.measure.backends import Feeds, Session
from bench.measure.models import ModelFile, format_of

CONTRACT = ("Options", "build")
STEPS = ("input", "preprocess", "execute", "predict", "postprocess", "output")
ONE_STAGE = "model"


@dataclass(frozen=True)
class Sample:
    """One input: a file, what is known to be in it, and which set it belongs to."""

    path: Path
    truth: str | None
    group: str


def names_of(samples: Iterable[Sample]) -> dict[Sample, str]:
    """What each sample is called in tables: its path from the folder that all of them share."""
    distinct = list(dict.fromkeys(samples))
    folders = {str(sample.path.parent) for sample in distinct}
    try:
        shared = os.path.commonpath(folders) if folders else ""
        return {s: printable(s.path.relative_to(shared)) for s in distinct}
    except ValueError:  # on several drives, or only some of them relative to here
        return {s: printable(s.path) for s in distinct}


def printable(path: Path | str) -> str:
    """A path that is not UTF-8 cannot stand in a record: its bytes are written as ``\\xff``."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


@dataclass(frozen=True)
class Score:
    """The accuracy of one group of answered samples."""

    metric: str
    value: float
    group: str
    samples: int


class Task(ABC):
    """The steps around ``execute``, each over a whole batch.

    A task whose ``execute`` needs several models (a chain) lists them as ``stages`` and
    overrides :meth:`execute`; so does one that calls its model repeatedly (a stream with state).
    """

    samples: Sequence[Sample]
    files: Mapping[str, Sequence[ModelFile]]
    """By stage: the same model in one or more formats."""
    largest_batch: int | None = None
    """``None``: the model takes any batch."""
    size_unit: str | None = None
    """What :meth:`size` counts (``"s of sound"``); ``None``: one input is as large as another."""
    skipped: Collection[int] = ()
    """Of the inputs of a whole chain, those with which this task of it has nothing to do: their places.
    :attr:`samples` leaves them out."""
    outputs_vary: bool = False
    """Whether the shapes of raw outputs follow from what was decided on the way, so that two backends
    can be compared by their answers only."""
    caveat: str | None = None
    """What a reader must know of the weights or the data (``"seeded weights: …"``)."""

    def size(self, sample: Sample) -> float:
        """How much work an input is, in :attr:`size_unit`; not timed, and called when all is.

        Raises:
            InputError: a task of the user's own says a unit, and no size.
        """
        raise InputError(
            "the task has a size_unit and does not say how large an input is",
            where=f"task {type(self).__name__}", todo="Give it size(sample), or leave size_unit out",
        )  # fmt: skip

    @property
    def stages(self) -> tuple[str, ...]:
        return tuple(self.files)

    def formats(self, stage: str) -> tuple[str, ...]:
        """Those that a model can be had in."""
        return tuple(format_of(file) for file in self.files[stage])

    def format_for(self, stage: str, wanted: Sequence[str]) -> str | None:
        """The first of these formats that a model can be had in."""
        return next((name for name in wanted if name in self.formats(stage)), None)

    def model(self, stage: str, format_: str) -> ModelFile:
        """The file of one model in one of its :meth:`formats`."""
        return next(file for file in self.files[stage] if format_of(file) == format_)

    def prepare(self, sessions: Mapping[str, Session]) -> None:  # noqa: B027
        """Take what the loaded models say of themselves (names, labels); not timed."""

    def input(self, samples: Sequence[Sample]) -> list[bytes]:
        """Read the encoded inputs."""
        return [sample.path.read_bytes() for sample in samples]

    @abstractmethod
    def preprocess(self, encoded: Sequence[bytes]) -> Feeds:
        """Encoded inputs → tensors by input name, batch first."""

    def execute(self, sessions: Mapping[str, Session], feeds: Feeds) -> Sequence[npt.NDArray[Any]]:
        """The synchronised call into the backend; ``sessions`` has one per stage."""
        return sessions[ONE_STAGE].run(feeds)

    @abstractmethod
    def predict(self, outputs: Sequence[npt.NDArray[Any]]) -> Any:
        """Raw output tensors → a prediction for each item."""

    @abstractmethod
    def postprocess(self, prediction: Any) -> list[dict[str, Any]]:
        """Prediction → answers in the user's terms, one for each item."""

    def output(self, answers: Sequence[Mapping[str, Any]]) -> list[bytes]:
        """Answers → what leaves the program.

        Raises:
            InputError: a task of the user's own answers with what JSON has not.
        """
        try:
            return [json.dumps(answer, ensure_ascii=False).encode() for answer in answers]
        except TypeError as error:
            raise InputError(
                f"an answer is not one for JSON ({error})", where=f"task {type(self).__name__}",
                todo="Answer with plain numbers, words and lists: float(x), int(x), x.tolist()",
            ) from error  # fmt: skip

    def weight(self, encoded: bytes) -> int:
        """Bytes of an encoded input, or of an answer, on a network."""
        return len(encoded)

    def keep(self, output: bytes) -> bytes:
        """What is kept of an answer that has left the program; not timed."""
        return output

    def read(self, kept: bytes) -> dict[str, Any]:
        """The answer, as it is compared and scored, in what :meth:`keep` kept of it."""
        answer: dict[str, Any] = json.loads(kept)
        return answer

    def found(self, answer: Mapping[str, Any]) -> int | None:
        """How much was found that a following task goes on with; ``None``: this is no such task."""
        return None

    @abstractmethod
    def agrees(self, answer: Mapping[str, Any], reference: Mapping[str, Any]) -> bool:
        """Whether an answer is the reference's, as far as the user can tell."""

    def score(self, answered: Sequence[tuple[Sample, Mapping[str, Any]]]) -> list[Score]:
        """Accuracy of answers against the truth, over all groups and per group."""
        return []
