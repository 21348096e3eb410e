"""One process of a side: the controls, the program of the source, and the figures it leaves."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from bench import extensions
from bench.gate.asked import SIDES, SOURCES, Asked, SideName
from bench.gate.controls import controls
from bench.gate.process import run
from bench.gate.rounds import Process
from bench.gate.sides import Sides
from bench.record import Record

LIMIT_S = 3600.0

OnStep = Callable[[str], None]


class Processes:
    """Runs processes of sides that are built."""

    def __init__(self, root: Path, sides: Sides, source: ModuleType, asked: Asked) -> None:
        self._out, self._sides, self._source = root / "out", sides, source
        self._options = {side: options_of(source, asked, side) for side in SIDES}

    def __call__(self, side: SideName) -> Process:
        shutil.rmtree(self._out, ignore_errors=True)
        self._out.mkdir()
        result, log = self._out / self._source.RESULT, self._out / "printed.log"
        options, before = self._options[side], controls()
        with self._sides.at_work(side) as place:
            command = [place.python, *self._source.command(options, result)]
            begun = time.monotonic()
            failure = run(command, place.folder, place.variables, log, LIMIT_S)
            seconds = time.monotonic() - begun
        figures = {} if failure else self._source.figures(options, result)
        return Process(figures=figures, seconds=seconds, failure=failure, controls=before)


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
            first[side] = processes(side)
        yield Built(processes, first["base"], {side: sides.packages(side) for side in SIDES})
    finally:
        shutil.rmtree(root, ignore_errors=True)
