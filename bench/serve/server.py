"""A deployment, served: replicas, pool and HTTP put together, from the first to a graceful end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from bench.admission import Admission
from bench.batching import Rule
from bench.cores import divided, stay_on
from bench.errors import BenchError
from bench.scenario import Arm, Choice
from bench.serve.app import App
from bench.serve.metrics import Metrics
from bench.serve.pool import Pool
from bench.serve.replica import Process, Ready
from bench.simulate import Routing

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
"""Between the end of a replica and the next one in its place: twice as long every time."""


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
    largest_body: int = 64 << 20
    body_s: float = 30.0
    drain_s: float = 30.0
    """Requests that are inside when the server is told to end have so long."""


class Server:
    """See :func:`bench.serve.serve`."""

    def __init__(self, served: Served, listening: socket.socket) -> None:
        self._served, self._socket = served, listening
        threads = served.arm.device.threads
        self._cores, others = divided(threads and threads * served.replicas)
        stay_on(others)
        self._metrics = Metrics()
        self._processes: list[Process] = []
        self._mending: set[asyncio.Task[None]] = set()
        self._is_ending = False
        self._pool: Pool
        self._app: App

    async def run(self, on_ready: Callable[[], None]) -> None:
        """Until SIGINT or SIGTERM; a second one does not wait for what is inside.

        Raises:
            BenchError: no replica can start.
        """
        told = [asyncio.Event(), asyncio.Event()]
        loop = asyncio.get_running_loop()

        def tell() -> None:
            next((event for event in told if not event.is_set()), told[-1]).set()

        for number in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(NotImplementedError):  # Windows has Ctrl-C only
                loop.add_signal_handler(number, tell)
        starting = asyncio.ensure_future(self._start())
        try:
            if await _first(starting, told[0]):
                return
            runner = web.AppRunner(
                self._app.http, access_log=None, logger=_quiet(), handler_cancellation=True,
                shutdown_timeout=1.0,
            )  # fmt: skip
            await runner.setup()
            await web.SockSite(runner, self._socket).start()
            on_ready()
            await told[0].wait()
            self._app.draining = self._is_ending = True
            drained = asyncio.ensure_future(
                asyncio.wait_for(self._pool.empty(), self._served.drain_s)
            )
            with contextlib.suppress(TimeoutError):
                await _first(drained, told[1])
            self._pool.give_all_up("the server has ended")
            await runner.cleanup()
        finally:
            await self._end(starting)

    async def _start(self) -> None:
        """All replicas; the pool as soon as their warm-up says how long batches take."""
        served = self._served
        for number in range(served.replicas):
            self._processes.append(self._process(number))
        ready = await asyncio.gather(*(process.ready() for process in self._processes))
        self._pool = Pool(
            self._rule(ready), served.routing, served.admission, served.retry, self._metrics.ended
        )
        self._app = App(served.name, self._pool, self._metrics, served.largest_body, served.body_s)
        self._metrics.waiting.set_function(lambda: self._pool.waiting)
        self._metrics.ready.set_function(lambda: self._pool.ready)
        for process in self._processes:
            self._pool.set_ready(self._pool.add(process))

    def _rule(self, ready: Sequence[Ready]) -> Rule:
        took_ns = ready[0].took_ns

        def expected(size: int) -> float:
            return took_ns[min((n for n in took_ns if n >= size), default=max(took_ns))]

        return self._served.rule(expected)

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
        self._pool.lost(number)
        if not self._is_ending:
            task = asyncio.ensure_future(self._mend(number))
            self._mending.add(task)
            task.add_done_callback(self._mending.discard)

    async def _mend(self, number: int) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            self._metrics.restarted()
            self._processes[number] = process = self._process(number)
            try:
                await process.ready()
            except BenchError:
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
                continue
            self._pool.replace(number, process)
            return

    async def _end(self, starting: asyncio.Future[None]) -> None:
        self._is_ending = True
        for task in (starting, *self._mending):
            task.cancel()
        await asyncio.gather(starting, *self._mending, return_exceptions=True)
        await asyncio.gather(*(process.end() for process in self._processes))
        self._socket.close()


def _quiet() -> logging.Logger:
    """Whoever sends garbage could fill a disk with tracebacks: metrics count it instead."""
    logger = logging.getLogger("bench.serve")
    logger.propagate = False
    logger.addHandler(logging.NullHandler())
    return logger


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
