"""What a session does, in which order: blocks of calibration and of load.

A machine that others share is not the same from minute to minute. So every block of load has a block of
calibration before it and after it, the order of the load is drawn, and every traffic is played more than
once: what two live runs of the same requests differ by is the yardstick of a forecast.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from bench.observe import Schedule, Waves

CALIBRATION = 0.3
"""The share of a session that is calibration."""
SHORTEST_S = 4.0
"""A block of load and one of calibration take together at least so long. The shorter they are, the more
there are, and it is by their number that the machine's luck evens out; each begins with nobody there."""
FEWEST, MOST = 3, 30
"""Traffics of a level; with more time than that, blocks are longer."""
FETCHED = 4
"""Of a job, so many full batches for each replica are under way."""
WAVE = 2
"""The largest wave is as many batches: what follows a batch finds it warm, as under load."""
WAVE_OUTSIDE = 3
"""The same, from outside: the last one was formed long before the one before it ended, so that what lies
between their answers is its service."""


@dataclass(frozen=True)
class Load:
    """A stretch of traffic."""

    level: float
    """Requests per second, in what the replicas answer when batches are full."""
    traffic: int
    """Blocks of the same number, at the same level, are the same requests."""
    run: int


def traffics(length_s: float, levels: int, runs: int, round_s: float, restart_s: float) -> int:
    """How many different traffics of each level there is time for.

    Args:
        runs: how often each is played.
        round_s: what a round of waves takes, of which each block of calibration holds one at least.
        restart_s: of a job, how long it misses the replica that is killed; load goes on for twice as long.
    """
    each_s = max(SHORTEST_S, round_s / CALIBRATION, 2 * restart_s / (1 - CALIBRATION))
    return min(max(int(length_s / (levels * runs * each_s)), FEWEST), MOST)


def order_of(
    levels: Sequence[float], traffics: int, runs: int, rng: np.random.Generator
) -> list[Load]:
    """All blocks of load, in an order that is drawn."""
    blocks = [Load(*one) for one in product(levels, range(traffics), range(runs))]
    return [blocks[place] for place in rng.permutation(len(blocks))]


def job(requests: float, most: int, inputs: int, rng: np.random.Generator) -> Schedule:
    """So many, all due at once; ``most`` of them are fetched at a time, as workers fetch from a store."""
    due = np.zeros(max(round(requests), 1), np.int64)
    return Schedule(due, rng.integers(0, inputs, len(due)), most)


def waves(
    full: int, replicas: int, length_s: float, batch_s: float, rests_s: Sequence[float],
    inputs: int, rng: np.random.Generator, most: int = WAVE,
) -> Waves:  # fmt: skip
    """Closed-loop waves of every size up to ``most`` full batches for each replica, and some of one.

    Half of them come at once after the last, and half find a service that has rested as it might
    under load: after a rest, processors and caches are slower.

    Args:
        full: requests in the largest batch.
        batch_s: about what a full batch takes.
        rests_s: how long it may rest, on average: one of these.
    """
    once = _once(full * replicas, most)
    rounds = max(int(length_s / round_s(full, replicas, batch_s, rests_s, most)), 1)
    sizes = np.concatenate([rng.permutation(once) for _ in range(rounds)])
    rests = rng.random(len(sizes)) < 0.5
    pause = np.where(rests, rng.exponential(rng.choice(rests_s, len(sizes))), 0.0)
    return Waves(
        sizes.tolist(),
        np.rint(pause * 1e9).astype(np.int64),
        rng.integers(0, inputs, int(sizes.sum())),
    )


def round_s(
    full: int, replicas: int, batch_s: float, rests_s: Sequence[float], most: int = WAVE
) -> float:
    """About what a round of :func:`waves` takes: a batch that is not full, something between its share of a
    full one and as long."""
    share = _once(full * replicas, most) / (full * replicas)
    batches = (share + np.ceil(share)) / 2
    return float((batches * batch_s + np.mean(rests_s) / 2).sum())


def _once(together: int, most: int) -> npt.NDArray[np.int64]:
    """The sizes of a round."""
    return np.concatenate([np.arange(1, most * together + 1), np.ones(together, np.int64)])
