"""What is known of each input of a task: how large it is, and what is found in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from bench.measure.backends import Session
from bench.measure.measurement import Inputs
from bench.measure.reference import run_one
from bench.measure.tasks import Sample, Task


def look_at_inputs(
    task: Task, sessions: Mapping[str, Session], answered: Counter[tuple[Sample, bytes]]
) -> Inputs:
    """``answered``: the answers of the timed run, as they were kept."""
    return Inputs(
        unit=task.size_unit,
        sizes=[task.size(sample) for sample in task.samples] if task.size_unit else [],
        found=_found(task, sessions, answered),
        skipped=sorted(task.skipped),
    )


def _found(
    task: Task, sessions: Mapping[str, Session], answered: Counter[tuple[Sample, bytes]]
) -> list[int] | None:
    """By the answers of the timed run; what was not asked there is asked now, if the task counts.

    An arm that has stopped answering tells nothing more: its errors are counted elsewhere.
    """
    kept = dict(answered.keys())
    first = next(iter(kept.values()), None)
    if first is None or task.found(task.read(first)) is None:
        return None
    counts = []
    for sample in task.samples:
        if sample not in kept:
            try:
                outputs = run_one(task, sessions, sample)
            except Exception:  # a backend may raise anything
                return None
            (sent,) = task.output(task.postprocess(task.predict(outputs)))
            kept[sample] = task.keep(sent)
        count = task.found(task.read(kept[sample]))
        if count is None:
            return None
        counts.append(count)
    return counts
