"""One loaded arm: its task, its sessions, its clock, and the samples it is asked about."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np

from bench.errors import InputError
from bench.measure.backends import Session
from bench.measure.clock import Clock
from bench.measure.patience import Patient
from bench.measure.recorder import Recorder
from bench.measure.tasks import Sample, Task
from bench.measure.worker import ServedBatch, serve, serve_or_fail
from bench.turns import Turns

DRAWN_AHEAD = 4096
PROFILE = "profile"
"""The phase in which batches of every size are measured."""

Note = Callable[[str, float], None]
"""Called between batches with the phase at hand and the share of it that is done."""


class Service:
    """Serves batches and keeps their times; the one loop that every load goes through."""

    def __init__(
        self,
        task: Task,
        sessions: Mapping[str, Session],
        clock: Clock,
        recorder: Recorder,
        rng: np.random.Generator,
        note: Note,
        *,
        generator_core: int | None = None,
        concurrent: bool = False,
        turns: Turns | None = None,
    ) -> None:
        self.task, self.sessions, self.clock = task, sessions, clock
        self.patient = {stage: Patient(session) for stage, session in sessions.items()}
        """The same sessions, for what is not timed."""
        self.recorder, self.rng, self.note = recorder, rng, note
        self.generator_core = generator_core
        """A core that the system under test leaves to the load generator."""
        self.concurrent = concurrent
        """Whether several threads may use the sessions at once."""
        self.turns = turns or Turns()
        self._lock = threading.Lock()
        self._rotation = _rotation(task.samples, rng)

    def take(self, size: int) -> list[Sample]:
        """The next samples: all are used before one comes again."""
        with self._lock:
            return [next(self._rotation) for _ in range(size)]

    def try_out(self, size: int) -> ServedBatch:
        """Serve one batch without keeping its times; an error is raised."""
        return serve(self.task, self.patient, self.take(size), self.clock)

    def serve(
        self,
        phase: str,
        samples: Sequence[Sample],
        asked_ns: list[tuple[int, int]] | None = None,
    ) -> ServedBatch:
        """Serve one batch and keep its times; an error is kept too."""
        batch = serve_or_fail(self.task, self.sessions, samples, self.clock)
        self.recorder.keep(phase, batch, asked_ns)
        return batch

    def give_up(
        self, phase: str, samples: Sequence[Sample], asked_ns: list[tuple[int, int]], error: str
    ) -> None:
        """Keep requests that nobody will answer any more; they count as errors."""
        now, nothing = self.clock(), [0] * len(samples)
        empty = [b""] * len(samples)
        batch = ServedBatch((now,) * 7, now, now, samples, nothing, nothing, empty, error)
        self.recorder.keep(phase, batch, asked_ns)

    def expected_ns(self, size: int) -> float:
        """Mean service time of a batch, by the service profile.

        Raises:
            InputError: no batch so large is in it.
        """
        means = self.recorder.mean_service_ns(PROFILE)
        measured = [larger for larger in means if larger >= size]
        if not measured:
            raise InputError(
                f"a batching policy asks how long a batch of {size} takes, and the largest measured "
                f"is {max(means, default=0)}",
                where="measure.max_batch", todo="Measure larger batches, or batch fewer requests",
            )  # fmt: skip
        return means[min(measured)]

    @contextmanager
    def recording(self, recorder: Recorder) -> Iterator[None]:
        """Keep the times in another recorder for a while."""
        own, self.recorder = self.recorder, recorder
        try:
            yield
        finally:
            self.recorder = own

    def closed_loop(
        self, phase: str, size: int, queries: int, duration_s: float, limit_s: float
    ) -> None:
        """One query after another, each of ``size`` samples, for so many and so long at least."""
        start, done = self.clock(), 0
        while True:
            elapsed_s = (self.clock() - start) / 1e9
            if (done >= queries and elapsed_s >= duration_s) or elapsed_s > limit_s:
                return
            self.serve(phase, self.take(size))
            start += self.turns.pass_on()
            done += 1
            self.note(phase, min(done / queries, 1.0))

    def backlog(
        self,
        phase: str,
        size: int,
        pipelined: int,
        queries: int,
        duration_s: float,
        limit_s: float,
    ) -> None:
        """Everything is waiting at the start; ``pipelined`` batches are in flight at once.

        Raises:
            InputError: more than one in flight, and the backend answers one at a time.
        """
        if pipelined > 1 and not self.concurrent:
            raise InputError(
                "the backend answers one batch at a time", where=f"measure.loads: {phase}",
                allowed="pipelined: 1",
            )  # fmt: skip
        start, batches = self.clock(), itertools.count(1)

        def work() -> None:
            while True:
                done, elapsed_s = next(batches) * size, (self.clock() - start) / 1e9
                if (done > queries + size - 1 and elapsed_s >= duration_s) or elapsed_s > limit_s:
                    return
                samples = self.take(size)
                self.serve(phase, samples, [(start, start)] * size)
                self.note(phase, min(done / queries, 1.0))

        with ThreadPoolExecutor(pipelined) as pool:
            for future in [pool.submit(work) for _ in range(pipelined)]:
                future.result()


def _rotation(samples: Sequence[Sample], rng: np.random.Generator) -> Iterator[Sample]:
    """Endless samples: each pass over all of them in a new order.

    Many passes are drawn at once, since a draw costs the request that it falls on 0.1 ms where
    the processor has just slept.
    """
    numbers = np.arange(len(samples))
    passes = np.tile(numbers, (-(-DRAWN_AHEAD // len(samples)), 1))
    while True:
        for index in rng.permuted(passes, axis=1).ravel().tolist():
            yield samples[index]
