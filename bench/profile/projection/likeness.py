"""What one setting's times say of a network in another.

A network that takes longer than its counts say on one machine mostly does so on others: the residuals
of two settings go together, the more the more alike they are. How much is read off the networks that
both published, and where these are few, off all pairs that stand to each other as they do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bench.hardware import Setting
from bench.profile.projection.observed import Observed

NEAREST = 6
"""So many settings are asked at most, the most alike. This and the next two did best of a dozen tried."""
WORTH = 20.0
"""The relation counts as much as so many networks in common."""
MOST_COMMON = 40
"""More networks in common say no more than so many."""
NOISE = 0.3
"""Of a residual's variance, what a second measurement of the same would not show again."""

Likeness = Mapping[str, float]
"""Correlation of residuals by :func:`relation`."""


def relation(one: Setting, other: Setting) -> str:
    """How two settings stand to each other: what they share."""
    shared = [
        word
        for word, same in (
            ("device", one.device == other.device),
            ("part", one.part == other.part and one.device != other.device),
            ("software", one.software == other.software),
            ("regime", one.regime == other.regime),
        )
        if same
    ]
    return " ".join(shared) or "nothing"


def correlation(one: Observed, other: Observed, likeness: Likeness) -> float:
    """Of the residuals of a network in two settings."""
    usual = likeness.get(relation(one.setting, other.setting), 0.0)
    mine, theirs = one.residuals, other.residuals
    common = [(mine[key], theirs[key]) for key in mine.keys() & theirs.keys()]
    if not common:
        return usual
    a, b = np.array(common).T
    weight = min(1.0, MOST_COMMON / len(common))
    together = weight * float(a @ b) + WORTH * usual
    return together / (weight * float(np.sqrt((a @ a) * (b @ b))) + WORTH)


def carried(target: Observed, known: Sequence[tuple[Observed, float]], likeness: Likeness) -> float:
    """The best linear estimate of a residual in ``target``, in its sigmas, from those elsewhere."""
    nearest = sorted(
        ((correlation(target, other, likeness), number) for number, (other, _) in enumerate(known)),
        reverse=True,
    )[:NEAREST]
    asked = [known[number] for _, number in nearest]
    if not asked:
        return 0.0
    between = np.array(
        [[1.0 if a is b else correlation(a, b, likeness) for b, _ in asked] for a, _ in asked]
    ) + NOISE * np.eye(len(asked))
    weights = np.linalg.solve(between, np.array([rho for rho, _ in nearest]))
    return float(weights @ np.array([residual for _, residual in asked]))
