"""The loop that serves one batch: six steps, each timed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.measure.backends import Clock, Session
from bench.measure.tasks import Sample, Task


@dataclass(frozen=True)
class ServedBatch:
    """Timestamps (ns) around each step, taken inside; start and end, taken outside."""

    marks_ns: tuple[int, ...]
    started_ns: int
    finished_ns: int
    samples: Sequence[Sample]
    input_bytes: Sequence[int]
    outputs: Sequence[bytes]

    @property
    def step_seconds(self) -> list[float]:
        pairs = zip(self.marks_ns, self.marks_ns[1:], strict=False)
        return [(after - before) / 1e9 for before, after in pairs]

    @property
    def service_s(self) -> float:
        return (self.finished_ns - self.started_ns) / 1e9


def serve(task: Task, session: Session, samples: Sequence[Sample], clock: Clock) -> ServedBatch:
    """Serve one batch. The boundary of ``execute`` is host buffer to host buffer."""
    started = clock()
    encoded, outputs, marks = _steps(task, session, samples, clock)
    finished = clock()
    return ServedBatch(marks, started, finished, samples, [len(e) for e in encoded], outputs)


def _steps(
    task: Task, session: Session, samples: Sequence[Sample], clock: Clock
) -> tuple[list[bytes], list[bytes], tuple[int, ...]]:
    t0 = clock()
    encoded = task.input(samples)
    t1 = clock()
    feeds = task.preprocess(encoded)
    t2 = clock()
    raw = session.run(feeds)
    t3 = clock()
    prediction = task.predict(raw)
    t4 = clock()
    answers = task.postprocess(prediction)
    t5 = clock()
    outputs = task.output(answers)
    t6 = clock()
    return encoded, outputs, (t0, t1, t2, t3, t4, t5, t6)
