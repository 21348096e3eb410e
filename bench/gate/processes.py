"""Processes of the sides: the controls, the program of the source, and the figures it leaves."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from socket import socket
from subprocess import Popen
from types import ModuleType

from bench import cores, extensions
from bench.gate.asked import SIDES, SOURCES, Asked, SideName
from bench.gate.controls import controls
from bench.gate.process import end_of, started
from bench.gate.rounds import Process
from bench.gate.sides import Sides
from bench.record import Record
from bench.turns import invitation, meeting

LIMIT_S = 3600.0

OnStep = Callable[[str], None]


class Processes:
    """Runs processes of sides that are built."""

    def __init__(self, root: Path, sides: Sides, source: ModuleType, asked: Asked) -> None:
        self._out, self._sides, self._source = root / "out", sides, source
        self._options = {side: options_of(source, asked, side) for side in SIDES}
        self._cores = itertools.cycle(cores.usable() or [0])

    def of_round(self, order: Sequence[SideName]) -> dict[SideName, Process]:
        """One process of each side: by turns where the source can, and one after the other where not."""
        if not getattr(self._source, "BY_TURNS", False):
            return {side: self.alone(side) for side in order}
        core = next(self._cores)
        before = {side: controls() for side in order}
        begun = time.monotonic()
        with ExitStack() as running:
            ends = [running.enter_context(end) for end in meeting()]
            started = {
                side: running.enter_context(
                    self._started(side, end, begins=side == order[0], core=core)
                )
                for side, end in zip(order, ends, strict=True)
            }
            for end in ends:
                end.close()  # so that each process sees when the other is gone
            return {
                side: self._said(side, process, begun, before[side])
                for side, process in started.items()
            }

    def alone(self, side: SideName) -> Process:
        """One process, and no other."""
        before, begun = controls(), time.monotonic()
        with self._started(side) as process:
            return self._said(side, process, begun, before)

    def _started(
        self, side: SideName, end: socket | None = None, *, begins: bool = True, core: int = 0
    ) -> AbstractContextManager[Popen[bytes]]:
        shutil.rmtree(self._out / side, ignore_errors=True)
        (self._out / side).mkdir(parents=True)
        place = self._sides.place(side)
        command = [place.python, *self._source.command(self._options[side], self._result(side))]
        invited = {} if end is None else invitation(end, begins=begins, core=core)
        return started(
            command, place.folder, {**place.variables, **invited}, self._log(side),
            () if end is None else (end.fileno(),),
        )  # fmt: skip

    def _said(
        self, side: SideName, process: Popen[bytes], begun: float, before: dict[str, float]
    ) -> Process:
        failure = end_of(process, self._log(side), LIMIT_S)
        seconds = time.monotonic() - begun
        options = self._options[side]
        figures = {} if failure else self._source.figures(options, self._result(side))
        return Process(figures=figures, seconds=seconds, failure=failure, controls=before)

    def _result(self, side: SideName) -> Path:
        return self._out / side / str(self._source.RESULT)

    def _log(self, side: SideName) -> Path:
        return self._out / side / "printed.log"


def options_of(source: ModuleType, asked: Asked, side: SideName) -> Record:
    """What the source is asked for on a side."""
    model: type[Record] = source.Options
    return model.model_validate(asked.side(side).source.options)


@dataclass(frozen=True)
class Built:
    """Both sides, ready."""

    processes: Processes
    first: Process
    """Base's, which does not count."""
    packages: dict[SideName, dict[str, str]]
    """With their versions."""


@contextmanager
def built(asked: Asked, on_step: OnStep) -> Iterator[Built]:
    """Both sides, of which each has run once, so that what is compiled and kept on first use is there.

    Raises:
        InputError: a side cannot be built.
    """
    source = extensions.load(SOURCES, asked.head.source.name)
    root = Path(tempfile.mkdtemp(prefix=f"bench-gate-{os.getpid()}-"))
    try:
        sides = Sides(root, asked)
        for side in SIDES:
            sides.build(side, source.NEEDS, on_step)
        processes = Processes(root, sides, source, asked)
        first = {}
        for side in SIDES:
            on_step(f"{side}: a first process, which does not count")
            first[side] = processes.alone(side)
        yield Built(processes, first["base"], {side: sides.packages(side) for side in SIDES})
    finally:
        shutil.rmtree(root, ignore_errors=True)
