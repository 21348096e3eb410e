"""How ``execute`` runs. A backend is one file in this folder.

Each file has

``Options``
    a record of its settings in a scenario (empty for most);
``missing() -> str | None``
    what keeps it from running here, in words a user can act on, or ``None``;
``clock(options) -> Clock``
    the clock its times are read from (a scripted backend brings its own);
``load(model, options, threads, clock) -> Session``
    the loaded model.

All share one timing boundary: host buffer in, host buffer out, device synchronised. Transfers
are inside.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy.typing as npt

Feeds = Mapping[str, npt.NDArray[Any]]
Clock = Callable[[], int]
"""A callable that returns monotonic nanoseconds."""


class Session(Protocol):
    """A loaded model."""

    def run(self, feeds: Feeds) -> Sequence[npt.NDArray[Any]]:
        """Outputs on the host, after the device has finished."""
        ...

    def placement(self) -> list[str]:
        """The providers or devices the model was given to, in order of preference."""
        ...

    def metadata(self) -> dict[str, str]:
        """Key-value pairs the model file carries."""
        ...


def wall_clock() -> Clock:
    """The machine's monotonic clock."""
    return time.perf_counter_ns
