"""How far projections of a kind were from published results that they were not made of.

``held_out.csv`` and ``likeness.csv`` are written by ``nox -s projection``, which tries every question
anew; a projection's interval is as wide as nine in ten of those answers needed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from bench.hardware import Key, Part, Regime, Setting, read_rows
from bench.profile.projection.costs import Array
from bench.profile.projection.likeness import Likeness
from bench.profile.projection.observed import Observed

NORMAL_90 = 1.645
WELL_KNOWN = 12
FAMILIES = 5
"""A setting with so many networks of so many families is tried on its own."""
FOLDS = 5
USELESS = math.log(2)
"""Where half of the held-out answers are off by more than a factor of two, there is no answer."""

Question = Literal["elsewhere", "measured", "new", "few", "data sheet"]
"""What is known: the network in other settings; the network here or on a calibrated machine; the
setting by many networks; the setting by few; the device by its data sheet alone."""


@dataclass(frozen=True)
class HeldOut:
    """The errors of one question; in logarithms."""

    cells: int
    median: float
    log_error: float
    """As a standard deviation: 90 % of the answers lay within 1.645 of it."""

    @property
    def useless(self) -> bool:
        return self.median > USELESS


Errors = Mapping[tuple[Question, Part, Regime], HeldOut]


class Sureness:
    """How far off an answer of a setting may be.

    Args:
        families: of each network; a family is left out together.
    """

    def __init__(self, errors: Errors, families: Mapping[Key, str]) -> None:
        self._errors, self._families = errors, families
        self._own: dict[Setting, tuple[float, float]] = {}

    def well_known(self, observed: Observed) -> bool:
        families = {self._families[key] for key in observed.keys}
        return len(observed.keys) >= WELL_KNOWN and len(families) >= FAMILIES

    def error(self, question: Question, observed: Observed) -> float:
        """The deviation of the logarithm; infinite where answers are useless or were never tried.

        Of the setting's own held-out networks where it has enough, and of its kind otherwise. A time
        that was measured elsewhere narrows what the setting has by itself as it did in the median.
        """
        kind = observed.setting.part, observed.setting.regime
        if question in ("new", "measured") and self.well_known(observed):
            own, median = self._of_its_own(observed)
            new, held = (self._errors.get((name, *kind)) for name in ("new", question))
            narrower = min(held.median / new.median, 1.0) if held and new else 1.0
            return own * narrower if median <= USELESS else math.inf
        held = self._errors.get(("few" if question == "measured" else question, *kind))
        return held.log_error if held and not held.useless else math.inf

    def _of_its_own(self, observed: Observed) -> tuple[float, float]:
        """Deviation and median of the errors with families left out (conformal prediction)."""
        if observed.setting not in self._own:
            away = np.abs(self.left_out(observed))
            count = len({self._families[key] for key in observed.keys})
            quantile = float(np.quantile(away, min(0.9 * (count + 1) / count, 1.0)))
            self._own[observed.setting] = quantile / NORMAL_90, float(np.median(away))
        return self._own[observed.setting]

    def left_out(self, observed: Observed) -> Array:
        """log projected − log published of each network without its family, a fifth of the families
        at a time."""
        families = [self._families[key] for key in observed.keys]
        order = sorted(set(families))
        away = np.zeros(len(families))
        for fold in range(FOLDS):
            out = set(order[fold::FOLDS])
            asked = np.array([family in out for family in families])
            gone = {key for key, own in zip(observed.keys, asked, strict=True) if own}
            sums = observed.x[asked] @ observed.without(gone).costs
            away[asked] = np.log(sums) - np.log(observed.seconds[asked])
        return away


def read_errors(folder: Path) -> Errors:
    """Raises: InputError: the file is not there, or is not such a table."""
    return dict(read_rows(folder / "held_out.csv", _held_out))


def _held_out(row: Mapping[str, str]) -> tuple[tuple[Question, Part, Regime], HeldOut]:
    key = row["question"], row["part"], row["regime"]
    held = HeldOut(int(row["cells"]), float(row["median"]), float(row["log_error"]))
    return key, held  # type: ignore[return-value]


def read_likeness(folder: Path) -> Likeness:
    """Raises: InputError: the file is not there, or is not such a table."""
    rows = read_rows(folder / "likeness.csv", lambda row: row)
    return {row["relation"]: float(row["correlation"]) for row in rows}
