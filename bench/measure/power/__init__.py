"""Power sensors: one file each, with ``find() -> Sensor | str`` (the reason why there is none).

``MEASURES`` says whose energy it counts, ``cpu`` or ``gpu``. A sensor reads an energy counter. No
sensor means ``null`` with the reason, never zero and never a data-sheet figure.
"""

from __future__ import annotations

from typing import Protocol

from bench import extensions


class Sensor(Protocol):
    """A cumulative energy counter."""

    source: str
    scope: str
    """``chip``, ``board`` or ``system``."""

    def read_j(self) -> float:
        """Joules since some fixed moment; never decreases."""
        ...


def find(measures: str) -> tuple[Sensor | None, str]:
    """The first sensor for ``cpu`` or ``gpu`` that works here, and why the others do not."""
    reasons = []
    for name in extensions.names(__name__):
        module = extensions.load(__name__, name)
        if measures != module.MEASURES:
            continue
        found = module.find()
        if not isinstance(found, str):
            return found, ""
        reasons.append(f"{name}: {found}")
    return None, "; ".join(reasons)
