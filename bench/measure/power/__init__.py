"""Power sensors: one file each. No sensor means ``null`` with the reason, never zero.

Each file has

``MEASURES``
    whose power it sees: ``"cpu"``, ``"gpu"`` or ``"all"`` (a whole board or machine);
``find() -> Sensor | Log | str``
    the sensor, or why there is none and what would help, in words a user can act on
    (:class:`Forbidden` where there is one that this user may not read).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from bench import extensions

Source = Literal["wall", "counter", "sampled", "modelled", "none"]
"""A meter in the supply line, a cumulative energy counter, power at moments, or a formula."""
Scope = Literal["chip", "board", "system"]
Measures = Literal["cpu", "gpu", "all"]


@dataclass(frozen=True)
class Reading:
    """What a sensor says at one moment; a failed attempt has codes and no figures."""

    at_ns: int
    """``time.perf_counter_ns``."""
    energy_j: float | None = None
    """Joules since some fixed moment."""
    power_w: float | None = None
    codes: frozenset[str] = frozenset()
    """What a reader of the figures must know (see :mod:`bench.measure.metering`)."""


class Described(Protocol):
    """What every sensor says of itself."""

    source: Source
    scope: Scope
    title: str
    """The sensor and what it covers, in words."""


@runtime_checkable
class Sensor(Described, Protocol):
    """Answers at once, each time it is asked."""

    def read(self) -> Reading:
        """One reading now. Raises :class:`OSError` where there is none."""
        ...


@runtime_checkable
class Log(Described, Protocol):
    """Keeps its own record, which is read afterwards."""

    def readings(self) -> Sequence[Reading]:
        """All readings there are, in the order of time.

        Raises :class:`OSError` or :class:`~bench.errors.InputError` where there is no such record.
        """
        ...


class Forbidden(str):
    """A reason: there is a sensor, but this user may not read it."""

    __slots__ = ()


def find(measures: Measures) -> tuple[list[Sensor | Log], dict[str, str]]:
    """The sensors that see ``measures``, and by name why the others cannot be used.

    A sensor of the whole board or machine sees the processor and the GPU as well.
    """
    usable, reasons = [], {}
    for name in extensions.names(__name__):
        module = extensions.load(__name__, name)
        if module.MEASURES not in (measures, "all"):
            continue
        found = module.find()
        if isinstance(found, str):
            reasons[name] = found
        else:
            usable.append(found)
    return usable, reasons
