"""Open-loop runs: the generator sends by the schedule, the service answers as it can.

When waiting requests are taken up as a batch is decided by :func:`bench.batching.decide`, as in a
simulation, so that what is simulated can be held against what was measured live.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from bench.batching import FOREVER, Rule, constant, decide, rule_of, taken_up
from bench.errors import InputError
from bench.generator import Generator
from bench.measure.backends import Session, fake
from bench.measure.budget import Budget
from bench.measure.clock import WallClock
from bench.measure.measurement import GeneratorCheck, Trial
from bench.measure.recorder import Recorder
from bench.measure.service import Service
from bench.measure.tasks import ONE_STAGE, synthetic
from bench.record import Record
from bench.scenario import Choice
from bench.stats import early_stopping_floor, queued_quantile, sample_floor

LATE_NS = 1_000_000
LATE_SHARE = 0.01
CHECK_LENGTH_S = 3.0
CHECK_REQUESTS = 3_000
GIVE_UP_S = 10.0
"""A request that has waited so long is a time-out, and so are all behind it."""

NEVER_FULL = "left over: the last requests never filled a batch"

Floats = npt.NDArray[np.float64]


ALONE = constant(1, 0)


class TakeUp(Record):
    """How waiting requests are taken up."""

    max_batch: int = Field(default=1, ge=1, le=1024)
    """So many at most are taken up together, and none waits for company (``greedy``)."""
    batching: Choice | None = None
    """Another policy, with its options, in place of ``max_batch``."""
    concurrency: int = Field(default=1, ge=1, le=1024)
    """Batches in flight at once, where the backend can."""

    @model_validator(mode="after")
    def _one_policy(self) -> TakeUp:
        if self.batching is not None and self.max_batch != 1:
            raise ValueError("give max_batch or batching, and not both")
        return self

    def rule(self, service: Service, phase: str) -> Rule:
        """When a batch of ``service`` starts.

        Raises:
            InputError: it may not be asked so or batched so, or no batch that large was measured.
        """
        require_open(service, phase, self.concurrency)
        if self.batching is None:
            return constant(self.max_batch, 0)
        chosen = self.batching
        return taken_up(rule_of(chosen.name, chosen.options, service.expected_ns), "batching")


class LatencyLimit(Protocol):
    """What a trial is judged by."""

    @property
    def limit(self) -> float: ...
    @property
    def percentile(self) -> float: ...


def ask(
    service: Service,
    phase: str,
    schedule_s: Floats,
    rule: Rule = ALONE,
    concurrency: int = 1,
) -> float:
    """Ask the service by a schedule (seconds from the start); returns the share of late sends."""
    schedule_ns = [round(at * 1e9) for at in schedule_s]
    with Generator(schedule_ns, service.generator_core) as generator:
        run = _Run(service, phase, schedule_ns, generator, rule)
        if concurrency == 1:
            run.work()  # in this thread: handing over to another would be timed as well
        else:
            with ThreadPoolExecutor(concurrency) as pool:
                for future in [pool.submit(run.work) for _ in range(concurrency)]:
                    future.result()
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


class _Sent(Protocol):
    """What a run needs of the load generator (:class:`bench.generator.Generator`)."""

    def start(self) -> int: ...
    def wait(self, until_ns: int | None = None) -> bool: ...
    def another(self) -> bool: ...
    def sent_ns(self, index: int) -> int: ...


class _Run:
    """The requests of one open-loop run, taken up in the order they were sent.

    All workers share one queue; one of them at a time stands at its head and asks the rule.
    """

    def __init__(
        self, service: Service, phase: str, schedule_ns: list[int], generator: _Sent, rule: Rule
    ) -> None:
        self._service, self._phase = service, phase
        self._generator, self._rule = generator, rule
        self._head = threading.Lock()
        self._taken = self._waiting = 0
        base_ns = generator.start()
        self._due_ns = [base_ns + at for at in schedule_ns]
        self._given_up = ""
        """Why nobody is answered any more."""

    def work(self) -> None:
        """Serve until the schedule is through."""
        while indices := self._take_up():
            asked = [(self._due_ns[i], self._generator.sent_ns(i)) for i in indices]
            waited_s = (self._service.clock() - asked[0][0]) / 1e9
            if waited_s > GIVE_UP_S:
                self._given_up = f"time-out: waited more than {GIVE_UP_S:g} s"
            samples = self._service.take(len(indices))
            if self._given_up:
                self._service.give_up(self._phase, samples, asked, self._given_up)
            else:
                self._service.serve(self._phase, samples, asked)
            self._service.note(self._phase, indices[-1] / len(self._due_ns))

    def late_share(self) -> float:
        late = sum(self._generator.sent_ns(i) - due > LATE_NS for i, due in enumerate(self._due_ns))
        return late / max(len(self._due_ns), 1)

    def _take_up(self) -> range:
        """The numbers of the requests to serve next, when it is time; empty at the end."""
        with self._head:
            while self._taken < len(self._due_ns):
                size, ask_again_ns = self._decide()
                if not size and ask_again_ns is None and self._all_sent():
                    size, self._given_up = self._waiting, NEVER_FULL
                if size:
                    first = self._taken
                    self._taken, self._waiting = first + size, self._waiting - size
                    return range(first, self._taken)
                if self._generator.wait(ask_again_ns):
                    self._waiting += 1
                elif ask_again_ns is None:
                    break  # the generator was lost
            return range(0)

    def _all_sent(self) -> bool:
        return self._taken + self._waiting == len(self._due_ns)

    def _decide(self) -> tuple[int, int | None]:
        """How many to take up now; if none, when to ask again at the latest (``None``: never)."""
        while self._waiting < self._rule.full and self._generator.another():
            self._waiting += 1
        if not self._waiting:
            return 0, None
        oldest, now = self._generator.sent_ns(self._taken), self._service.clock()
        size, ask_again = decide(self._rule.full, self._rule.patience, self._waiting, oldest, now)
        return size, ask_again if ask_again < FOREVER else None


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
    service: Service,
    phase: str,
    rate: float,
    objective: LatencyLimit,
    budget: Budget,
    rule: Rule = ALONE,
    concurrency: int = 1,
) -> Trial:
    """One trial of a capacity search: Poisson arrivals at ``rate``."""
    q = objective.percentile / 100
    length_s = max(budget.trial_s, 1.1 * early_stopping_floor(2, q) / rate)
    schedule = poisson_schedule(min(rate, 1e6), min(length_s, budget.limit_s), service.rng)
    recorder = Recorder(phase, 0)
    with service.recording(recorder):
        late = ask(service, phase, schedule, rule, concurrency)
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
