"""Chains: tasks one after the other, each of which goes on with what the one before has found.

A file of a chain has an option ``stage``: one of its tasks, which is then measured alone, or ``all`` of
them, as one program on one machine. In one program, what was found is handed on as it is; alone, the
first answers with a message, and the next is asked with such messages.
"""

from __future__ import annotations

import hashlib
import inspect
import io
import json
import zipfile
from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.errors import InputError
from bench.folders import cache_folder
from bench.measure.backends import Feeds, Session
from bench.measure.models import ModelFile
from bench.measure.reference import plain_sessions, run_one
from bench.measure.tasks import Sample, Score, Task
from bench.store import atomic_write

HANDED = "handed"
"""In an answer in memory: what is handed on, beside what is said."""
SAID = "answer.json"


class First(Task):
    """A task that another one follows: :meth:`found` says whether anything is handed on."""

    @abstractmethod
    def sent(self, handed: Any) -> list[bytes]:
        """What is handed on, as files for another machine."""

    def output(self, answers: Sequence[Mapping[str, Any]]) -> list[bytes]:
        """Messages: what is said, and what is handed on."""
        return [
            packed(said, self.sent(answer[HANDED]) if self.found(said) else [])
            for answer in answers
            for said in [{key: value for key, value in answer.items() if key != HANDED}]
        ]

    def keep(self, output: bytes) -> bytes:
        return unpacked(output)[0]


class Following(Task):
    """A task that goes on with what the one before hands on."""

    @abstractmethod
    def received(self, files: Sequence[bytes]) -> Any:
        """What was handed on, from the files that it was sent as."""

    @abstractmethod
    def tensors(self, handed: Sequence[Any]) -> Feeds:
        """What was handed on, of a whole batch → tensors by input name."""

    @abstractmethod
    def nothing(self) -> dict[str, Any]:
        """The answer where the one before has found nothing."""

    def preprocess(self, encoded: Sequence[bytes]) -> Feeds:
        return self.tensors([self.received(unpacked(item)[1]) for item in encoded])


class Chain(Task):
    """All tasks as one program on one machine.

    Args:
        tasks: by name. All but the last are a :class:`First`, all but the first a :class:`Following`.
        sizes: of the first one's samples, in the unit of the last; ``None`` where it has none.
    """

    outputs_vary = True

    def __init__(
        self, tasks: Mapping[str, Any], sizes: Mapping[Sample, float] | None = None
    ) -> None:
        self._tasks, self._sizes = dict(tasks), sizes
        self._first, self._last = next(iter(tasks.values())), list(tasks.values())[-1]
        self.samples = self._first.samples
        self.files: dict[str, Sequence[ModelFile]] = {
            f"{name} {stage}": files
            for name, task in tasks.items()
            for stage, files in task.files.items()
        }
        self.largest_batch = min(
            (task.largest_batch for task in tasks.values() if task.largest_batch), default=None
        )
        self.size_unit = None if sizes is None else self._last.size_unit
        self.caveat = "; ".join(t.caveat for t in tasks.values() if t.caveat) or None

    def size(self, sample: Sample) -> float:
        return super().size(sample) if self._sizes is None else self._sizes[sample]

    def prepare(self, sessions: Mapping[str, Session]) -> None:
        for name, task in self._tasks.items():
            task.prepare(self._own(sessions, name))

    def input(self, samples: Sequence[Sample]) -> list[bytes]:
        encoded: list[bytes] = self._first.input(samples)
        return encoded

    def preprocess(self, encoded: Sequence[bytes]) -> Feeds:
        feeds: Feeds = self._first.preprocess(encoded)
        return feeds

    def execute(self, sessions: Mapping[str, Session], feeds: Feeds) -> Sequence[npt.NDArray[Any]]:
        """Which items the last task was asked about ``[N]``, and its outputs if there are any."""
        asked, here = np.zeros(0, np.int64), np.zeros(0, np.int64)
        for (name, task), (_, following) in pairwise(self._tasks.items()):
            outputs = task.execute(self._own(sessions, name), feeds)
            answers = task.postprocess(task.predict(outputs))
            some = np.array([bool(task.found(answer)) for answer in answers])
            if task is self._first:
                asked, here = np.zeros(len(answers), np.int64), np.arange(len(answers))
            here = here[some]
            if not len(here):
                return [asked]
            feeds = following.tensors([answers[k][HANDED] for k in np.flatnonzero(some)])
        asked[here] = 1
        name = list(self._tasks)[-1]
        return [asked, *self._last.execute(self._own(sessions, name), feeds)]

    def predict(self, outputs: Sequence[npt.NDArray[Any]]) -> Any:
        asked, *last = outputs
        return asked, self._last.predict(last) if last else None

    def postprocess(self, prediction: Any) -> list[dict[str, Any]]:
        asked, last = prediction
        answers = iter([] if last is None else self._last.postprocess(last))
        return [next(answers) if one else self._last.nothing() for one in asked]

    def agrees(self, answer: Mapping[str, Any], reference: Mapping[str, Any]) -> bool:
        return bool(self._last.agrees(answer, reference))

    def score(self, answered: Sequence[tuple[Sample, Mapping[str, Any]]]) -> list[Score]:
        scores: list[Score] = self._last.score(answered)
        return scores

    def _own(self, sessions: Mapping[str, Session], name: str) -> dict[str, Session]:
        return {stage: sessions[f"{name} {stage}"] for stage in self._tasks[name].stages}


def packed(said: Mapping[str, Any], files: Sequence[bytes]) -> bytes:
    """A message: a ZIP archive, not compressed, since what is in it is."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(SAID, json.dumps(said, ensure_ascii=False))
        for number, file in enumerate(files):
            archive.writestr(str(number), file)
    return buffer.getvalue()


def unpacked(message: bytes) -> tuple[bytes, list[bytes]]:
    """What is said in a message, and the files in it.

    Raises:
        InputError: no such message.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(message)) as archive:
            # What is not compressed cannot be larger than the message.
            if any(one.compress_type or one.flag_bits & 1 for one in archive.infolist()):
                raise ValueError("it is compressed, or encrypted")
            said, *files = [archive.read(one) for one in archive.infolist()]
            return said, files
    except (zipfile.BadZipFile, ValueError, EOFError) as error:
        raise InputError(f"not a message between tasks ({error})", where="input") from error


def handed_on(first: First) -> list[Sample]:
    """What the next task of a chain is asked with: the messages of the one before about each of its
    samples, in their order, with the same truths.

    They are made once, by the plain model as its author runs it, and kept. Which of them hold nothing,
    :func:`without` says.
    """
    made_by = hashlib.sha256(
        inspect.getsource(inspect.getmodule(type(first)) or type(first)).encode()
    )
    for files in first.files.values():
        made_by.update(files[0].sha256.encode())
    sessions: dict[str, Session] = {}
    samples = []
    for sample in first.samples:
        digest = made_by.copy()
        digest.update(sample.path.read_bytes())
        path = cache_folder() / "inputs" / "handed-on" / f"{digest.hexdigest()[:24]}.zip"
        if not path.is_file():
            sessions = sessions or plain_sessions(first)[0]
            _keep(path, first, sessions, sample)
        samples.append(Sample(path, sample.truth, sample.group))
    return samples


def _keep(path: Path, first: First, sessions: Mapping[str, Session], sample: Sample) -> None:
    outputs = run_one(first, sessions, sample)
    (message,) = first.output(first.postprocess(first.predict(outputs)))
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        file.write(message)


def without(samples: Sequence[Sample]) -> frozenset[int]:
    """The places of those messages in which nothing is handed on."""
    return frozenset(k for k, one in enumerate(samples) if not files_of(one))


def files_of(sample: Sample) -> list[bytes]:
    """What is handed on in a message that was kept."""
    return unpacked(sample.path.read_bytes())[1]


def asked_about(messages: Sequence[Sample], skipped: Collection[int]) -> list[Sample]:
    """The others, which the next task is measured on.

    Raises:
        InputError: nothing was found in any input.
    """
    asked = [one for k, one in enumerate(messages) if k not in skipped]
    if messages and not asked:
        raise InputError(
            f"the first task finds nothing in any of {len(messages)} inputs, so that the next has "
            "nothing to be measured on",
            where="task",
            todo="Give other inputs, or measure the first task alone",
        )
    return asked
