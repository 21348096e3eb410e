"""Where independent work runs: this process, local processes, or a Dask cluster by address.

All engines have one method, ``each``, which yields results as they come; :func:`in_order` puts them
back in the order of the items. They are the same wherever they were computed, because every item
carries its own seed: a worker that is lost costs time, and its items are computed elsewhere.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing import resource_tracker
from typing import Any, Protocol, TypeVar

from bench import extensions
from bench.errors import BenchError, InputError, MissingRequirement, WorkerLost

Item = TypeVar("Item")
Result = TypeVar("Result")
OnDone = Callable[[int], None]
CONNECT_TIMEOUT_S = 10.0
MOST_LOSSES = 5
"""Worker processes may die so many times before it is the work that is to blame."""
REPORT_EVERY_S = 0.2
SIGN_OF_LIFE_S = 5.0
LONGEST_SILENCE_S = 3600.0
_HAS_MASK = hasattr(signal, "pthread_sigmask")  # not on Windows


class Executor(Protocol):
    """Runs independent work."""

    def each(
        self, function: Callable[[Item], Result], items: Sequence[Item]
    ) -> Iterator[tuple[int, Result]]:
        """Apply a module-level ``function`` to each item; yield its place and result as it ends."""
        ...

    def close(self) -> None:
        """No more work follows."""
        ...


def in_order(
    executor: Executor,
    function: Callable[[Item], Result],
    items: Sequence[Item],
    on_done: OnDone = lambda count: None,
) -> list[Result]:
    """All results, in the order of the items; ``on_done(k)`` after the ``k``-th to end."""
    found: dict[int, Result] = {}
    for place, result in executor.each(function, items):
        found[place] = result
        on_done(len(found))
    return [found[place] for place in range(len(items))]


class Inline:
    """One item after another in this process: for tests, debuggers and small work."""

    def each(
        self, function: Callable[[Item], Result], items: Sequence[Item]
    ) -> Iterator[tuple[int, Result]]:
        for place, item in enumerate(items):
            yield place, extensions.calling(function, item)

    def close(self) -> None:
        """Nothing is held."""


class LocalProcesses:
    """Spawned processes on this machine.

    Args:
        workers: processes at once; all cores by default.
        fresh: a new process for every item, so that no item sees what another left behind.
    """

    def __init__(self, workers: int | None = None, *, fresh: bool = False) -> None:
        self.workers = workers or os.cpu_count() or 1
        self.fresh = fresh
        self._held: ProcessPoolExecutor | None = None
        self._others: set[multiprocessing.process.BaseProcess] = set()

    def each(
        self, function: Callable[[Item], Result], items: Sequence[Item]
    ) -> Iterator[tuple[int, Result]]:
        left = dict(enumerate(items))
        for _ in range(MOST_LOSSES):
            if not left:
                return
            try:
                for place, result in self._attempt(function, left):
                    del left[place]
                    yield place, result
            except BrokenProcessPool:  # a worker was killed: what it had not finished is done anew
                continue
        if left:
            raise WorkerLost(
                f"worker processes were ended {MOST_LOSSES} times, perhaps for want of memory"
            )

    def close(self) -> None:
        if self._held is not None:
            pool, self._held = self._held, None
            pool.shutdown()

    def _attempt(
        self, function: Callable[[Item], Result], items: Mapping[int, Item]
    ) -> Iterator[tuple[int, Result]]:
        with self._pool() as pool:
            with _interrupts_wait():
                place = {
                    pool.submit(extensions.calling, function, item): i for i, item in items.items()
                }
            for future in as_completed(place):
                yield place[future], future.result()

    @contextmanager
    def _pool(self) -> Iterator[ProcessPoolExecutor]:
        """Processes are kept for the next call, which a plan makes many of, unless they are to be
        fresh; they start when there is work for them, and end with what goes wrong."""
        if self._held is None:
            self._others = set(multiprocessing.active_children())
            self._held = ProcessPoolExecutor(
                self.workers,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_begin,
                max_tasks_per_child=1 if self.fresh else None,
            )
        try:
            yield self._held
        except BaseException:
            pool, self._held = self._held, None
            pool.shutdown(wait=False, cancel_futures=True)
            for child in set(multiprocessing.active_children()) - self._others:
                child.terminate()
            raise
        if self.fresh:
            self.close()


Report = Callable[[str, float], None]
"""What an isolated function calls as it goes on: what it is at, and the share that is done."""


def isolated(
    function: Callable[[Item, Report], Result],
    item: Item,
    stall_limit_s: float,
    on_report: Report,
) -> Result:
    """Run a module-level ``function`` in a new process that may crash or hang.

    Raises:
        WorkerLost: the process ended without an answer, or reported nothing for
            ``stall_limit_s``.
        Exception: whatever ``function`` raised.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(theirs, function, item))
    try:
        with _interrupts_wait():
            process.start()
        theirs.close()
        last = "start"
        while True:
            if not ours.poll(stall_limit_s):
                raise WorkerLost(f"no progress for {stall_limit_s:g} s during: {last}")
            try:
                kind, value = ours.recv()
            except EOFError:
                process.join()
                raise WorkerLost(f"{_how_it_ended(process.exitcode)} during: {last}") from None
            if kind == "report":
                last = value[0]
                on_report(*value)
            elif kind == "error":
                raise value
            else:
                answer: Result = value
                return answer
    finally:
        ours.close()
        if process.pid is not None:
            process.join(timeout=5 if sys.exc_info()[0] is None else 0)
            process.kill()
            process.join()


@contextmanager
def signs_of_life(report: Report, what: str) -> Iterator[None]:
    """Report every few seconds from one long call that cannot: a download, or a conversion.

    For an hour at most, so that even then nothing hangs for ever.
    """
    done = threading.Event()

    def beat() -> None:
        for _ in range(int(LONGEST_SILENCE_S / SIGN_OF_LIFE_S)):
            if done.wait(SIGN_OF_LIFE_S):
                return
            report(what, 0.0)

    thread = threading.Thread(target=beat, daemon=True, name="signs-of-life")
    report(what, 0.0)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def here(
    function: Callable[[Item, Report], Result],
    item: Item,
    stall_limit_s: float,
    on_report: Report,
) -> Result:
    """As :func:`isolated`, but in this process: for tests and debuggers."""
    try:
        return function(item, on_report)
    except BenchError:
        raise
    except Exception as error:
        fault = extensions.own_fault(error)
        raise fault or WorkerLost(f"{type(error).__name__}: {error}") from error


def _answer(pipe: Any, function: Callable[[Any, Report], Any], item: Any) -> None:
    _begin()
    last_sent = 0.0

    def report(what: str, share: float) -> None:
        nonlocal last_sent
        now = time.monotonic()
        if now - last_sent > REPORT_EVERY_S or share == 0:
            last_sent = now
            pipe.send(("report", (what, share)))

    try:
        pipe.send(("answer", function(item, report)))
    except BenchError as error:
        pipe.send(("error", error))
    except Exception as error:
        said = traceback.format_exc(limit=-3)
        fault = extensions.own_fault(error)
        pipe.send(("error", fault or WorkerLost(f"{type(error).__name__}: {error}", said)))


def _how_it_ended(code: int | None) -> str:
    if code is not None and code < 0:
        try:
            return f"the process was ended by {signal.Signals(-code).name}"
        except ValueError:
            pass
    return f"the process ended with exit code {code}"


class DaskCluster:
    """Workers of a running Dask scheduler, reached at ``tcp://HOST:PORT``."""

    def __init__(self, address: str) -> None:
        if not re.fullmatch(r"tcp://[^\s/:]+(:[0-9:a-fA-F\]]+)*:[0-9]{1,5}", address):
            raise InputError(
                f"{address!r} is no address", where="--engine", allowed="tcp://HOST:PORT"
            )
        try:
            import distributed
        except ModuleNotFoundError as error:
            raise MissingRequirement(
                f"The engine {address!r} needs Dask, which is not installed. "
                'Install it with: pip install "inference-testbed[dask]".'
            ) from error
        connect: Any = distributed.Client
        try:
            self._client = connect(address, timeout=CONNECT_TIMEOUT_S, set_as_default=False)
        except (OSError, ValueError) as error:
            raise InputError(
                f"no Dask scheduler answers ({error})",
                where=f"--engine {address}",
                allowed="'local', 'inline', or the address of a running scheduler as tcp://HOST:PORT",
            ) from error

    def each(
        self, function: Callable[[Item], Result], items: Sequence[Item]
    ) -> Iterator[tuple[int, Result]]:
        import distributed

        as_they_come: Any = distributed.as_completed
        called = partial(extensions.calling, function)
        futures = self._client.map(called, items, pure=False)
        place = {future.key: i for i, future in enumerate(futures)}
        try:
            for future in as_they_come(futures, loop=self._client.loop):
                yield place[future.key], future.result()
        finally:
            self._client.cancel(futures)  # those that nobody waits for any more

    def close(self) -> None:
        self._client.close()


@contextmanager
def opened(name: str) -> Iterator[Executor]:
    """The executor called ``name`` (see :func:`engine`), closed at the end."""
    executor = engine(name)
    try:
        yield executor
    finally:
        executor.close()


def engine(name: str) -> Executor:
    """The executor called ``local``, ``inline`` or ``tcp://HOST:PORT``.

    Raises:
        InputError: another name, or nothing answers at the address.
        MissingRequirement: the address is Dask's and Dask is not installed.
    """
    if name == "local":
        return LocalProcesses()
    if name == "inline":
        return Inline()
    if name.startswith("tcp://"):
        return DaskCluster(name)
    raise InputError(
        f"unknown engine {name!r}", where="--engine", allowed="local, inline, tcp://HOST:PORT"
    )


@contextmanager
def _interrupts_wait() -> Iterator[None]:
    """Ctrl-C takes effect at the end of the block; processes started inside never see it.

    Half-started workers would each die with a traceback. They inherit the mask, so that from
    their first moment Ctrl-C is their parent's business.
    """
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield  # nothing here raises KeyboardInterrupt
        return
    if _HAS_MASK:
        # The first process to start brings this helper, whose start lets signals in again.
        resource_tracker.ensure_running()
    came: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if _HAS_MASK else None
    try:
        yield
    finally:
        if mask is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, handler)
    if came:
        raise KeyboardInterrupt


def _begin() -> None:
    """What a worker process does first."""
    _print_aside()
    _watch_parent()


def _print_aside() -> None:
    """stdout is for the program's answer alone: what user code and libraries print goes to stderr."""
    with suppress(OSError):
        os.dup2(2, 1)
    sys.stdout = sys.stderr


def _watch_parent() -> None:
    """A worker never outlives its parent, however that ends."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="parent-watch").start()
