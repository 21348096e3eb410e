"""The fp32 reference: what the right answers are, and how far raw outputs may be from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench import extensions
from bench.errors import InputError, MissingRequirement
from bench.executor import Report, signs_of_life
from bench.measure.backends import Session, clock_of
from bench.measure.measurement import Agreement, Parity
from bench.measure.message import as_text, is_text
from bench.measure.models import fetch
from bench.measure.tasks import Sample, Task, printable
from bench.record import Record
from bench.store import atomic_write

BACKENDS = "bench.measure.backends"
BY_FORMAT = {
    "onnx": "onnxruntime-cpu",
    "tflite": "litert-cpu",
    "openvino-ir": "openvino-cpu",
    "torch-export": "torch-eager",
    "torchscript": "torch-eager",
    "scripted": "fake",
}
"""The backend whose plain fp32 answers are the reference, by the format of the model."""
ABSURD = 1e30
"""The difference between a number and an infinity, in figures that must be finite."""
PARITY_SAMPLES = 8
"""Raw outputs are kept of so many inputs; answers of all."""

Outputs = Sequence[npt.NDArray[Any]]


class Reference(Record):
    """Answers by the path of the sample; the raw outputs lie beside it in an ``.npz`` file."""

    made_by: str
    answers: dict[str, dict[str, Any]]


def make_reference(task: Task, path: Path, note: Report, threads: int = 1) -> Reference:
    """Answer every sample one by one with the reference backend, and keep the outputs.

    Raises:
        MissingRequirement: no reference backend can run here, or the model cannot be had.
        InputError: the model or the inputs cannot be used.
    """
    with signs_of_life(note, "getting the model"):
        sessions, made_by = plain_sessions(task, threads)
    answers: dict[str, dict[str, Any]] = {}
    kept: dict[str, Any] = {}
    for index, sample in enumerate(task.samples):
        outputs = run_one(task, sessions, sample)
        if index < PARITY_SAMPLES:
            kept.update({f"{index}/{k}": _plain(array) for k, array in enumerate(outputs)})
        (sent,) = task.output(task.postprocess(task.predict(outputs)))
        answers[printable(sample.path)] = task.read(task.keep(sent))
        note("answers", (index + 1) / len(task.samples))
    reference = Reference(made_by=f"{made_by}, fp32, one by one", answers=answers)
    with atomic_write(path.with_suffix(".npz")) as file:
        np.savez(file, **kept)
    with atomic_write(path) as file:
        file.write(reference.model_dump_json().encode())
    return reference


def plain_sessions(task: Task, threads: int = 1) -> tuple[dict[str, Session], str]:
    """The task's models as their authors run them, prepared, and the backends in words.

    Raises:
        MissingRequirement: no reference backend can run here, or the model cannot be had.
    """
    sessions: dict[str, Session] = {}
    used: list[str] = []
    for stage in task.stages:
        offered = task.formats(stage)
        if not offered:
            raise MissingRequirement("the task names no model file to make one with")
        format_ = task.format_for(stage, [name for name in offered if _usable(name)])
        if format_ is None:
            raise MissingRequirement("no reference backend can run here")
        name = BY_FORMAT[format_]
        backend = extensions.load(BACKENDS, name)
        options = backend.Options()
        clock = clock_of(backend, options)
        sessions[stage] = backend.load(fetch(task.model(stage, format_)), options, threads, clock)
        used.append(name)
    task.prepare(sessions)
    return sessions, " and ".join(dict.fromkeys(used))


def read_reference(path: Path) -> tuple[Reference, list[Outputs]]:
    """The reference at ``path``: its answers, and the raw outputs of the first samples."""
    reference = Reference.model_validate_json(path.read_bytes())
    with np.load(path.with_suffix(".npz"), allow_pickle=False) as kept:
        count = 1 + max((int(key.partition("/")[0]) for key in kept.files), default=-1)
        outputs: list[Outputs] = [
            [kept[key] for key in sorted(kept.files, key=_place) if _place(key)[0] == index]
            for index in range(count)
        ]
    return reference, outputs


def run_one(task: Task, sessions: Mapping[str, Session], sample: Sample) -> Outputs:
    """Raw outputs of one sample.

    Raises:
        InputError: an output holds NaN or an overflow. Minus infinity is an answer: it is what the
            logarithm of zero and the masks of attention give.
    """
    feeds = task.preprocess(task.input([sample]))
    outputs = task.execute(sessions, feeds)
    for index, array in enumerate(outputs):
        bad = _not_numbers(array)
        if bad:
            holed = [name for name, fed in feeds.items() if _not_numbers(fed)]
            raise InputError(
                f"output {index} holds {bad} of {array.size} values that are not finite"
                + (f", and so does its input {holed[0]!r}" if holed else ""),
                where=f"the answer to {printable(sample.path.name)}",
                todo="Check the model's weights, its precision and how its inputs are scaled",
            )
    return outputs


def _not_numbers(array: npt.NDArray[Any]) -> int:
    """How many values are NaN or overflowed."""
    if array.dtype.kind != "f":
        return 0
    return int((np.isnan(array) | np.isposinf(array)).sum())


def compare_outputs(pairs: Sequence[tuple[Outputs, Outputs]]) -> list[Parity]:
    """Outputs against the reference's, for each output over all samples.

    Raises:
        InputError: another number of outputs, or other shapes.
    """
    if not pairs:
        return []
    result = []
    for index in range(len(pairs[0][1])):
        largest, squared, norm = 0.0, 0.0, 0.0
        for ours, theirs in pairs:
            if len(ours) != len(theirs) or ours[index].shape != theirs[index].shape:
                raise InputError(
                    f"output {index} has the shape {[o.shape for o in ours]}, and the "
                    f"reference's are {[o.shape for o in theirs]}",
                    where="comparison with the reference",
                )
            apart, wanted = _apart(ours[index], theirs[index])
            largest = max(largest, float(np.abs(apart).max(initial=0)))
            squared += float((apart**2).sum())
            norm += float((wanted**2).sum())
        error = (squared / norm) ** 0.5 if norm else squared**0.5
        result.append(
            Parity(
                output=index, samples=len(pairs), largest_difference=largest, relative_error=error
            )
        )
    return result


def count_agreement(
    task: Task, answered: Counter[tuple[Sample, bytes]], reference: Reference
) -> Agreement:
    """How many of the answers are the reference's."""
    agreeing = sum(
        times
        for (sample, output), times in answered.items()
        if task.agrees(task.read(output), reference.answers[printable(sample.path)])
    )
    return Agreement(agreeing=agreeing, answered=answered.total(), reference=reference.made_by)


def _usable(format_: str) -> bool:
    name = BY_FORMAT.get(format_)
    return name is not None and extensions.load(BACKENDS, name).missing() is None


def _place(key: str) -> tuple[int, int]:
    sample, _, output = key.partition("/")
    return int(sample), int(output)


def _plain(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """An array that can be kept without pickling; runtimes give strings as objects."""
    return as_text(array) if is_text(array) else array


def _apart(
    ours: npt.NDArray[Any], theirs: npt.NDArray[Any]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Differences and what they are relative to; of strings, 1 where they differ, to 1."""
    if is_text(theirs):
        differ = as_text(ours) != as_text(theirs)
        return differ.astype(np.float64), np.ones(theirs.shape)
    found, wanted = ours.astype(np.float64), theirs.astype(np.float64)
    with np.errstate(invalid="ignore"):
        apart = np.where(found == wanted, 0.0, found - wanted)  # infinite alike is alike
    seen: npt.NDArray[np.float64] = np.where(np.isfinite(apart), apart, ABSURD)
    return seen, np.where(np.isfinite(wanted), wanted, 0.0)
