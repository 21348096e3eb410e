"""A gate from its first process to its verdict; the same of equal sides; and of two runs that are there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from bench import extensions
from bench.errors import InputError
from bench.gate.asked import SIDES, SOURCES, Asked, Metric, SideName
from bench.gate.floor import FEWEST, Floor, floor_of
from bench.gate.judge import Judgement, judge, noisy
from bench.gate.processes import OnStep, Processes, built, options_of
from bench.gate.rounds import Process, Round, play
from bench.measure import describe_environment
from bench.record import SCHEMA_VERSION, Record
from bench.store import Run
from bench.streams import Streams

GATED = "gate.json"

OnLook = Callable[[Judgement, float], None]
"""Called after each round with what all say, and the seconds since the first began."""


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
    """Of the machine."""
    packages: dict[SideName, dict[str, str]] = Field(default={})
    """What was installed on each side, and its Python."""


def gate(asked: Asked, run: Run, on_step: OnStep, on_look: OnLook) -> Gated:
    """Play rounds until they say something, and keep each.

    Raises:
        InputError: a side cannot be built, or nothing is there to compare.
    """
    with built(asked, on_step) as both:
        metrics, begun = _metrics(asked, both.first), time.monotonic()
        judgement = judge(metrics, [], asked.rule)
        for rounds in _played(asked, both.processes, run):
            judgement = judge(metrics, rounds, asked.rule, asked.floors)
            on_look(judgement, time.monotonic() - begun)
            if judgement.decided:
                break
        seconds = time.monotonic() - begun
    return _kept(run, asked, judgement, seconds, both.packages)


def floor(asked: Asked, run: Run, on_step: OnStep, on_look: OnLook) -> Floor:
    """Play rounds of equal sides for the whole time, and keep what they say of the machine.

    Raises:
        InputError: there was no time for enough, or a metric was not seen.
    """
    rounds: Sequence[Round] = []
    with built(asked, on_step) as both:
        metrics = _metrics(asked, both.first)
        begun = time.monotonic()
        for rounds in _played(asked, both.processes, run):
            judgement = judge(metrics, rounds, asked.rule)
            on_look(judgement, time.monotonic() - begun)
            if judgement.verdict == "MISSING":
                raise InputError(f"there is no floor of what is not seen: {judgement.why}")
    wanted = [metric for metric in metrics if noisy(metric, rounds)]
    if len(rounds) < FEWEST or not wanted:
        raise InputError(
            f"{len(rounds)} rounds of {len(wanted)} metrics with noise say too little of the machine",
            allowed=f"{FEWEST} rounds or more", todo="Give it more time, with --minutes",
        )  # fmt: skip
    found = floor_of(wanted, rounds, asked.rule, asked.time_limit, describe_environment()["cpu"])
    run.save("floor.json", found)
    return found


def stored(asked: Asked, run: Run, places: Mapping[SideName, Path]) -> Gated:
    """Compare what two runs left, to the last digit; what has noise is shown only.

    Raises:
        InputError: there are no figures in one of them.
    """
    source = extensions.load(SOURCES, asked.head.source.name)
    said = {}
    for side in SIDES:
        figures = source.figures(options_of(source, asked, side), places[side])
        if not figures:
            raise InputError("there are no figures in it", where=str(places[side]))
        said[side] = Process(figures=figures, seconds=0.0)
    rounds = [Round(first="base", base=said["base"], head=said["head"])]
    metrics = [
        metric.model_copy(update={"gated": metric.gated and not noisy(metric, rounds)})
        for metric in asked.metrics or []
    ]
    judgement = judge(metrics, rounds, asked.rule)
    if not any(metric.gated for metric in metrics):
        why = "two runs that are there are compared to the last digit only, and every metric has noise"
        judgement = judgement.model_copy(update={"verdict": "INCONCLUSIVE", "why": why})
    run.save("rounds.json", Rounds(rounds=rounds))
    return _kept(run, asked, judgement, 0.0, {})


def _played(asked: Asked, processes: Processes, run: Run) -> Iterator[Sequence[Round]]:
    """After each round, all that were played."""
    rounds: list[Round] = []
    coin = Streams(asked.seed, 0).get("which side is first")
    for one in play(processes.of_round, coin, asked.time_limit):
        rounds.append(one)
        run.save("rounds.json", Rounds(rounds=rounds))
        yield rounds


def _metrics(asked: Asked, first: Process) -> list[Metric]:
    """Those declared, or all that base has."""
    if asked.metrics is not None:
        return asked.metrics
    names = [name for name, figure in first.figures.items() if figure.part_of is None]
    if not names:
        raise InputError(
            f"base has nothing to compare: {first.failure or 'no benchmark is selected'}"
        )
    return [Metric(name=name) for name in names]


def _kept(
    run: Run,
    asked: Asked,
    judgement: Judgement,
    seconds: float,
    packages: dict[SideName, dict[str, str]],
) -> Gated:
    gated = Gated(
        asked=asked,
        judgement=judgement,
        seconds=seconds,
        environment=describe_environment(),
        packages=packages,
    )
    run.save(GATED, gated)
    return gated
