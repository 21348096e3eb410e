"""What a machine can tell from nothing: gates of equal sides, played and drawn again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.gate.asked import Metric
from bench.gate.evidence import Floats
from bench.gate.judge import changes
from bench.gate.rounds import Round
from bench.gate.weigh import Booleans, Rule, shown
from bench.record import SCHEMA_VERSION, Record

GRID = (0.01, 0.02, 0.03, 0.05, 0.08, 0.1, 0.15, 0.2, 0.3, 0.5)
"""Least effects that may be recommended."""
FEWEST = 10
"""Rounds from which anything is said."""
GATES = 200
OFTEN = 0.9
BEYOND = 1.5
"""How many least effects the slowdown has that is to be found."""
QUIET = 20
"""Rounds over whose median a floor is taken."""
CERTAIN = 0.99


class Promise(Record):
    """What a least effect means on this machine."""

    least_effect: float
    passes: float
    """Share of gates of equal sides that end as PASS in time."""
    finds: float
    """Share of gates, with one metric slower by half as much again, that end as REGRESSED in time."""
    seconds: float
    """Until nine in ten of equal gates have passed."""


class Floor(Record):
    """``floor.json``: of gates of equal sides."""

    schema_version: int = SCHEMA_VERSION
    cpu: str | None
    rounds: int
    round_s: float
    floors: dict[str, float]
    """By metric, the effect that the median of twenty rounds stays below in 99 of 100 cases."""
    promises: list[Promise]
    recommended: Promise | None
    """The least effect that passes and finds nine times in ten."""


def floor_of(
    metrics: Sequence[Metric], rounds: Sequence[Round], rule: Rule, most_s: float, cpu: str | None
) -> Floor:
    """What rounds of equal sides say of the machine.

    Each round's differences are drawn again with either sign, all metrics together, as a fair coin would
    have had it; the gates of these are judged by the rule itself.
    """
    round_s = float(np.mean([one.base.seconds + one.head.seconds for one in rounds]))
    seen = np.array([changes(metric, rounds) for metric in metrics])
    drawn = _drawn(seen, max(FEWEST, int(most_s / round_s)))
    middle = np.abs(np.median(drawn[:, :, :QUIET], axis=2))
    promises = [_promise(drawn, least, rule, round_s) for least in GRID]
    kept = (one for one in promises if min(one.passes, one.finds) >= OFTEN)
    return Floor(
        cpu=cpu,
        rounds=len(rounds),
        round_s=round_s,
        floors={
            metric.name: float(np.expm1(np.quantile(own, CERTAIN)))
            for metric, own in zip(metrics, middle.T, strict=True)
        },
        promises=promises,
        recommended=next(kept, None),
    )


def _drawn(seen: Floats, length: int) -> Floats:
    """Gates of so many rounds: of shape (gates, metrics, rounds)."""
    rng = np.random.default_rng(0)
    which = rng.integers(seen.shape[1], size=(GATES, length))
    signs = rng.choice([-1.0, 1.0], (GATES, length))
    return np.moveaxis(seen[:, which] * signs, 0, 1)


def _promise(drawn: Floats, least: float, rule: Rule, round_s: float) -> Promise:
    gates, metrics, length = drawn.shape
    passed = _ends(drawn, least, rule)[1]
    slowed = drawn.copy()
    slowed[np.arange(gates), np.arange(gates) % metrics] += np.log1p(BEYOND * least)
    last = np.quantile(np.where(passed.any(axis=1), passed.argmax(axis=1) + 1, length), OFTEN)
    return Promise(
        least_effect=least,
        passes=float(passed.any(axis=1).mean()),
        finds=float(_ends(slowed, least, rule)[0].any(axis=1).mean()),
        seconds=float(last) * round_s,
    )


def _ends(drawn: Floats, least: float, rule: Rule) -> tuple[Booleans, Booleans]:
    """After each round of each gate, whether it has ended as REGRESSED, and as PASS."""
    worse, _, same = shown(drawn, least, drawn.shape[1], rule)
    regressed, passed = worse.any(axis=1), same.all(axis=1)
    first = np.logical_or.accumulate(passed & ~regressed, axis=1)
    return regressed & ~first, first
