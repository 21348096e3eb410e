"""An event loop that wakes when it was asked to: asyncio's own is up to a millisecond late.

``epoll_wait`` counts in milliseconds, and asyncio rounds up; ``select`` counts in microseconds, and the
whole of an epoll is one descriptor to it.
"""

from __future__ import annotations

import asyncio
import select
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


def run(main: Coroutine[Any, Any, Result]) -> Result:
    """:func:`asyncio.run`, on such a loop."""
    with asyncio.Runner(loop_factory=_loop) as runner:
        return runner.run(main)


def _loop() -> asyncio.AbstractEventLoop:
    if not hasattr(selectors, "EpollSelector"):  # kqueue counts in nanoseconds
        return asyncio.new_event_loop()
    return asyncio.SelectorEventLoop(_Fine())


if hasattr(selectors, "EpollSelector"):

    class _Fine(selectors.EpollSelector):
        def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            if timeout is not None and timeout > 0:
                select.select([self.fileno()], [], [], timeout)
                timeout = 0
            return super().select(timeout)
