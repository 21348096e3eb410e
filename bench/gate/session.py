"""A gate from its first process to its verdict."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench import extensions
from bench.gate.asked import SIDES, SOURCES, Asked, Metric, SideName
from bench.gate.controls import controls
from bench.gate.judge import Judgement, judge
from bench.gate.process import run as run_program
from bench.gate.rounds import Process, Round, play
from bench.gate.sides import Sides
from bench.measure import environment
from bench.record import SCHEMA_VERSION, Record
from bench.store import Run
from bench.streams import Streams

PROCESS_LIMIT_S = 3600.0

OnStep = Callable[[str], None]
OnLook = Callable[[Judgement, float], None]
"""Called after each round with what it says, and the seconds since the first."""


class Rounds(Record):
    """``rounds.json``: all that was seen."""

    schema_version: int = SCHEMA_VERSION
    rounds: list[Round]


class Gated(Record):
    """``gate.json``: what was asked, and the verdict."""

    schema_version: int = SCHEMA_VERSION
    asked: Asked
    judgement: Judgement
    seconds: float
    """Of the rounds; what was built before is not in it."""
    environment: dict[str, Any]


def gate(asked: Asked, run: Run, on_step: OnStep, on_look: OnLook) -> Gated:
    """Play rounds until they say something, and keep each.

    Raises:
        InputError: a side cannot be built.
    """
    with _built(asked, on_step) as (process_of, first):
        metrics = asked.metrics or [Metric(name=name) for name in first.figures]
        begun = time.monotonic()
        rounds: list[Round] = []
        judgement = judge(metrics, rounds, asked.rule)
        coin = Streams(asked.seed, 0).get("which side is first")
        for one in play(process_of, coin, asked.time_limit):
            rounds.append(one)
            run.save("rounds.json", Rounds(rounds=rounds))
            judgement = judge(metrics, rounds, asked.rule)
            on_look(judgement, time.monotonic() - begun)
            if judgement.decided:
                break
        seconds = time.monotonic() - begun
    gated = Gated(
        asked=asked, judgement=judgement, seconds=seconds, environment=environment.describe()
    )
    run.save("gate.json", gated)
    return gated


class Processes:
    """Runs one process of a side."""

    def __init__(self, sides: Sides, source: Any, asked: Asked, root: Path) -> None:
        self._sides, self._source, self._root = sides, source, root
        self._options = {
            side: source.Options.model_validate(asked.side(side).source.options) for side in SIDES
        }

    def __call__(self, side: SideName) -> Process:
        out = self._root / "out"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        options, before = self._options[side], controls()
        with self._sides.at_work(side) as place:
            command = [place.python, *self._source.command(options, out)]
            begun = time.monotonic()
            failure = run_program(
                command, place.folder, place.variables, self._root / "printed.log", PROCESS_LIMIT_S
            )
            seconds = time.monotonic() - begun
        figures = {} if failure else self._source.figures(options, out)
        return Process(figures=figures, seconds=seconds, failure=failure, controls=before)


@contextmanager
def _built(
    asked: Asked, on_step: OnStep
) -> Iterator[tuple[Callable[[SideName], Process], Process]]:
    """What runs a process of a side, and base's first. Each has run once, so that what is compiled and kept
    on first use is there."""
    source = extensions.load(SOURCES, asked.head.source.name)
    root = Path(tempfile.mkdtemp(prefix="bench-gate-"))
    try:
        sides = Sides(root, asked)
        for side in SIDES:
            sides.build(side, source.NEEDS, on_step)
        processes = Processes(sides, source, asked, root)
        first = {}
        for side in SIDES:
            on_step(f"{side}: a first run, which does not count")
            first[side] = processes(side)
        yield processes, first["base"]
    finally:
        shutil.rmtree(root, ignore_errors=True)
