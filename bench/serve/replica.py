"""A replica: a process of its own that holds the model and answers batches, one after the other."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import signal
from collections.abc import Callable, Sequence, Set
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import NamedTuple

from bench.cores import stay_on
from bench.errors import BenchError, InputError, WorkerLost
from bench.measure import Expected, LiveAnswer, LiveArm
from bench.scenario import Arm, Choice


class Failed(NamedTuple):
    """Why a replica could not start."""

    error: BenchError


class Process:
    """The replica's process, as the server sees it. All calls come from the server's loop.

    Args:
        cores: those that it runs on.
        on_answers: told of each batch's.
        on_gone: told, once, that a process which was ready has ended, whatever ended it.
        hands_on: whether its answers go on to another stage.
    """

    def __init__(
        self,
        arm: Arm,
        task: Choice,
        largest: int,
        cores: Set[int] | None,
        on_answers: Callable[[Sequence[LiveAnswer]], None],
        on_gone: Callable[[], None],
        hands_on: bool = False,
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self._line, theirs = context.Pipe()
        self._on_answers, self._on_gone = on_answers, on_gone
        self._process = context.Process(
            target=_work,
            args=(theirs, arm, task, largest, cores, hands_on),
            name="bench replica",
            daemon=True,
        )
        _start_without_ctrl_c(self._process)
        theirs.close()
        self._loop = asyncio.get_running_loop()
        self._is_ready: asyncio.Future[Expected] = self._loop.create_future()
        self._loop.add_reader(self._line.fileno(), self._hear)

    @property
    def is_there(self) -> bool:
        """Whether it has not ended, as far as is known."""
        return not self._line.closed

    async def ready(self) -> Expected:
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

    async def end(self, grace_s: float) -> None:
        """Let it finish what it has in hand for so long; while it loads, it has nothing."""
        if not self._line.closed:
            self._loop.remove_reader(self._line.fileno())
            with contextlib.suppress(OSError):  # it has ended before
                self._line.send(None)
            self._line.close()
        if self._is_ready.done():
            await asyncio.to_thread(self._process.join, grace_s)
        self._process.kill()
        await asyncio.to_thread(self._process.join)

    def _hear(self) -> None:
        try:
            said = self._line.recv()
        except (EOFError, OSError):
            self._has_gone()
            return
        if isinstance(said, Failed):
            self._is_ready.set_exception(said.error)
        elif isinstance(said, Expected):
            self._is_ready.set_result(said)
        else:
            self._on_answers(said)

    def _has_gone(self) -> None:
        self._loop.remove_reader(self._line.fileno())
        self._line.close()
        self._process.kill()  # a process that cannot be heard, and has not ended, is no use
        if not self._is_ready.done():
            self._is_ready.set_exception(
                WorkerLost("A replica ended while it started, perhaps for want of memory.")
            )
        elif self._is_ready.exception() is None:
            self._on_gone()


def _start_without_ctrl_c(process: BaseProcess) -> None:
    """The server says when to end, from the process's first moment: it inherits what is blocked."""
    resource_tracker.ensure_running()  # its start, with that of the first process, would unblock
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(
    line: Connection, arm: Arm, task: Choice, largest: int, cores: Set[int] | None, hands_on: bool
) -> None:
    """The replica's own process: load, warm up, and answer until told to end or left alone."""
    stay_on(cores)
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the server is gone
        try:
            live = LiveArm(arm, task, hands_on)
            expected = live.warm_up(largest)
        except BenchError as error:
            line.send(Failed(error))
            return
        except Exception as error:  # a backend may raise anything
            line.send(Failed(InputError(f"{type(error).__name__}: {error}", where=arm.name)))
            return
        line.send(expected)
        try:
            while (payloads := line.recv()) is not None:
                line.send(live.answer(payloads))
        finally:
            live.close()
