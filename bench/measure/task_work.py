"""How much work one sample of a task is: its models, as often as a sample calls them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from bench import extensions
from bench.counts import added
from bench.errors import InputError, MissingRequirement
from bench.measure.backends import Feeds, Session, clock_of
from bench.measure.loader import build_task
from bench.measure.models import fetch
from bench.measure.operations import KINDS
from bench.measure.reference import BACKENDS, BY_FORMAT, run_one
from bench.measure.work import Work, count_work

SAMPLES = 4
"""Samples whose calls are looked at: their sizes differ in some tasks."""
Shapes = tuple[tuple[str, tuple[int, ...]], ...]


def task_work(name: str, options: dict[str, Any]) -> Work:
    """The mean work of a sample, counted from the ONNX files of the task.

    Raises:
        MissingRequirement: ONNX Runtime or the package onnx is not there.
        InputError: the task has no ONNX file, or one that cannot be counted.
    """
    task = build_task(name, options)
    if not all("onnx" in task.formats(stage) for stage in task.stages):
        raise InputError(
            f"the work of {name} cannot be counted: it has no ONNX file",
            allowed="tasks that come as onnx",
        )
    backend = extensions.load(BACKENDS, BY_FORMAT["onnx"])
    if reason := backend.missing():
        raise MissingRequirement(f"Counting the work of a model needs {reason}.")
    files = {stage: fetch(task.model(stage, "onnx")) for stage in task.stages}
    plain = backend.Options()
    spies = {
        stage: _Spy(backend.load(file, plain, 1, clock_of(backend, plain)))
        for stage, file in files.items()
    }
    task.prepare(spies)
    looked_at = task.samples[:SAMPLES]
    for sample in looked_at:
        run_one(task, spies, sample)
    counted = {
        (stage, shapes): count_work(files[stage], dict(shapes))
        for stage, spy in spies.items()
        for shapes in spy.calls
    }
    calls = [
        (counted[stage, shapes], times / len(looked_at))
        for stage, spy in spies.items()
        for shapes, times in spy.calls.items()
    ]
    return _together(calls, list({stage: work for (stage, _), work in counted.items()}.values()))


class _Spy:
    """A session that notes the shapes it is called with."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.inputs, self.outputs = session.inputs, session.outputs
        self.placement, self.metadata = session.placement, session.metadata
        self.calls: Counter[Shapes] = Counter()

    def run(self, feeds: Feeds) -> Sequence[npt.NDArray[Any]]:
        self.calls[tuple((key, array.shape) for key, array in sorted(feeds.items()))] += 1
        return self._session.run(feeds)


def _together(calls: Sequence[tuple[Work, float]], models: Sequence[Work]) -> Work:
    """Work of the ``calls`` of a sample, so many of each, and the weights of each model once."""
    counts = added((work.counts, times) for work, times in calls)
    flops = sum(work.flops * times for work, times in calls)
    return Work(
        flops=flops,
        weight_bytes=sum(work.weight_bytes for work in models),
        activation_bytes=sum(work.activation_bytes * times for work, times in calls),
        operators=round(sum(work.operators * times for work, times in calls)),
        kinds={
            kind: sum(work.flops * work.kinds.get(kind, 0.0) * times for work, times in calls)
            / max(flops, 1.0)
            for kind in KINDS
        },
        counts=counts._replace(parameters=sum(work.counts.parameters for work in models)),
        note="; ".join(dict.fromkeys(work.note for work, _ in calls if work.note)),
    )
