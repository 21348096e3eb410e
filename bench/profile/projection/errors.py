"""How far projections of a kind were from published results that they were not made of.

``held_out.csv`` and ``likeness.csv`` are written by ``nox -s projection``, which tries every question
anew; a projection's interval is as wide as nine in ten of those answers needed.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.errors import InputError
from bench.hardware import Part, Regime
from bench.profile.projection.likeness import Likeness

NORMAL_90 = 1.645
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


def read_errors(folder: Path) -> Errors:
    """Raises: InputError: the file is not there, or is not such a table."""
    return {
        (row["question"], row["part"], row["regime"]): HeldOut(  # type: ignore[misc]
            int(row["cells"]), float(row["median"]), float(row["log_error"])
        )
        for row in _rows(folder / "held_out.csv", ("question", "part", "regime", "log_error"))
    }


def read_likeness(folder: Path) -> Likeness:
    """Raises: InputError: the file is not there, or is not such a table."""
    rows = _rows(folder / "likeness.csv", ("relation", "correlation"))
    return {row["relation"]: float(row["correlation"]) for row in rows}


def _rows(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, strict=True)
            rows = list(reader)
    except (OSError, csv.Error) as error:
        raise InputError(f"the file cannot be read ({error})", where=str(path)) from error
    if missing := [name for name in columns if name not in (reader.fieldnames or ())]:
        raise InputError(f"no column {', '.join(missing)}", where=str(path))
    return rows
