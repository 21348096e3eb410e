"""Open-loop runs: the generator sends by the schedule, the service answers as it can."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from bench.errors import InputError
from bench.generator import Generator
from bench.measure.backends import Session, fake
from bench.measure.budget import Budget
from bench.measure.clock import WallClock
from bench.measure.measurement import GeneratorCheck, Trial
from bench.measure.recorder import Recorder
from bench.measure.service import Service
from bench.measure.tasks import ONE_STAGE, synthetic
from bench.stats import early_stopping_floor, queued_quantile, sample_floor

LATE_NS = 1_000_000
LATE_SHARE = 0.01
CHECK_LENGTH_S = 3.0
CHECK_REQUESTS = 3_000
GIVE_UP_S = 10.0
"""A request that has waited so long is a time-out, and so are all behind it."""

Floats = npt.NDArray[np.float64]


class Objective(Protocol):
    """What a trial is judged by."""

    @property
    def limit(self) -> float: ...
    @property
    def percentile(self) -> float: ...
    @property
    def max_batch(self) -> int: ...
    @property
    def concurrency(self) -> int: ...


def ask(
    service: Service, phase: str, schedule_s: Floats, max_batch: int = 1, concurrency: int = 1
) -> float:
    """Ask the service by a schedule (seconds from the start); returns the share of late sends.

    Raises:
        InputError: see :func:`require_open`.
    """
    require_open(service, phase, concurrency)
    schedule_ns = [round(at * 1e9) for at in schedule_s]
    with Generator(schedule_ns, service.generator_core) as generator:
        run = _Run(service, phase, schedule_ns, generator)
        if concurrency == 1:
            run.work(max_batch)
        else:
            workers = [threading.Thread(target=run.work, args=(1,)) for _ in range(concurrency)]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
        return run.late_share()


def require_open(service: Service, phase: str, concurrency: int) -> None:
    """Whether a service can be asked in an open loop.

    Raises:
        InputError: it runs on a clock of its own, or cannot answer concurrently.
    """
    if not isinstance(service.clock, WallClock):
        raise InputError(
            "scripted times cannot be asked in real time", where=f"measure.loads: {phase}",
            todo="Give the fake backend real_time: true",
        )  # fmt: skip
    if concurrency > 1 and not service.concurrent:
        raise InputError(
            "the backend answers one request at a time", where=f"measure.loads: {phase}",
            allowed="concurrency: 1", todo="A remote server takes more",
        )  # fmt: skip


class _Run:
    """The requests of one open-loop run, taken up in the order they were sent."""

    def __init__(
        self, service: Service, phase: str, schedule_ns: list[int], generator: Generator
    ) -> None:
        self._service, self._phase = service, phase
        self._generator = generator
        self._lock = threading.Lock()
        self._taken = 0
        self._base_ns = generator.start()
        self._due_ns = [self._base_ns + at for at in schedule_ns]
        self._timed_out = False

    def work(self, max_batch: int) -> None:
        """Serve until the schedule is through."""
        while indices := self._take_up(max_batch):
            asked = [(self._due_ns[i], self._generator.sent_ns(i)) for i in indices]
            waited_s = (self._service.clock() - asked[0][0]) / 1e9
            self._timed_out |= waited_s > GIVE_UP_S
            samples = self._service.take(len(indices))
            if self._timed_out:
                self._service.give_up(self._phase, samples, asked, GIVE_UP_S)
            else:
                self._service.serve(self._phase, samples, asked)
            self._service.note(self._phase, indices[-1] / len(self._due_ns))

    def late_share(self) -> float:
        late = sum(self._generator.sent_ns(i) - due > LATE_NS for i, due in enumerate(self._due_ns))
        return late / max(len(self._due_ns), 1)

    def _take_up(self, max_batch: int) -> range:
        """The numbers of the requests to serve next; empty at the end."""
        with self._lock:
            first = self._taken
            if first >= len(self._due_ns) or not self._generator.wait_for_one():
                return range(0)
            last = first + 1
            while last - first < max_batch and last < len(self._due_ns):
                if not self._generator.another():
                    break
                last += 1
            self._taken = last
            return range(first, last)


def check_generator(service: Service, schedule_s: Floats) -> GeneratorCheck:
    """Run the start of a schedule against a backend that takes no time: what is left is ours."""
    head = schedule_s[schedule_s < CHECK_LENGTH_S][:CHECK_REQUESTS]
    if len(head) < sample_floor(0.99):
        head = schedule_s[: sample_floor(0.99)]
    if len(head) and head[-1] > 2 * CHECK_LENGTH_S:  # slow arrivals: the gaps do not matter
        head = head * (2 * CHECK_LENGTH_S / head[-1])
    recorder = Recorder("null", 0)
    null = null_service(recorder, service)
    late = ask(null, "null", head)
    response = response_s(recorder)
    p99 = queued_quantile(response, 0.99).value
    return GeneratorCheck(
        sends=len(head),
        late_share=late,
        null_p99_s=p99,
        null_late_share=late,
        pinned=service.generator_core is not None,
    )


def null_service(recorder: Recorder, like: Service | None = None) -> Service:
    """A service that answers at once, on the machine's clock."""
    clock = WallClock()
    options = fake.Options(base=0, per_item=0, load=0, first_call_extra=0, real_time=True)
    task = synthetic.build(synthetic.Options(payload_bytes=1))
    session: Session = fake.load(Path(), options, 1, clock)
    return Service(
        task,
        {ONE_STAGE: session},
        clock,
        recorder,
        np.random.default_rng(0),
        like.note if like else lambda phase, share: None,
        generator_core=like.generator_core if like else None,
    )


def response_s(recorder: Recorder) -> Floats:
    """Response times of all requests, in the order they were scheduled; infinite where failed."""
    table = recorder.requests()
    scheduled = np.array(table["scheduled_ns"], dtype=float)
    response = (np.array(table["finished_ns"], dtype=float) - scheduled) / 1e9
    response[[error is not None for error in table["error"]]] = np.inf
    ordered: Floats = response[np.argsort(scheduled, kind="stable")]
    return ordered


def try_rate(
    service: Service, phase: str, rate: float, objective: Objective, budget: Budget
) -> Trial:
    """One trial of a capacity search: Poisson arrivals at ``rate``."""
    q = objective.percentile / 100
    length_s = max(budget.trial_s, 1.1 * early_stopping_floor(2, q) / rate)
    schedule = poisson_schedule(min(rate, 1e6), min(length_s, budget.limit_s), service.rng)
    recorder = Recorder(phase, 0)
    with service.recording(recorder):
        late = ask(service, phase, schedule, objective.max_batch, objective.concurrency)
    service.recorder.extend(recorder, f"{phase} at {rate:.4g}/s")
    response = response_s(recorder)
    over = int((response > objective.limit).sum())
    needed = early_stopping_floor(over, q)
    kept = len(response) >= needed and late <= LATE_SHARE
    return Trial(
        rate=rate,
        kept=None if over == 0 and len(response) < needed else kept,
        response=queued_quantile(response[np.isfinite(response)], q),
        queries=len(response),
        over_limit=over,
        reason=_why(late, len(response), over, needed),
    )


def poisson_schedule(rate: float, length_s: float, rng: np.random.Generator) -> Floats:
    """Arrival times in seconds, sorted."""
    times: Floats = np.sort(rng.uniform(0, length_s, rng.poisson(rate * length_s)))
    return times


def _why(late: float, queries: int, over: int, needed: int) -> str:
    if late > LATE_SHARE:
        return f"the generator was late with {late:.1%} of its sends"
    return f"{over} of {queries} queries over the limit; {needed} queries needed with so many"
