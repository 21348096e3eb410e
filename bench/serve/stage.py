"""One stage of what is served: replicas of a model behind a pool, and others in the place of those lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Set
from dataclasses import dataclass

from bench.admission import Admission
from bench.batching import Rule
from bench.errors import BenchError
from bench.scenario import Arm, Choice
from bench.serve.metrics import StageMetrics
from bench.serve.pool import Pool
from bench.serve.replica import Process
from bench.simulate import Routing

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
"""Between a replica that could not start and the next one in its place: twice as long every time."""


@dataclass(frozen=True)
class ServedStage:
    """What is served there, and how."""

    name: str
    arm: Arm
    task: Choice
    replicas: int
    largest: int
    """Requests in a batch, at most."""
    rule: Callable[[Callable[[int], float]], Rule]
    """Of the time that a batch of each size is expected to take, in nanoseconds."""
    routing: Routing
    admission: Admission
    retry: bool
    only_found: bool = False
    """Whether it takes but the requests in which the stage before has found something."""
    hands_on: bool = False
    """Whether another stage follows."""

    @property
    def threads(self) -> int | None:
        """Of all replicas; ``None``: they take what there is."""
        own = self.arm.device.threads
        return own and own * self.replicas


class Stage:
    """Such a stage, live.

    Args:
        cores: those that its replicas run on.
    """

    pool: Pool
    """There is one as soon as replicas have said in their warm-up how long batches take."""

    def __init__(self, served: ServedStage, cores: Set[int] | None, metrics: StageMetrics) -> None:
        self.served = served
        self._cores, self._metrics = cores, metrics
        self._processes: list[Process] = []
        self._mending: set[asyncio.Task[None]] = set()
        self._is_serving = False

    async def start(self) -> None:
        """All replicas, and then the pool.

        Raises:
            BenchError: one cannot start.
        """
        served = self.served
        for number in range(served.replicas):
            self._processes.append(self._process(number))
        expected = await asyncio.gather(*(process.ready() for process in self._processes))
        rule = served.rule(expected[0])
        self.pool = Pool(rule, served.routing, served.admission, served.retry, self._metrics.ended)
        self._metrics.watch(self.pool)
        self._is_serving = True
        for process in self._processes:
            number = self.pool.add(process)
            if process.is_there:
                self.pool.set_ready(number)
            else:
                self._gone(number)

    async def end(self, grace_s: float) -> None:
        """Let replicas finish what they have in hand for so long."""
        self._is_serving = False
        for task in self._mending:
            task.cancel()
        await asyncio.gather(*self._mending, return_exceptions=True)
        await asyncio.gather(*(process.end(grace_s) for process in self._processes))

    def _process(self, number: int) -> Process:
        return Process(
            self.served.arm,
            self.served.task,
            self.served.largest,
            self._cores,
            lambda answers: self.pool.done(number, answers),
            lambda: self._gone(number),
            self.served.hands_on,
        )

    def _gone(self, number: int) -> None:
        """A replica has ended by itself: another takes its place."""
        if self._is_serving:
            self.pool.lost(number)
            task = asyncio.ensure_future(self._mend(number))
            self._mending.add(task)
            task.add_done_callback(self._mending.discard)

    async def _mend(self, number: int) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            self._metrics.restarted()
            try:
                self._processes[number] = process = self._process(number)
                await process.ready()
            except (BenchError, OSError):  # the system may have no more memory, or files
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
                continue
            self.pool.replace(number, process)
            return
