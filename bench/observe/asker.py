"""A process of its own that is given what to ask, and gives back a row for each request."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from bench.errors import WorkerLost
from bench.observe.rows import Observed

START_DELAY_NS = 20_000_000
"""Between being told a schedule and its beginning."""
Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Schedule:
    """Requests by when they are due, in nanoseconds from the start, and which input each is."""

    due: npt.NDArray[np.int64]
    sample: Places
    most: int | None = None
    """So many are under way at once; who is due, waits. ``None``: as many as are due."""


@dataclass(frozen=True)
class Waves:
    """Requests that are sent together, each such wave when the one before it is answered."""

    sizes: Sequence[int]
    pause: npt.NDArray[np.int64]
    """Nanoseconds from the last answer of one wave to the next wave, before each."""
    sample: Places
    """Of all, one wave after the other."""


class Asker:
    """Such a process; used as ``with Asker(...) as asker``.

    Args:
        work: what it does; called with its end of a pipe, which it reads what to ask from, and ``arguments``.
    """

    def __init__(self, work: Callable[..., None], *arguments: object) -> None:
        context = multiprocessing.get_context("spawn")
        self._line, theirs = context.Pipe()
        self._process = context.Process(target=work, args=(theirs, *arguments), daemon=True)
        self._process.start()
        theirs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._line.close()
        self._process.join(1.0)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def ask(self, what: Schedule | Waves) -> Observed:
        """Ask all of it, and wait for the answers.

        Raises:
            WorkerLost: the process ended before.
        """
        return self._said(what)

    def _said(self, what: Schedule | Waves | None) -> Observed:
        try:
            self._line.send(what)
        except OSError as error:
            raise self._lost() from error
        rows: Observed = self._heard()
        return rows

    def _heard(self) -> Any:
        try:
            return self._line.recv()
        except (EOFError, OSError) as error:
            raise self._lost() from error

    def _lost(self) -> WorkerLost:
        return WorkerLost("The process that asks the service ended.")
