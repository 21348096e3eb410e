"""Reference networks timed on this machine, runtime after runtime, and kept: ``bench calibrate``.

In this order: what can be done is looked at, networks that are not in the cache are exported in a
process of their own, each network is timed in a fresh process, and what was seen is kept, also where
Ctrl-C or the time that is allowed ended it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.errors import (
    BenchError,
    Interrupted,
    MeasurementInvalid,
    MissingRequirement,
    UnknownName,
)
from bench.executor import isolated
from bench.hardware import Catalogue
from bench.measure import (
    NETWORKS,
    PRECISION,
    THIS_HOST,
    Calibration,
    Cell,
    Making,
    Reference,
    Timed,
    calibratable,
    describe_environment,
    format_of,
    make,
    missing_for,
    reference_times,
    unmade,
    usable_cores,
    version_of,
)
from bench.profile import keep_calibration, left_one_out, place_for

BUDGET_S = 280.0
"""For one runtime, exports among it: with what is before and after, under five minutes."""
MAKING = 0.5
"""The share of it in which exports may begin."""
STALL_LIMIT_S = 120.0
NOT_MADE = "there was no time left for exports (--budget); the next calibration goes on"
NO_TIME = "there was no time left (--budget)"
BUSY = 0.3
"""Load average of a core from which on others keep the machine from what it can do."""

Notify = Callable[[str, int, int, str], None]
Isolate = Callable[..., Any]
"""See :func:`bench.executor.isolated`."""


@dataclass
class Done:
    """What a command has come to."""

    device: str
    kept: list[tuple[Calibration, Path | None]] = field(default_factory=list)
    """With its file, or ``None`` where an earlier one stays because it has more networks."""
    failed: dict[str, BenchError] = field(default_factory=dict)
    """Runtimes of which nothing could be measured."""
    interrupted: bool = False
    busy: float | None = None
    """Load average of a core at the start, where it is so high that times come out too long."""


def held_out(calibration: Calibration) -> float | None:
    """The median of \\|projected ÷ measured − 1\\|, each network projected from the others; ``None``
    where they are too few."""
    return left_one_out(Catalogue(), calibration)


def chosen(runtimes: Sequence[str]) -> list[str]:
    """The runtimes that are asked for, or all that are ready.

    Raises:
        UnknownName: one takes no reference networks.
        MissingRequirement: one that is asked for, or all there are, cannot run here.
    """
    known = calibratable()
    for name in runtimes:
        if name not in known:
            raise UnknownName("runtime", name, known, where="--runtime")
    missing = {name: reason for name in runtimes or known if (reason := missing_for(name))}
    ready = [name for name in dict.fromkeys(runtimes or known) if name not in missing]
    for name, reason in missing.items():
        if runtimes or not ready:
            raise MissingRequirement(f"The runtime {name!r} cannot run here: it needs {reason}.")
    return ready


def calibrate(
    runtimes: Sequence[str], name: str | None, out: Path | None, budget_s: float | None,
    notify: Notify, isolate: Isolate = isolated, networks: Sequence[Reference] = NETWORKS,
) -> Done:  # fmt: skip
    """Time the reference networks on this machine with each runtime, and keep what was seen.

    Args:
        name: what the machine is called elsewhere; ``None``: it is for this machine alone.
        out: a folder to keep it in instead of the usual one.
        budget_s: seconds for each runtime; ``None``: :data:`BUDGET_S`.

    Raises:
        InputError: a name that cannot be a device's, or a folder that cannot be written to.
        UnknownName, MissingRequirement: see :func:`chosen`.
        BenchError: nothing could be measured with any runtime; the error of the first.
        Interrupted: before anything was measured.
    """
    ready, catalogue, device = chosen(runtimes), Catalogue(), name or THIS_HOST
    folder = place_for(device, out, catalogue)
    done, seen = Done(device), describe_environment()
    per_core = (seen["load_average"] or [0.0])[0] / usable_cores()
    done.busy = per_core if per_core > BUSY else None
    for runtime in ready:
        session = _Session(runtime, networks, budget_s or BUDGET_S, isolate, notify)
        try:
            session.measure()
        except KeyboardInterrupt:
            done.interrupted = True
        except BenchError as error:
            done.failed[runtime] = error
        if session.cells:
            found = _record(device, session, seen)
            done.kept.append((found, keep_calibration(found, folder, catalogue)))
        if done.interrupted:
            break
    if not done.kept:
        nothing = Interrupted("interrupted; nothing had been measured by then.")
        raise nothing if done.interrupted else next(iter(done.failed.values()))
    return done


def _record(device: str, session: _Session, seen: dict[str, Any]) -> Calibration:
    return Calibration(
        device=device,
        runtime=session.runtime,
        version=version_of(session.runtime, seen["packages"] or {}),
        precision=PRECISION,
        as_of=datetime.now(UTC).date().isoformat(),
        threads=usable_cores(),
        cells=session.cells,
        skipped=session.skipped,
        environment=seen,
    )


class _TimeIsUp(BenchError):
    """Raised where a process reports, which ends that process."""


class _Session:
    """One runtime: networks exported, then timed, until the time is up."""

    def __init__(
        self, runtime: str, networks: Sequence[Reference], budget_s: float, isolate: Isolate,
        notify: Notify,
    ) -> None:  # fmt: skip
        self.runtime, self.networks = runtime, networks
        self._isolate, self._notify, self._budget_s = isolate, notify, budget_s
        self._begun = time.monotonic()
        self.cells: list[Cell] = []
        self.skipped: dict[str, str] = {}

    def measure(self) -> None:
        """Raises:
        BenchError: not one network could be measured.
        """
        self._make()
        first: BenchError | None = None
        for place, network in enumerate(self.networks):
            if network.name in self.skipped:
                continue
            try:
                self._take(network, self._ask(reference_times, Timed(network, self.runtime), place))
            except _TimeIsUp:
                self.skipped[network.name] = NO_TIME
            except BenchError as error:
                self.skipped[network.name] = str(error)
                first = first or error
        if not self.cells:
            raise first or MeasurementInvalid(
                f"Not one network could be measured with {self.runtime} in {self._budget_s:g} s: "
                "give it more time (--budget)."
            )
        self._notify(self.runtime, len(self.networks), len(self.networks), "done")

    def _make(self) -> None:
        """Export what is missing; what is not done in its time is skipped, and is there next time.

        Raises:
            BenchError: it fails, and there is nothing from before.
        """
        format_ = format_of(self.runtime)
        missing = unmade(self.networks, format_)
        failed: dict[str, str] = {}
        try:
            if missing:
                seconds = MAKING * self._budget_s
                failed = self._ask(make, Making(missing, format_, seconds), 0)
        except _TimeIsUp:
            pass
        except BenchError as error:
            if len(missing) == len(self.networks) == len(unmade(missing, format_)):
                raise
            failed = {network.name: str(error) for network in missing}
        for network in unmade(missing, format_):
            self.skipped[network.name] = failed.get(network.name, NOT_MADE)

    def _ask(self, function: Callable[..., Any], item: Any, place: int) -> Any:
        """``function(item)`` in a process of its own, until the time is up."""

        def look(what: str, _: float = 0.0) -> None:
            if time.monotonic() - self._begun > self._budget_s:
                raise _TimeIsUp
            self._notify(self.runtime, place, len(self.networks), what)

        look("")
        return self._isolate(function, item, STALL_LIMIT_S, look)

    def _take(self, network: Reference, cells: Sequence[Cell]) -> None:
        self.cells += cells
        if all(cell.regime == "one" for cell in cells):
            self.skipped[network.name] = "a full batch would take too long; only single samples"
