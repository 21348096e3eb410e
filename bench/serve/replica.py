"""A replica: a process of its own that holds the model and answers batches, one after the other."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import signal
from collections.abc import Callable, Mapping, Sequence, Set
from multiprocessing.connection import Connection
from typing import NamedTuple

from bench.cores import stay_on
from bench.errors import BenchError, InputError, WorkerLost
from bench.measure import LiveAnswer, LiveArm
from bench.scenario import Arm, Choice

GRACE_S = 5.0
"""A replica that is told to end has so long."""


class Ready(NamedTuple):
    """What a replica says first: how long batches took in its warm-up, in nanoseconds by size."""

    took_ns: Mapping[int, float]


class Failed(NamedTuple):
    """Why a replica could not start."""

    error: BenchError


class Process:
    """The replica's process, as the server sees it. All calls come from the server's loop.

    Args:
        cores: those that it runs on.
        on_answers: told of each batch's.
        on_gone: told, once, that the process has ended, whatever ended it.
    """

    def __init__(
        self,
        arm: Arm,
        task: Choice,
        largest: int,
        cores: Set[int] | None,
        on_answers: Callable[[Sequence[LiveAnswer]], None],
        on_gone: Callable[[], None],
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self._line, theirs = context.Pipe()
        self._on_answers, self._on_gone = on_answers, on_gone
        self._process = context.Process(
            target=_work,
            args=(theirs, arm, task, largest, cores),
            name="bench replica",
            daemon=True,
        )
        self._process.start()
        theirs.close()
        self._loop = asyncio.get_running_loop()
        self._is_ready: asyncio.Future[Ready] = self._loop.create_future()
        self._loop.add_reader(self._line.fileno(), self._hear)

    @property
    def pid(self) -> int | None:
        return self._process.pid

    async def ready(self) -> Ready:
        """Until the model is loaded and warm.

        Raises:
            BenchError: it cannot be.
        """
        return await asyncio.shield(self._is_ready)

    def start(self, payloads: Sequence[bytes]) -> None:
        """Begin with a batch."""
        try:
            self._line.send(list(payloads))
        except OSError:  # it has just ended; the loop will hear of it
            return

    async def end(self) -> None:
        """Let it finish what it has in hand, but not for ever."""
        self._loop.remove_reader(self._line.fileno())
        with contextlib.suppress(OSError):  # it has ended before
            self._line.send(None)
        await asyncio.to_thread(self._process.join, GRACE_S)
        if self._process.is_alive():
            self._process.kill()
            await asyncio.to_thread(self._process.join)
        self._line.close()

    def _hear(self) -> None:
        try:
            said = self._line.recv()
        except (EOFError, OSError):
            self._loop.remove_reader(self._line.fileno())
            if not self._is_ready.done():
                self._is_ready.set_exception(
                    WorkerLost("A replica ended while it started, perhaps for want of memory.")
                )
                return
            self._on_gone()
            return
        if isinstance(said, Failed):
            self._is_ready.set_exception(said.error)
        elif isinstance(said, Ready):
            self._is_ready.set_result(said)
        else:
            self._on_answers(said)


def _work(line: Connection, arm: Arm, task: Choice, largest: int, cores: Set[int] | None) -> None:
    """The replica's own process: load, warm up, and answer until told to end or left alone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server says when to end
    stay_on(cores)
    try:
        live = LiveArm(arm, task)
        line.send(Ready(live.warm_up(largest)))
    except BenchError as error:
        line.send(Failed(error))
        return
    except Exception as error:  # a backend may raise anything
        line.send(Failed(InputError(f"{type(error).__name__}: {error}", where=arm.name)))
        return
    try:
        while (payloads := line.recv()) is not None:
            line.send(live.answer(payloads))
    except (EOFError, OSError):
        return  # the server is gone
    finally:
        live.close()
