"""A deployment, served: replicas, pool and HTTP put together, from the first to a graceful end."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from bench.admission import Admission
from bench.batching import Rule
from bench.cores import divided, stay_on
from bench.errors import BenchError, Interrupted
from bench.scenario import Arm, Choice
from bench.serve.app import App, Limits
from bench.serve.metrics import Metrics
from bench.serve.pool import Pool
from bench.serve.replica import Process
from bench.simulate import Routing

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
"""Between a replica that could not start and the next one in its place: twice as long every time."""
GRACE_S, LAST_S = 5.0, 3.0
"""At the end: for a batch that nobody waits for any more, and for answers on their way out."""


@dataclass(frozen=True)
class Served:
    """What is served, and how."""

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
    limits: Limits = field(default_factory=Limits)
    drain_s: float = 30.0
    """Requests that are inside when the server is told to end have so long."""


class Server:
    """See :func:`bench.serve.deployed.serve`."""

    def __init__(self, served: Served, listening: socket.socket) -> None:
        self._served, self._socket = served, listening
        threads = served.arm.device.threads
        self._cores, others = divided(threads and threads * served.replicas)
        stay_on(others)
        self._metrics = Metrics()
        self._processes: list[Process] = []
        self._mending: set[asyncio.Task[None]] = set()
        self._is_serving = False
        self._pool: Pool
        self._app: App

    async def run(self, on_ready: Callable[[], None]) -> None:
        """Until SIGINT or SIGTERM; a second one does not wait for what is inside.

        Raises:
            BenchError: no replica can start.
            Interrupted: it was told to end before it could serve, or could not answer all in time.
        """
        told = [asyncio.Event(), asyncio.Event()]

        def tell() -> None:
            next((event for event in told if not event.is_set()), told[-1]).set()

        loop = asyncio.get_running_loop()
        loop.set_exception_handler(_complain)
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, tell)
        if (parent := multiprocessing.parent_process()) is not None:
            loop.add_reader(parent.sentinel, tell)
        starting = asyncio.ensure_future(self._start())
        grace_s = 0.0
        try:
            if await _first(starting, told[0]):
                raise Interrupted("It was told to end before it could serve.")
            runner = self._app.runner(LAST_S)
            await runner.setup()
            await web.SockSite(runner, self._socket).start()
            on_ready()
            await told[0].wait()
            await self._drain(runner, told[1])
            grace_s = GRACE_S
        finally:
            await self._end(starting, grace_s)

    async def _drain(self, runner: web.AppRunner, told_again: asyncio.Event) -> None:
        """Take nothing more, and answer what is inside.

        Raises:
            Interrupted: told to end at once, or it took too long.
        """
        self._app.draining = True
        empty = asyncio.wait_for(self._pool.empty(), self._served.drain_s)
        with contextlib.suppress(TimeoutError):
            await _first(asyncio.ensure_future(empty), told_again)
        left = self._pool.inside
        self._pool.give_all_up("the server has ended")
        await _first(asyncio.ensure_future(runner.cleanup()), told_again)
        if left:
            raise Interrupted(f"{left} requests were inside when it ended, and have no answer.")

    async def _start(self) -> None:
        """All replicas; the pool as soon as their warm-up says how long batches take."""
        served = self._served
        for number in range(served.replicas):
            self._processes.append(self._process(number))
        expected = await asyncio.gather(*(process.ready() for process in self._processes))
        rule = served.rule(expected[0])
        self._pool = Pool(rule, served.routing, served.admission, served.retry, self._metrics.ended)
        self._app = App(served.name, self._pool, self._metrics, served.limits)
        self._metrics.inside.set_function(lambda: self._pool.inside)
        self._metrics.waiting.set_function(lambda: self._pool.waiting)
        self._metrics.ready.set_function(lambda: self._pool.ready)
        self._is_serving = True
        for process in self._processes:
            number = self._pool.add(process)
            if process.is_there:
                self._pool.set_ready(number)
            else:
                self._gone(number)

    def _process(self, number: int) -> Process:
        return Process(
            self._served.arm,
            self._served.task,
            self._served.largest,
            self._cores,
            lambda answers: self._pool.done(number, answers),
            lambda: self._gone(number),
        )

    def _gone(self, number: int) -> None:
        """A replica has ended by itself: another takes its place."""
        if self._is_serving:
            self._pool.lost(number)
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
            self._pool.replace(number, process)
            return

    async def _end(self, starting: asyncio.Future[None], grace_s: float) -> None:
        self._is_serving = False
        for task in (starting, *self._mending):
            task.cancel()
        await asyncio.gather(starting, *self._mending, return_exceptions=True)
        await asyncio.gather(*(process.end(grace_s) for process in self._processes))
        self._socket.close()


def _complain(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Say what asyncio says, but for connections that it has no files for: a thousand lines a second."""
    if "socket" not in context:
        loop.default_exception_handler(context)


async def _first(work: asyncio.Future[None], told: asyncio.Event) -> bool:
    """Wait for the work, or until told to end: whether that came first."""
    waiting = asyncio.ensure_future(told.wait())
    either: list[asyncio.Future[Any]] = [work, waiting]
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if not work.done():
        work.cancel()
        return True
    work.result()
    return False
