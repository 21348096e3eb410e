"""A deployment, served: its stages and HTTP put together, from the first to a graceful end."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from bench.cores import divided, stay_on
from bench.errors import Interrupted
from bench.serve.app import App, Limits
from bench.serve.line import Line, Stop
from bench.serve.metrics import Metrics
from bench.serve.stage import ServedStage, Stage

GRACE_S, LAST_S = 5.0, 3.0
"""At the end: for a batch that nobody waits for any more, and for answers on their way out."""


@dataclass(frozen=True)
class Served:
    """What is served, and how."""

    name: str
    stages: Sequence[ServedStage]
    """In the order in which requests pass them."""
    limits: Limits = field(default_factory=Limits)
    drain_s: float = 30.0
    """Requests that are inside when the server is told to end have so long."""


class Server:
    """See :func:`bench.serve.deployed.serve`."""

    def __init__(self, served: Served, listening: socket.socket) -> None:
        self._served, self._socket = served, listening
        needed = [stage.threads for stage in served.stages]
        cores, others = divided(None if None in needed else sum(filter(None, needed)))
        stay_on(others)
        self._metrics = Metrics([stage.name for stage in served.stages])
        self._stages = [
            Stage(stage, cores, self._metrics.of(stage.name)) for stage in served.stages
        ]
        self._line: Line
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
        empty = asyncio.wait_for(self._line.empty(), self._served.drain_s)
        with contextlib.suppress(TimeoutError):
            await _first(asyncio.ensure_future(empty), told_again)
        left = self._line.inside
        self._line.give_all_up("the server has ended")
        await _first(asyncio.ensure_future(runner.cleanup()), told_again)
        if left:
            raise Interrupted(f"{left} requests were inside when it ended, and have no answer.")

    async def _start(self) -> None:
        """All replicas of all stages, and what answers for them."""
        await asyncio.gather(*(stage.start() for stage in self._stages))
        self._line = Line([Stop(stage.pool, stage.served.only_found) for stage in self._stages])
        self._app = App(self._served.name, self._line, self._metrics, self._served.limits)

    async def _end(self, starting: asyncio.Future[None], grace_s: float) -> None:
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await asyncio.gather(*(stage.end(grace_s) for stage in self._stages))
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
