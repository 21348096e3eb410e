"""A scenario file and the command line → what is to be done, every name looked up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bench import extensions
from bench.documents import Source
from bench.errors import InputError
from bench.hardware import Catalogue
from bench.observe import Asking
from bench.record import SCHEMA_VERSION, Record
from bench.recorded import only, replaying
from bench.scenario import (
    PLACES,
    Campaign,
    Choice,
    Extensions,
    ResolvedScenario,
    Scenario,
    Suite,
    Sweep,
    read_scenario,
    read_suite,
    resolve,
    resolve_suite,
    sweep_of,
)
from bench.validate import Session, checked

ROLES = {
    "task": "bench.measure.tasks",
    "backend": "bench.measure.backends",
    "arrivals": "bench.arrivals",
    "sizes": "bench.sizes",
    "load": "bench.measure.loads",
    "batching": "bench.batching",
    "scaling": "bench.simulate.scaling",
    "place": PLACES,
}


@dataclass(frozen=True)
class Settings:
    """What the command line can change about a run."""

    seed: int = 1
    budget: str | None = None
    engine: str = "local"
    input: Path | None = None
    """A folder of the user's own inputs."""
    backends: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    overrides: Path | None = None
    """Negotiated prices and local inputs, before the catalogue's."""
    method: str = "fast"
    command: str = "bench run"
    allow_code: tuple[Path, ...] = ()
    """Python files that the records of a run may name."""
    recording: Mapping[str, Any] | None = None
    """Options of a trace that comes in place of the scenario's arrivals, as they would stand there."""
    deployment: str | None = None
    """The only one of the scenario's that is meant."""

    @property
    def catalogue(self) -> Catalogue:
        return Catalogue(overrides=self.overrides)


Goal = Literal["run", "measure", "simulate", "plan", "validate", "observe"]


class Order(Record):
    """``asked.json``: all that a run was asked for, known before anything is done.

    A run that is gone on with does this, whatever command goes on with it.
    """

    schema_version: int = SCHEMA_VERSION
    goal: Goal
    seed: int
    method: str
    overrides: str | None = None
    """The file that goes before the catalogue's prices."""
    to_measure: Campaign
    profiles_given: bool = False
    """Whether it was measured before; the run has the profiles then."""
    scenario: ResolvedScenario | None = None
    sweep: Sweep | None = None
    session: Session | None = None
    """Of a validation."""
    asking: Asking | None = None
    """Of an observation."""

    @property
    def name(self) -> str:
        return self.to_measure.name

    @property
    def simulated(self) -> ResolvedScenario:
        """The scenario of a run that does more than measure."""
        if self.scenario is None:
            raise InputError("this run only measures, and has no scenario to simulate")
        return self.scenario

    @property
    def catalogue(self) -> Catalogue:
        return Catalogue(overrides=Path(self.overrides) if self.overrides else None)


def order(
    goal: Goal,
    path: Path,
    settings: Settings,
    *,
    profiles_given: bool = False,
    session: Session | None = None,
) -> Order:
    """Everything that ``path`` and the command line ask for.

    Raises:
        InputError: it cannot be done.
    """
    if goal == "measure":
        scenario, sweep, to_measure = None, None, prepare_measurement(path, settings)
    else:
        scenario = prepare(path, settings)
        looks_around = goal in ("run", "simulate") and settings.recording is None
        sweep = prepare_sweep(path, settings, scenario) if looks_around else None
        to_measure = scenario.to_measure
    return Order(
        goal=goal,
        seed=settings.seed,
        method=settings.method,
        overrides=str(settings.overrides.resolve()) if settings.overrides else None,
        to_measure=to_measure,
        profiles_given=profiles_given,
        scenario=scenario,
        sweep=sweep,
        session=session and scenario and checked(scenario, session),
    )


def prepare(path: Path, settings: Settings) -> ResolvedScenario:
    """Read and resolve a scenario.

    Raises:
        InputError: the scenario cannot be used.
    """
    scenario, source = read_scenario(path)
    changed = scenario.model_copy(update=_changes(scenario, settings))
    found = resolve(changed, source, settings.catalogue, find_extensions())
    return only(found, settings.deployment)


def prepare_sweep(path: Path, settings: Settings, base: ResolvedScenario) -> Sweep | None:
    """The sweep of a scenario, if it has one.

    Raises:
        InputError: a point cannot be used, or needs another measurement.
    """
    scenario, source = read_scenario(path)
    measured = {arm.name for arm in base.distinct_arms}

    def check(point: ResolvedScenario) -> None:
        new = sorted({arm.name for arm in point.distinct_arms} - measured)
        same = point.scenario.task == base.scenario.task
        if new or not same or point.scenario.measure != base.scenario.measure:
            raise InputError(
                f"the sweep changes what is measured: {', '.join(new) or 'the task or how much'}",
                where=source.where(("sweep",)),
                allowed="fields of the workload, the objective, and deployments but for backend, "
                "device and task",
                todo="Write a deployment for it",
            )

    return sweep_of(scenario, source, settings.catalogue, resolver(settings), check)


def resolver(settings: Settings) -> Callable[[Scenario, Source, Catalogue], ResolvedScenario]:
    """Resolves scenarios as the command line changes them, which is in what is measured only."""
    found = find_extensions()

    def resolve_one(scenario: Scenario, source: Source, catalogue: Catalogue) -> ResolvedScenario:
        changed = scenario.model_copy(update=_changes(scenario, settings))
        return resolve(changed, source, catalogue, found)

    return resolve_one


def prepare_measurement(path: Path, settings: Settings) -> Campaign:
    """What a scenario or a suite asks to be measured, on the chosen backends and devices.

    Raises:
        InputError: the file cannot be used, or nothing in it is chosen.
    """
    suite = read_suite(path)
    if suite is None:
        whole = prepare(path, settings)
        campaign = whole.to_measure
        if not campaign.arms:  # the pipeline says so of each
            campaign = campaign.model_copy(update={"arms": whole.distinct_arms})
    else:
        changed = suite[0].model_copy(update=_changes(suite[0], settings))
        campaign = resolve_suite(changed, suite[1], settings.catalogue, find_extensions())
    chosen = [
        arm
        for arm in campaign.arms
        if (not settings.backends or arm.backend.name in settings.backends)
        and (not settings.devices or arm.device.name in settings.devices)
    ]
    if not chosen:
        raise InputError(
            "no arm of the scenario matches --backend and --device",
            allowed=", ".join(arm.name for arm in campaign.arms),
        )
    return campaign.model_copy(update={"arms": chosen})


def _changes(asked: Scenario | Suite, settings: Settings) -> dict[str, object]:
    """What the command line changes about a scenario."""
    changes: dict[str, object] = {}
    if settings.budget:
        changes["measure"] = asked.measure.model_copy(update={"budget": settings.budget})
    if settings.input is not None:
        _require_utf8(settings.input)
        options = {**asked.task.options, "input": str(settings.input.resolve())}
        changes["task"] = Choice.model_validate({"name": asked.task.name, **options})
    if settings.recording is not None and isinstance(asked, Scenario):
        changes |= replaying(asked, settings.recording)
    return changes


def _require_utf8(folder: Path) -> None:
    try:
        str(folder.resolve()).encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"the folder's name is not UTF-8: {folder}", where="--input", todo="Rename it"
        ) from error


def find_extensions() -> Extensions:
    """Every extension folder: the names in it, and how to get the options of one."""

    def options_of(folder: str) -> Callable[[str], type[Record]]:
        def options(name: str) -> type[Record]:
            found: type[Record] = extensions.load(folder, name).Options
            return found

        return options

    return {role: (extensions.names(folder), options_of(folder)) for role, folder in ROLES.items()}
