"""The loop that serves one batch: six steps, each timed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench import extensions
from bench.errors import InputError, shorten
from bench.measure.backends import RequestFailed, Session
from bench.measure.clock import Clock
from bench.measure.tasks import Sample, Task

LONGEST_ERROR = 300


@dataclass(frozen=True, slots=True)
class ServedBatch:
    """Timestamps (ns) around each step, taken inside; start and end, taken outside."""

    marks_ns: tuple[int, ...]
    started_ns: int
    finished_ns: int
    samples: Sequence[Sample]
    input_bytes: Sequence[int]
    """What each encoded input, and each answer, weighs on a network."""
    output_bytes: Sequence[int]
    outputs: Sequence[bytes]
    """What is kept of each answer."""
    error: str | None = None
    """The kind of failure, a colon, and what was said."""

    @property
    def step_seconds(self) -> list[float]:
        pairs = zip(self.marks_ns, self.marks_ns[1:], strict=False)
        return [(after - before) / 1e9 for before, after in pairs]

    @property
    def service_s(self) -> float:
        return (self.finished_ns - self.started_ns) / 1e9


def serve(
    task: Task, sessions: Mapping[str, Session], samples: Sequence[Sample], clock: Clock
) -> ServedBatch:
    """Serve one batch. The boundary of ``execute`` is host buffer to host buffer.

    Raises:
        InputError: there is not one answer to each sample.
    """
    started = clock()
    encoded, outputs, marks = steps_of(task, sessions, lambda: task.input(samples), clock)
    finished = clock()
    if not len(encoded) == len(outputs) == len(samples):
        raise InputError(
            f"the task made {len(encoded)} inputs and {len(outputs)} answers of a batch of "
            f"{len(samples)}",
            where=f"task {type(task).__name__}",
            allowed="one of each for every sample",
            todo="A task that takes one at a time says so: largest_batch = 1",
        )
    weigh, kept = task.weight, [task.keep(output) for output in outputs]
    came, went = [weigh(item) for item in encoded], [weigh(item) for item in outputs]
    return ServedBatch(marks, started, finished, samples, came, went, kept)


def serve_or_fail(
    task: Task, sessions: Mapping[str, Session], samples: Sequence[Sample], clock: Clock
) -> ServedBatch:
    """Serve one batch; a failure is an answer too, and stays in the denominator."""
    started = clock()
    try:
        return serve(task, sessions, samples, clock)
    except Exception as error:  # a backend may raise anything
        nothing = [0] * len(samples)
        fault = extensions.own_fault(error)
        code = error.code if isinstance(error, RequestFailed) else type(error).__name__
        said = shorten(fault or f"{code}: {error}", LONGEST_ERROR)
        empty = [b""] * len(samples)
        return ServedBatch((started,) * 7, started, clock(), samples, nothing, nothing, empty, said)


def steps_of(
    task: Task, sessions: Mapping[str, Session], read: Callable[[], list[bytes]], clock: Clock
) -> tuple[list[bytes], list[bytes], tuple[int, ...]]:
    """The six steps of one batch, whose inputs ``read`` gives: inputs, answers, and the moments around."""
    t0 = clock()
    encoded = read()
    t1 = clock()
    feeds = task.preprocess(encoded)
    t2 = clock()
    raw = task.execute(sessions, feeds)
    t3 = clock()
    prediction = task.predict(raw)
    t4 = clock()
    answers = task.postprocess(prediction)
    t5 = clock()
    outputs = task.output(answers)
    t6 = clock()
    return encoded, outputs, (t0, t1, t2, t3, t4, t5, t6)
