"""A task and an arm → the task, and its models loaded by the arm's backend."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from bench import extensions
from bench.errors import InputError, MissingRequirement, shorten
from bench.measure.backends import BackendOptions, Feeds, Session, clock_of
from bench.measure.limits import usable_cores
from bench.measure.models import ModelFile, fetch
from bench.measure.reference import run_one
from bench.measure.tasks import Task
from bench.scenario import Arm

TASKS = "bench.measure.tasks"
BACKENDS = "bench.measure.backends"

CALIBRATION_SAMPLES = 32


def build_task(name: str, options: dict[str, Any]) -> Task:
    """The task called ``name``.

    Raises:
        InputError: a file of the user's own fails, or makes something that is no task.
    """
    module = extensions.load(TASKS, name)
    with own_faults(name):
        task = extensions.calling(module.build, module.Options.model_validate(options))
    if not isinstance(task, Task):
        raise InputError(
            f"build gave {type(task).__name__} and no task", where=name,
            allowed="an object of a class Name(Task), of bench.measure.tasks",
        )  # fmt: skip
    for what in ("files", "samples"):
        if not getattr(task, what, None):
            raise InputError(
                f"the task has no {what}", where=name, todo=f"Set self.{what} in its __init__"
            )
    return task


@contextmanager
def own_faults(name: str) -> Iterator[None]:
    """Around the calls of a task: one that lacks an argument of the contract has no line of its own.

    Raises:
        InputError: the task is a file of the user's own, and a call does not fit it.
    """
    try:
        yield
    except TypeError as error:
        if not extensions.is_own_file(name):
            raise
        raise extensions.own_fault(error) or InputError(
            f"TypeError: {shorten(error, 300)}", where=name,
            allowed="the steps of bench.measure.tasks.Task, with the arguments they have there",
        ) from error  # fmt: skip


class Loader:
    """Models of a task → sessions of a backend, in the precision that is asked for.

    Raises:
        MissingRequirement: the backend cannot run here.
    """

    def __init__(self, arm: Arm, task: Task) -> None:
        self.task = task
        self.backend: ModuleType = extensions.load(BACKENDS, arm.backend.name)
        if reason := self.backend.missing():
            raise MissingRequirement(
                f"The backend {arm.backend.name!r} cannot run here: it needs {reason}."
            )
        self.options: BackendOptions = self.backend.Options.model_validate(arm.backend.options)
        self.clock = clock_of(self.backend, self.options)
        self.threads = arm.device.threads or usable_cores()
        self.models: dict[str, ModelFile] = {}
        self._loaded: dict[str, Session] = {}

    def paths(self) -> dict[str, Path]:
        """The file of each stage, fetched, verified, and converted where that is needed."""
        if not self.backend.FORMATS:  # the server has the model
            return {stage: Path() for stage in self.task.stages}
        self.models = {stage: self._model(stage) for stage in self.task.stages}
        files = {stage: fetch(model) for stage, model in self.models.items()}
        if not hasattr(self.backend, "convert"):
            return files
        return {
            stage: self.backend.convert(path, self.options, self._calibration(files, stage))
            for stage, path in files.items()
        }

    def _model(self, stage: str) -> ModelFile:
        """Raises:
        InputError: no model there is, or none that the backend reads.
        """
        offered = self.task.formats(stage)
        format_ = self.task.format_for(stage, self.backend.FORMATS)
        if not offered:
            raise InputError(
                "the task names no model file", where="task",
                todo="Name one (file, files or origin), or measure a server that has the model "
                "(backend: open-inference)",
            )  # fmt: skip
        if format_ is None:
            what = "the task" if len(self.task.stages) == 1 else f"the model {stage!r} of the task"
            raise InputError(
                f"{what} comes as {', '.join(offered)}, which the backend does not read",
                where=self.backend.__name__.rpartition(".")[2].replace("_", "-"),
                allowed=", ".join(self.backend.FORMATS),
            )
        return self.task.model(stage, format_)

    def wait_until_ready(self) -> None:
        """Let a server start; it is not loading the model that takes so long."""
        if hasattr(self.backend, "wait_until_ready"):
            self.backend.wait_until_ready(self.options)

    def load(self, paths: dict[str, Path]) -> dict[str, Session]:
        for stage, path in paths.items():
            self._loaded[stage] = self.backend.load(path, self.options, self.threads, self.clock)
        return self._loaded

    def close(self) -> None:
        """Let go of what sessions hold beside memory, such as connections."""
        for session in self._loaded.values():
            if hasattr(session, "close"):
                session.close()

    def _calibration(self, files: dict[str, Path], stage: str) -> Callable[[], Sequence[Feeds]]:
        """What ``stage`` is fed with when the unconverted model runs."""

        def feeds() -> Sequence[Feeds]:
            plain = self.backend.Options()
            sessions = {
                name: self.backend.load(path, plain, self.threads, self.clock)
                for name, path in files.items()
            }
            self.task.prepare(sessions)
            spy = _Spy(sessions[stage])
            spied = {**sessions, stage: spy}
            for sample in self.task.samples[:CALIBRATION_SAMPLES]:
                run_one(self.task, spied, sample)
            return spy.fed

        return feeds


class _Spy:
    """A session that remembers what it was fed."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.inputs, self.outputs = session.inputs, session.outputs
        self.placement, self.metadata = session.placement, session.metadata
        self.fed: list[Feeds] = []

    def run(self, feeds: Feeds) -> Any:
        self.fed.append({name: np.array(array) for name, array in feeds.items()})
        return self._session.run(feeds)
