"""A run under way: what was asked for, and the records that there are so far."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from bench import gather
from bench.compare import Comparison
from bench.cost import Costs
from bench.errors import BenchError, InputError
from bench.executor import Executor
from bench.measure import Measurement
from bench.prepare import Order, Settings
from bench.profile import Profile
from bench.scenario import ResolvedScenario, require_asked_for
from bench.simulate import Simulation, sized
from bench.store import Journal, Run

ASKED = "asked.json"
JOURNAL = "replications.jsonl"

Profiles = Mapping[str, Profile]
"""By arm."""
Notify = Callable[[str, int, int, str], None]
"""Called with a stage, steps done, steps in all, and what is going on."""


def quiet(stage: str, done: int, total: int, what: str = "") -> None:
    return None


@dataclass(frozen=True)
class Work:
    """A run, and what its stages need."""

    run: Run
    order: Order
    settings: Settings
    workers: Executor
    notify: Notify

    @cached_property
    def known(self) -> tuple[ResolvedScenario, dict[str, Profile], dict[str, str]]:
        """What can be simulated, the profiles, and why the rest is left out."""
        failed = self.run.load("measurement.json", Measurement).failed
        asked = self.order.simulated
        profiles, unknown = gather.all_profiles(self.run, asked, failed)
        usable, excluded = gather.usable(asked, profiles, unknown)
        return usable, sized(usable, profiles), excluded

    @cached_property
    def simulation(self) -> Simulation:
        return self.run.load("simulation.json", Simulation)

    @cached_property
    def costs(self) -> Costs:
        return self.run.load("costs.json", Costs)

    @cached_property
    def comparison(self) -> Comparison:
        return self.run.load("comparison.json", Comparison)

    @property
    def journal(self) -> Journal:
        """Of the replications that were simulated."""
        return Journal(self.run.path / JOURNAL)


def asked_of(run: Run, allow_code: Sequence[Path]) -> Order:
    """What an earlier run was asked for; code that it names must be asked for again."""
    asked = run.load(ASKED, Order)
    require_asked_for(asked, allow_code, str(run.path))
    return asked


@contextmanager
def records_of(run: Run) -> Iterator[None]:
    """What fails on records that were damaged or changed is theirs, and not the program's."""
    try:
        yield
    except (BenchError, OSError, MemoryError):
        raise
    except Exception as error:
        try:
            changed = run.changed()
        except OSError:
            changed = []
        if not changed:
            raise
        raise InputError(
            f"{', '.join(changed)} was changed after the run wrote it, and the records do not fit "
            f"together any more ({type(error).__name__})",
            where=str(run.path), todo="Restore it, or run again",
        ) from error  # fmt: skip
