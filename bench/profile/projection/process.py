"""A Gaussian process over cells: y = what the model, the device and both together add, in logarithms.

The covariance of two cells is a sum of components, each a similarity (same device, same maker, alike
data sheets, the same with the same model, …) times a variance. The variances maximise the marginal
likelihood under a prior (Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006,
chapters 2 and 5; 5.4.2 for leaving out, here in blocks).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy  # of which linalg and optimize are loaded on first use

from bench.profile.projection.cells import DEVICE_FEATURES, MODEL_FEATURES, Cells, Floats

CONSTANT = 25.0
"""Variance of what all cells share: as good as unknown."""
PRIOR_LOG, PRIOR_SD = -3.0, 2.0
"""Of the logarithm of each variance: normal. An effect is of 8 to 60 %, two times in three; some
quantities have fewer than a hundred cells for all their variances."""
LIMITS = (-12.0, 3.0)


@dataclass(frozen=True)
class Fit:
    """Variances of the components; the last two are of a cell and of a single result in it."""

    log_variances: Floats


def components(left: Cells, right: Cells) -> Iterator[tuple[str, Floats]]:
    """Every component by name: similarities of the cells of ``left`` and ``right``."""

    def same(column: str) -> Floats:
        equal: Floats = (getattr(left, column)[:, None] == getattr(right, column)[None, :]).astype(
            float
        )
        return equal

    def product(place: int) -> Floats:
        return np.outer(left.features[:, place], right.features[:, place])

    family, maker, device = same("family"), same("maker"), same("device")
    # Models: what each needs, and how it grows with work and with weights.
    yield "family", family
    yield "model", same("model")
    yield "recurrent", np.outer(left.recurrent, right.recurrent)
    for place, name in enumerate(MODEL_FEATURES, len(DEVICE_FEATURES)):
        yield name, product(place)
    # Devices: by maker and generation, by data sheet, and each its own.
    for name, alike in (
        ("maker", maker),
        ("architecture", same("architecture")),
        ("device", device),
    ):
        yield name, alike
        yield f"{name} × family", alike * family
    # A card needs a host beside it; a module is a whole computer.
    yield "form", same("form")
    yield "saving", np.outer(left.saving, right.saving)
    yield "mode", same("mode")
    for place, name in enumerate(DEVICE_FEATURES):
        yield name, product(place)
        yield f"{name} × family", product(place) * family
    # A small model cannot fill a fast device.
    yield "rate × flops", product(0) * product(len(DEVICE_FEATURES))
    near = maker * np.exp(-_distance(left, right) / 2)
    yield "near", near
    yield "near × family", near * family


def _distance(left: Cells, right: Cells) -> Floats:
    """Squared, in the logarithms of rate and bandwidth."""
    gaps = left.features[:, None, :2] - right.features[None, :, :2]
    squared: Floats = (gaps**2).sum(axis=2)
    return squared


_FITTED: dict[tuple[tuple[object, ...], ...], Fit] = {}


def fit(cells: Cells) -> Fit:
    """The variances that the cells make most likely.

    It takes seconds, and every task of a process asks it of the same cells: what was found is kept.
    """
    key = tuple(tuple(column.ravel().tolist()) for column in vars(cells).values())
    if key not in _FITTED:
        _FITTED[key] = _most_likely(cells)
    return _FITTED[key]


def _most_likely(cells: Cells) -> Fit:
    loss = loss_of(cells)
    start = np.full(len(list(components(cells, cells))) + 2, PRIOR_LOG)
    found = scipy.optimize.minimize(
        loss, start, jac=True, method="L-BFGS-B", bounds=[LIMITS] * len(start),
        options={"maxiter": 300},
    )  # fmt: skip
    return Fit(found.x)


def loss_of(cells: Cells) -> Callable[[Floats], tuple[float, Floats]]:
    """How unlikely given variances are, as a function of their logarithms, with its gradient."""
    parts = np.stack([part for _, part in components(cells, cells)])
    y = cells.log - cells.log.mean()
    identity = np.eye(len(cells))

    def loss(log_variances: Floats) -> tuple[float, Floats]:
        variances = np.exp(log_variances)
        factor = scipy.linalg.cho_factor(_covariance(parts, variances, cells.results), lower=True)
        inverse = scipy.linalg.cho_solve(factor, identity)
        weights = inverse @ y
        gradient = inverse - np.outer(weights, weights)
        slopes = [float((gradient * part).sum()) for part in parts]
        slopes += [np.trace(gradient), float((np.diag(gradient) / cells.results).sum())]
        away = (log_variances - PRIOR_LOG) / PRIOR_SD
        value = np.log(np.diag(factor[0])).sum() + y @ weights / 2 + away @ away / 2
        return float(value), np.array(slopes) * variances / 2 + away / PRIOR_SD

    return loss


def predict(known: Cells, asked: Cells, fitted: Fit) -> tuple[Floats, Floats]:
    """Mean and standard deviation of the logarithms that new results of ``asked`` would have."""
    centre = known.log.mean()
    variances = np.exp(fitted.log_variances)
    between = _sum(components(asked, known), variances) + CONSTANT
    own = np.diag(_sum(components(asked, asked), variances)) + CONSTANT
    factor = scipy.linalg.cho_factor(_whole(known, variances), lower=True)
    mean = centre + between @ scipy.linalg.cho_solve(factor, known.log - centre)
    explained = np.einsum("ij,ji->i", between, scipy.linalg.cho_solve(factor, between.T))
    noise = variances[-2] + variances[-1] / asked.results
    return mean, np.sqrt(own - explained + noise)


def leave_out(cells: Cells, fitted: Fit, groups: npt.NDArray[np.object_]) -> tuple[Floats, Floats]:
    """Mean and standard deviation of every cell, from the cells of the other groups alone."""
    inverse = np.linalg.inv(_whole(cells, np.exp(fitted.log_variances)))
    mean, deviation = np.empty(len(cells)), np.empty(len(cells))
    for group in np.unique(groups):
        own = np.flatnonzero(groups == group)
        block = np.linalg.inv(inverse[np.ix_(own, own)])
        centre = cells.log[groups != group].mean()
        mean[own] = cells.log[own] - block @ (inverse[own] @ (cells.log - centre))
        deviation[own] = np.sqrt(np.diag(block))
    return mean, deviation


def _whole(cells: Cells, variances: Floats) -> Floats:
    parts = np.stack([part for _, part in components(cells, cells)])
    return _covariance(parts, variances, cells.results)


def _covariance(parts: Floats, variances: Floats, results: Floats) -> Floats:
    noise = variances[-2] + variances[-1] / results
    whole: Floats = np.tensordot(variances[:-2], parts, 1) + CONSTANT + np.diag(noise)
    return whole


def _sum(parts: Iterator[tuple[str, Floats]], variances: Floats) -> Floats:
    total: Floats = sum(
        (variance * part for variance, (_, part) in zip(variances, parts, strict=False)),
        start=np.zeros(()),
    )
    return total
