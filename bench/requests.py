"""What travels: requests, each with its luck, and the answers that they became.

On the ground floor: both ways of simulating, and whatever answers or replays requests, speak of these
rows. A new column is a line in each of its three faces, :class:`Requests` and :class:`Row` here and
what compiled code reads (``simulate.fast.state.Input``), and its use; all that copies goes by these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from bench.ticks import Ticks

Floats = npt.NDArray[np.float64]


class Outcome(IntEnum):
    """How a request ended; one that has not is in flight."""

    DONE = 0
    SHED = 1
    """Turned away at the door."""
    TIMED_OUT = 2
    """Left the queue after the longest wait."""
    LOST = 3
    """In flight on a server, device or link that failed, and not tried again."""


ANSWER = np.dtype(
    [
        ("number", "i8"),
        ("arrival", "i8"),
        ("reach", "i8"),
        ("start", "i8"),
        ("served", "i8"),
        ("finished", "i8"),
        ("source", "i4"),
        ("server", "i4"),
        ("batch", "i4"),
        ("outcome", "i4"),
        ("size", "f8"),
    ]
)
"""One request that ended. Ticks: scheduled arrival, reached the queue, service began, service
ended (or the request left unserved), answer back at the source. ``batch`` is how many were served
together; ``server`` is -1 and ``batch`` 0 where there was no service. ``size`` is the request's."""
Answers = npt.NDArray[Any]
OnAnswers = Callable[[Answers], None]


class Row(NamedTuple):
    """One of :class:`Requests`, with the same columns in the same order."""

    number: int
    arrival: int
    time: int
    source: int
    service: float
    choice: float
    up: int
    down: int
    size: float


@dataclass(frozen=True)
class Requests:
    """Consecutive requests, by the time they set out, and the luck each of them carries.

    Luck belongs to the request, not to the server: whatever the deployment, request 17 draws the
    same uniform numbers.
    """

    number: Ticks
    arrival: Ticks
    """Scheduled; think times in a closed loop, whose users set out when they have thought."""
    time: Ticks
    source: npt.NDArray[np.int32]
    service: Floats
    """Uniform: the service time of a batch this request leads."""
    choice: Floats
    """Uniform: routing, shedding and escalation. Empty where nothing asks."""
    up: Ticks
    """Propagation to the server, retransmissions included. Empty where the way lies behind them."""
    down: Ticks
    size: Floats = field(default_factory=lambda: np.zeros(0))
    """How much there is to do, in the task's own unit. Empty where nothing asks."""

    def __len__(self) -> int:
        return len(self.number)

    @property
    def columns(self) -> tuple[npt.NDArray[Any], ...]:
        """All of them, in this order."""
        return tuple(getattr(self, name) for name in _COLUMNS)

    def rows(self) -> Iterator[Row]:
        """One by one; what nothing asks for is 0."""
        values = (column.tolist() or [0.0] * len(self) for column in self.columns)
        yield from map(Row, *values)

    def take(self, places: npt.NDArray[np.intp] | slice) -> Requests:
        """The requests at ``places``."""
        return Requests(*(column[places] if len(column) else column for column in self.columns))

    def at(self, time: Ticks) -> Requests:
        """The same requests at other times."""
        return replace(self, time=time)

    @classmethod
    def none(cls) -> Requests:
        return cls.of_rows([])

    @classmethod
    def of_rows(cls, rows: Sequence[Row]) -> Requests:
        values = zip(*rows, strict=True) if rows else [()] * len(_COLUMNS)
        return cls(
            *(
                np.array(column, kind)
                for column, kind in zip(values, _COLUMNS.values(), strict=True)
            )
        )

    @classmethod
    def joined(cls, *parts: Requests) -> Requests:
        """All of them, one part after the other."""
        some = [part for part in parts if len(part)]
        if len(some) < 2:
            return some[0] if some else cls.none()
        return cls(*map(np.concatenate, zip(*(part.columns for part in some), strict=True)))


_KINDS: dict[str, npt.DTypeLike] = {"source": "i4", "service": "f8", "choice": "f8", "size": "f8"}
_COLUMNS = {one.name: np.dtype(_KINDS.get(one.name, "i8")) for one in fields(Requests)}
