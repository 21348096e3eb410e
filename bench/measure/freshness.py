"""Is an answer computed, or remembered? New inputs against the same input again (TEST04).

What must differ between the two is only whether the input was asked before, or the processor's own
cache passes for a cache of results: an array that was just read is read faster the second time. So
all calls are fed from the same memory, a new input is the last one with one value changed in place, as
little as makes it another input, and which of the two comes first is drawn for each pair. Both find
the same memory equally warm and do the same work; only what remembers answers can tell them apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.measure import validity
from bench.measure.backends import Feeds
from bench.measure.measurement import Freshness
from bench.measure.service import Service
from bench.record import Estimate
from bench.stats import quantile

STEP = 2.0**-12
"""Relative change of a floating-point value: it reaches the answer, and the work stays the same."""
QUICK_S, MOST_PAIRS = 0.05, 100
"""Pairs are added up to so many, as long as all their inputs together take about so long."""
Change = tuple[npt.NDArray[Any], Any]
"""A place in an input, and the value to write there."""
SHUFFLES = 8
"""Orders that are tried for each that is wanted: of few values most come twice."""


def compare_fresh_and_repeated(service: Service, pairs: int) -> Freshness:
    """Time ``pairs`` of a new input and one that was just asked, in random order; more of a quick
    model, whose times vary more.

    Only ``execute`` is timed, on tensors made beforehand. A suspicion is looked into a second time,
    with new inputs: what remembers answers does so again, and what else a machine does will not.
    """
    made = service.task.preprocess(service.task.input(service.take(1)))
    feeds = {name: np.array(array, order="C") for name, array in made.items()}
    start = service.clock()
    service.task.execute(service.patient, feeds)
    fit = QUICK_S * 1e9 / max(service.clock() - start, 1)
    pairs = round(min(max(pairs, fit), max(pairs, MOST_PAIRS)))
    changes = unseen(feeds, 2 * pairs)
    first = _compared(service, feeds, changes[:pairs])
    if not validity.remembered(first):
        return first
    again = _compared(service, feeds, changes[pairs:])
    return again if again.ratio.value is not None else first


def _compared(service: Service, feeds: Feeds, changes: Sequence[Change]) -> Freshness:
    if not changes:
        return Freshness(
            fresh_s=None,
            repeated_s=None,
            ratio=Estimate.absent("no value of its inputs can be changed with the same work left"),
        )
    clock, task, sessions = service.clock, service.task, service.patient
    first_is_new = service.rng.permutation(len(changes)) % 2 == 0
    order = [kind for new in first_is_new for kind in ((True, False) if new else (False, True))]
    left, times = iter(changes), []
    place, value = changes[0][0], np.array(changes[0][0])
    task.execute(sessions, feeds)  # what a pair may begin by repeating
    for is_new in order:  # one line for both kinds, so that only the input tells them apart
        if is_new:
            place, value = next(left)
        place[...] = value
        start = clock()
        task.execute(sessions, feeds)
        times.append((clock() - start) / 1e9)
    taken, new = np.array(times), np.array(order)
    ratios = taken[~new] / np.maximum(taken[new], 1e-12)
    return Freshness(
        fresh_s=float(np.median(taken[new])),
        repeated_s=float(np.median(taken[~new])),
        ratio=quantile(ratios, 0.5),
    )


def unseen(feeds: Feeds, count: int) -> list[Change]:
    """Up to ``count`` changes of one input; each makes an input that none before it was."""
    for array in sorted(feeds.values(), key=lambda array: array.dtype.kind != "f"):
        changes = _of_numbers(array, count) if array.dtype.kind == "f" else _of_others(array, count)
        if changes:
            return changes
    return []


def _of_numbers(array: npt.NDArray[Any], count: int) -> list[Change]:
    """One value, a little larger each time."""
    flat = array.reshape(-1)
    usable = np.flatnonzero(np.isfinite(flat))
    if not usable.size:
        return []
    # The middle of what is not zero: borders of images and padding may be without effect.
    telling = np.flatnonzero(np.isfinite(flat) & (flat != 0))
    place = int(telling[telling.size // 2] if telling.size else usable[usable.size // 2])
    first = float(flat[place]) or 1.0
    step = max(STEP, float(np.finfo(array.dtype).eps))
    values = [array.dtype.type(first * (1 + number * step)) for number in range(1, count + 1)]
    return [(flat[place : place + 1], value) for value in values if np.isfinite(value)]


def _of_others(array: npt.NDArray[Any], count: int) -> list[Change]:
    """Token numbers, pixels, words: a value that is there already, written elsewhere.

    One place after another takes the value of its neighbour, so that what was there once does not
    come again before all places are through.
    """
    flat = array.reshape(-1)
    values, changes = flat.tolist(), list[Change]()
    for place in range(1, len(values)):
        if values[place] != values[place - 1]:
            changes.append((flat[place : place + 1], values[place - 1]))
            values[place] = values[place - 1]
            if len(changes) == count:
                return changes
    shuffled = _shuffled(flat, count)
    return shuffled if len(shuffled) > len(changes) else changes


def _shuffled(flat: npt.NDArray[Any], count: int) -> list[Change]:
    """The same values in other orders, for inputs that are too short for a change at each place."""
    rng, seen, changes = np.random.default_rng(0), {tuple(flat.tolist())}, list[Change]()
    for _ in range(SHUFFLES * count):
        order = rng.permutation(flat)
        if len(changes) < count and tuple(order.tolist()) not in seen:
            seen.add(tuple(order.tolist()))
            changes.append((flat, order))
    return changes
