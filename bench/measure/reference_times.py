"""How long one reference network takes on one backend, in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from bench import extensions
from bench.executor import Report, signs_of_life
from bench.hardware import Regime
from bench.measure.backends import Session, clock_of
from bench.measure.calibration import Cell
from bench.measure.clock import Clock
from bench.measure.exports import exported
from bench.measure.limits import usable_cores
from bench.measure.loader import BACKENDS
from bench.measure.models import fetch
from bench.measure.procedure import WARM_UP_TOLERANCE, steady
from bench.measure.reference_networks import FORMATS, Reference, feeds_of, recipe_of

PRECISION = "fp32"
LARGE_BATCH = {"cpu": 8, "gpu": 32}
"""By where the backend runs."""
LONGEST_BATCH_S = 3.0
"""A full batch that is expected to take longer is left out."""
LONGEST_S = 20.0
"""No regime is measured for longer, however slow the machine."""


class Effort(NamedTuple):
    """How long one regime is measured."""

    window: int
    """Calls, of whose medians two must agree before any is taken."""
    warm_up: int
    """Calls after which they are taken all the same."""
    calls: int
    seconds: float = 0.7


EFFORT: dict[Regime, Effort] = {"one": Effort(4, 40, 15), "many": Effort(1, 3, 3)}


class Timed(NamedTuple):
    """What is to be measured: for :func:`reference_times`."""

    reference: Reference
    backend: str


def calibratable() -> list[str]:
    """The backends that take reference networks, whether or not they can run here."""
    known = {name: extensions.load(BACKENDS, name) for name in extensions.names(BACKENDS)}
    return [
        name
        for name, backend in known.items()
        if backend.RUNS_ON in LARGE_BATCH and set(FORMATS) & set(backend.FORMATS)
    ]


def missing_for(backend: str) -> str | None:
    """What keeps a backend from running here, in words a user can act on, or ``None``."""
    reason: str | None = extensions.load(BACKENDS, backend).missing()
    return reason


def format_of(backend: str) -> str:
    """The format in which one of :func:`calibratable` takes reference networks."""
    formats: Sequence[str] = extensions.load(BACKENDS, backend).FORMATS
    return next(one for one in formats if one in FORMATS)


def version_of(backend: str, packages: Mapping[str, str]) -> str:
    """Of the package that a backend is of, among those of an environment."""
    family = backend.partition("-")[0]
    return next((packages[name] for name in packages if name.startswith(family)), "unknown")


def reference_times(item: Timed, report: Report) -> list[Cell]:
    """Load one network that was exported, and time it in both regimes.

    Raises:
        InputError: the backend cannot use it.
    """
    backend = extensions.load(BACKENDS, item.backend)
    options = backend.Options(precision=PRECISION)
    clock = clock_of(backend, options)
    with signs_of_life(report, f"{item.reference.name}: loading"):
        path = fetch(exported(recipe_of(item.reference), format_of(item.backend)))
        session = backend.load(path, options, usable_cores(), clock)
    try:
        return cells_of(session, item.reference, LARGE_BATCH[backend.RUNS_ON], clock, report)
    finally:
        if hasattr(session, "close"):
            session.close()


def cells_of(
    session: Session, reference: Reference, batch: int, clock: Clock, report: Report
) -> list[Cell]:
    """One sample at a time, and batches of ``batch`` where one does not take too long."""
    rng = np.random.default_rng(reference.input)

    def call(size: int) -> float:
        report(f"{reference.name}: batches of {size}", 0.5)
        fed = feeds_of(reference, session.inputs[0], size, rng)  # new to the runtime, and not timed
        begun = clock()
        session.run(fed)
        return (clock() - begun) / 1e9

    cells: list[Cell] = []
    sizes: tuple[tuple[Regime, int], ...] = (("one", 1), ("many", batch))
    for regime, size in sizes:
        if cells and cells[0].seconds * size > LONGEST_BATCH_S:
            break
        with signs_of_life(report, f"{reference.name}: first call"):  # which may compile
            call(size)
        took = _times(partial(call, size), EFFORT[regime])
        low, median, high = map(float, np.quantile(took, (0.25, 0.5, 0.75)))
        cells.append(
            Cell(
                network=reference.name, input=reference.input, regime=regime, batch=size,
                seconds=median / size, spread=(high - low) / median, calls=len(took),
            )
        )  # fmt: skip
    return cells


def _times(call: Callable[[], float], effort: Effort) -> list[float]:
    """Seconds of each call, once they have settled."""
    with steady():
        _warm_up(call, effort)
        took: list[float] = []
        while len(took) < effort.calls or sum(took) < effort.seconds:
            took.append(call())
            if sum(took) > LONGEST_S:
                break
        return took


def _warm_up(call: Callable[[], float], effort: Effort) -> None:
    """Until the medians of two consecutive windows agree, or the limit is reached."""
    spent, previous = 0.0, None
    for _ in range(effort.warm_up // effort.window):
        window = [call() for _ in range(effort.window)]
        median, spent = float(np.median(window)), spent + sum(window)
        if previous is not None and abs(median - previous) <= WARM_UP_TOLERANCE * previous:
            return
        if spent > LONGEST_S / 2:
            return
        previous = median
