"""The load generator: a process of its own that says "now" at every time of a schedule.

Nothing it does can wait for the system under test: a send is a time stamp in shared memory and a
semaphore that counts up. Light on imports, since each one delays the start.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import time
from typing import Any

SPIN_NS = 80_000
"""The last stretch before a send is spent looking at the clock: sleep wakes that much late."""
START_DELAY_NS = 50_000_000
STARTUP_LIMIT_S = 60.0


class Generator:
    """The schedule, the generator's process, and the requests it has sent.

    Args:
        schedule_ns: when each request is due, from the start of the run.
        core: the core to run on, kept free of the system under test; ``None`` for any.
    """

    def __init__(self, schedule_ns: list[int], core: int | None) -> None:
        context = multiprocessing.get_context("spawn")
        self._sent: Any = context.RawArray("q", max(len(schedule_ns), 1))
        self._due = context.Semaphore(0)
        self._ready, self._go = context.Event(), context.Event()
        self._start: Any = context.RawValue("q", 0)
        shared = (self._sent, self._due, self._ready, self._go, self._start)
        self._process = context.Process(target=_generate, args=(schedule_ns, *shared, core))
        self._schedule_ns = schedule_ns

    def __enter__(self) -> Generator:
        self._process.start()
        if not self._ready.wait(STARTUP_LIMIT_S):
            raise RuntimeError("the load generator did not start")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.join()

    def start(self) -> int:
        """Begin; returns the moment (``perf_counter_ns``) that the schedule counts from."""
        self._start.value = time.perf_counter_ns() + START_DELAY_NS
        self._go.set()
        return int(self._start.value)

    def wait(self, until_ns: int | None = None) -> bool:
        """Block until one more request was sent, which it takes.

        ``False`` if none was until the moment ``until_ns``, or none will come any more.
        """
        while True:
            left_s = 1.0 if until_ns is None else (until_ns - time.perf_counter_ns()) / 1e9
            if self._due.acquire(timeout=min(max(left_s, 0.0), 1.0)):
                return True
            if left_s <= 0:
                return False
            if not self._process.is_alive():
                return bool(self._due.acquire(block=False))

    def another(self) -> bool:
        """Whether one more request was sent already; takes it."""
        return bool(self._due.acquire(block=False))

    def sent_ns(self, index: int) -> int:
        """When request ``index`` was sent; its place in the schedule is its number."""
        return int(self._sent[index])


def _generate(
    schedule_ns: list[int], sent: Any, due: Any, ready: Any, go: Any, start: Any, core: int | None
) -> None:
    if core is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})
    gc.disable()
    clock, sleep = time.perf_counter_ns, time.sleep
    ready.set()
    parent = multiprocessing.parent_process()
    while not go.wait(1.0):
        if parent is None or not parent.is_alive():
            return
    base = start.value
    for index, at in enumerate(schedule_ns):
        target = base + at
        while (left := target - clock()) > SPIN_NS:
            sleep(min(left - SPIN_NS, 1_000_000_000) / 1e9)
            if left > 1_000_000_000 and (parent is None or not parent.is_alive()):
                return
        while (now := clock()) < target:
            pass
        sent[index] = now
        due.release()
    # Ending a process takes a core for milliseconds; it waits until the last answer is in.
    while parent is not None and parent.is_alive():
        sleep(0.5)
