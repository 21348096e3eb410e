"""How ``execute`` runs. A backend is one file in this folder.

Each file has

``FORMATS``
    the model formats it reads (see :mod:`bench.measure.models`), the preferred one first;
``RUNS_ON``
    ``"cpu"``, ``"gpu"``, ``"remote"`` (another process, reached over the network) or
    ``"scripted"``: where its power is measured, and how it may be loaded;
``Options``
    a :class:`BackendOptions` with its settings in a scenario;
``missing() -> str | None``
    what keeps it from running here, in words a user can act on, or ``None``;
``load(model, options, threads, clock) -> Session``
    the loaded model. Raises :class:`~bench.errors.InputError` for a file it cannot use.

A file may also have

``convert(model, options, calibration) -> Path``
    the file to load in place of ``model`` for ``options.precision``, made once and cached.
    ``calibration()`` returns real input tensors, as fed to the unconverted model;
``clock(options) -> Clock``
    a clock of its own (scripted times);
``wait_until_ready(options)``
    waits for a server that is starting; not timed.

The session of a remote backend may have ``url``, ``tls`` and ``message(feeds)``, which say what ``run``
posts (see :class:`~bench.measure.backends.open_inference.RemoteSession`): then a server that is not ours can
be validated.

All share one timing boundary: host buffer in, host buffer out, device synchronised. Transfers
are inside.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal, Protocol

import numpy.typing as npt
from pydantic import Field

from bench.errors import InputError
from bench.measure.clock import Clock, WallClock
from bench.record import Record

CONTRACT = ("FORMATS", "RUNS_ON", "Options", "missing", "load")


class RequestFailed(InputError):
    """One request had no answer; the next one may have.

    Args:
        code: the kind of failure in a word or two (``"HTTP 503"``), which failures are counted by.
        passing: whether the same request may well be answered if it is asked again.
    """

    def __init__(self, code: str, what: str, *, passing: bool = True, **details: Any) -> None:
        self.code, self.passing = code, passing
        super().__init__(what, **details)


Feeds = Mapping[str, npt.NDArray[Any]]
Calibration = Callable[[], Sequence[Feeds]]
RunsOn = Literal["cpu", "gpu", "remote", "scripted"]


class BackendOptions(Record):
    """Settings that every backend has; each one narrows ``precision`` to what it can do."""

    precision: Literal["fp32"] = "fp32"


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of a model; ``None`` is a dimension that may vary."""

    name: str
    dtype: str
    """NumPy's name (``object``: strings); ``unknown`` where the file does not say what it takes."""
    shape: tuple[int | None, ...]
    """Without meaning where ``dtype`` is unknown."""


class Placement(Record):
    """Where the model really runs, as the backend itself reports it after loading."""

    wanted: str
    """The device that was asked for, in the backend's own word (``CPU``, ``CUDA``, …)."""
    nodes: dict[str, int]
    """Nodes (or operations, or parameters) by the device they were placed on."""
    elsewhere: list[str] = Field(default=[])
    """Kinds of nodes placed on another device, without those that the options allow by name."""
    proof: str | None
    """How this is known; ``None`` where the backend gives no way to know."""


class Session(Protocol):
    """A loaded model; one that holds connections has ``close()`` as well."""

    inputs: Sequence[TensorSpec]
    outputs: Sequence[TensorSpec]

    def run(self, feeds: Feeds) -> Sequence[npt.NDArray[Any]]:
        """Outputs on the host in the order of ``outputs``, after the device has finished.

        The arrays belong to the caller: a later call does not change them. Raises
        :class:`~bench.errors.InputError` where the model does not take these inputs.
        """
        ...

    def placement(self) -> Placement:
        """Where the nodes ran; may be asked only after the first :meth:`run`."""
        ...

    def metadata(self) -> dict[str, str]:
        """Key-value pairs the model file carries."""
        ...


def clock_of(backend: ModuleType, options: BackendOptions) -> Clock:
    """The backend's own clock, or the machine's."""
    own = getattr(backend, "clock", None)
    return own(options) if own else WallClock()
