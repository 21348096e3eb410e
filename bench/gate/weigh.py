"""What the rounds say of one metric that has noise, at every look."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import numpy.typing as npt

from bench.gate.evidence import Floats, evidence
from bench.record import Estimate, Record

Finding = Literal["worse", "better", "same", "open"]
"""``same``: not worse by the least effect that matters. ``open``: nothing is shown yet."""
Booleans = npt.NDArray[np.bool_]
RESAMPLES = 2000


class Rule(Record):
    """How often a gate may be wrong."""

    false_alarm: float = 0.01
    """Probability that two equal sides are called REGRESSED, over all metrics and all looks."""
    missed: float = 0.05
    """Probability that a metric which is worse by its least effect is called the same, over all looks."""


class Weighed(Record):
    """What the rounds so far say of one metric."""

    rounds: int
    effect: Estimate
    """Median over rounds of head ÷ base − 1, turned so that more is worse; with a bootstrap interval."""
    sign_flip: float | None
    """Probability of a mean as far from zero, were each difference as likely to have the other sign."""
    worse: float
    """Evidence that head is worse; so are the next two."""
    better: float
    same: float
    finding: Finding
    promising: bool = False
    """It is not worse, and looks better by as much as matters, which more rounds could show."""


def weigh(differences: Floats, least: float, metrics: int, rule: Rule) -> Weighed:
    """Weigh one metric. Whoever swaps the sides gets ``better`` for ``worse``.

    Args:
        differences: of each round, log(head ÷ base), turned so that more is worse.
        least: the smallest effect that matters, as a share above zero: 0.05 is 5 %.
        metrics: how many are gated together: each may give its part of the false alarms.
    """
    step = math.log1p(least)
    by_now = shown(differences, least, metrics, rule)
    is_worse, is_better, is_same = (bool(one[-1:].any()) for one in by_now)
    return Weighed(
        rounds=len(differences),
        effect=effect_of(differences),
        sign_flip=sign_flip(differences),
        worse=_last(evidence(differences, step)),
        better=_last(evidence(-differences, step)),
        same=_last(evidence(step - differences, step)),
        finding="worse" if is_worse else "better" if is_better else "same" if is_same else "open",
        promising=is_same and not is_better and float(np.median(differences)) <= -step,
    )


def shown(
    differences: Floats, least: float, metrics: int, rule: Rule
) -> tuple[Booleans, Booleans, Booleans]:
    """After each round, whether it has been shown by then that head is worse, better, or the same.

    Args:
        differences: of shape (…, rounds).
    """
    step, enough = math.log1p(least), metrics / rule.false_alarm
    medians = running_median(differences)
    worse = (evidence(differences, step) >= enough) & (medians >= step)
    better = (evidence(-differences, step) >= enough) & (medians <= -step)
    same = evidence(step - differences, step) >= 1 / rule.missed
    worse, better, same = (np.logical_or.accumulate(one, axis=-1) for one in (worse, better, same))
    return worse, better, same | better


def running_median(differences: Floats) -> Floats:
    """After each round, the median of all so far."""
    found = np.empty_like(differences)
    for last in range(differences.shape[-1]):
        found[..., last] = np.median(differences[..., : last + 1], axis=-1)
    return found


def _last(wealth: Floats) -> float:
    return float(wealth[-1]) if len(wealth) else 1.0


def effect_of(differences: Floats) -> Estimate:
    """The median of the differences as a share, and the 95 % of it over rounds that are drawn again."""
    if not len(differences):
        return Estimate.absent("no round was played")
    drawn = np.random.default_rng(0).choice(differences, (RESAMPLES, len(differences)))
    low, high = np.quantile(np.median(drawn, axis=1), (0.025, 0.975))
    return Estimate(
        value=math.expm1(float(np.median(differences))),
        low=math.expm1(float(low)), high=math.expm1(float(high)), n=len(differences),
    )  # fmt: skip


def sign_flip(differences: Floats) -> float | None:
    """Two-sided, by the mean: exact up to 12 rounds, of 4,096 draws beyond (Fisher 1935)."""
    n = len(differences)
    if not n:
        return None
    if n <= 12:
        signs = 1.0 - 2.0 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
    else:
        signs = np.random.default_rng(0).choice([-1.0, 1.0], (4095, n))
        signs = np.vstack([np.ones(n), signs])  # what was seen is one of the ways
    seen = abs(differences.sum())
    return float(np.mean(np.abs(signs @ differences) >= seen * (1 - 1e-12)))
