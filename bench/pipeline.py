"""The whole program on one screen: one call per arrow.

scenario → measurement → profile → simulation → cost → comparison → report
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pandas as pd

from bench import __version__, extensions
from bench.compare import Comparison, compare
from bench.cost import Costs, cost_simulation
from bench.errors import InputError, MissingRequirement
from bench.executor import Executor, LocalProcesses, engine
from bench.hardware import Catalogue
from bench.measure import Measurement, measure_arm, plan_arms
from bench.profile import Profile, build_profile, file_name
from bench.record import Record
from bench.report import View, build_view, render_html
from bench.scenario import Extensions, ResolvedScenario, read_scenario, resolve
from bench.simulate import Simulation, simulate
from bench.store import Header, Run, read_record

Notify = Callable[[str, int, int], None]
"""Called with a stage, steps done, and steps in all."""

ROLES = {
    "task": "bench.measure.tasks",
    "backend": "bench.measure.backends",
    "arrivals": "bench.simulate.arrivals",
    "batching": "bench.simulate.batching",
    "scaling": "bench.simulate.scaling",
}


def _quiet(stage: str, done: int, total: int) -> None:
    return None


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
    command: str = "bench run"


def run(
    scenario: Path | str,
    out: Path | str,
    settings: Settings | None = None,
    notify: Notify = _quiet,
) -> Run:
    """Measure, simulate, cost, compare and report one scenario into the folder ``out``.

    Raises:
        InputError: the scenario cannot be used, or ``out`` holds something else.
        MissingRequirement: a backend or a model file is not there.
    """
    settings = settings or Settings()
    asked = prepare(Path(scenario), settings)
    run = Run.create(Path(out), _header(asked, settings))
    run.save("scenario.json", asked)
    return _continue(run, settings, notify)


def resume(folder: Path, settings: Settings, notify: Notify = _quiet) -> Run:
    """Go on with an incomplete run: finished stages are kept, the rest is done."""
    run = Run.open(folder)
    if run.header.status == "complete":
        raise InputError("this run is complete", where=str(folder), allowed="an incomplete run")
    return _continue(run, settings, notify)


def _continue(run: Run, settings: Settings, notify: Notify) -> Run:
    asked, seed = run.load("scenario.json", ResolvedScenario), run.header.seed
    workers = engine(settings.engine)
    if not run.has("measurement.json"):
        measure(asked, run, seed, _fresh(settings.engine), notify)
    profiles = load_profiles(run.path / "profiles")
    simulation = run.obtain(
        "simulation.json",
        Simulation,
        lambda: simulate(asked, profiles, seed, workers, partial(notify, "simulate")),
    )
    costs = run.obtain("costs.json", Costs, lambda: cost_simulation(asked, simulation))
    run.obtain("comparison.json", Comparison, lambda: compare(asked, profiles, simulation, costs))
    report(run, notify)
    run.finish()
    return run


def prepare(path: Path, settings: Settings) -> ResolvedScenario:
    """Read and resolve a scenario, and check that its backends can run here.

    Raises:
        InputError: the scenario cannot be used.
    """
    scenario, source = read_scenario(path)
    if settings.budget:
        plan = scenario.measure.model_copy(update={"budget": settings.budget})
        scenario = scenario.model_copy(update={"measure": plan})
    if settings.input is not None:
        options = {**scenario.task.options, "input": str(settings.input.resolve())}
        task = scenario.task.model_validate({"name": scenario.task.name, **options})
        scenario = scenario.model_copy(update={"task": task})
    return resolve(scenario, source, Catalogue(), find_extensions())


def measure(
    asked: ResolvedScenario,
    run: Run,
    seed: int,
    executor: Executor,
    notify: Notify = _quiet,
    keep: Callable[[str], bool] = lambda arm: True,
) -> Measurement:
    """Measure every arm in a process of its own; write records, raw times and profiles."""
    requests = [request for request in plan_arms(asked, seed) if keep(request.arm.name)]
    for request in requests:
        _require(request.arm.backend.name)
    notify("measure", 0, len(requests))
    measured = executor.map(
        measure_arm, requests, lambda done: notify("measure", done, len(requests))
    )
    batches = pd.concat([pd.DataFrame(b) for _, b, _ in measured], ignore_index=True)
    queries = pd.concat([pd.DataFrame(q) for _, _, q in measured], ignore_index=True)
    measurement = Measurement(arms=[record for record, _, _ in measured])
    run.save_table("batches.parquet", batches)
    run.save_table("requests.parquet", queries)
    (run.path / "profiles").mkdir(exist_ok=True)
    for record in measurement.arms:
        profile = build_profile(record, batches, asked.scenario.task.name)
        run.save(f"profiles/{file_name(profile.arm)}", profile)
    run.save("measurement.json", measurement)
    return measurement


def measure_only(
    path: Path, out: Path, settings: Settings, notify: Notify = _quiet
) -> tuple[Run, Measurement]:
    """Measure the arms of a scenario, or those of the chosen backends and devices."""
    asked = prepare(path, settings)

    def keep(arm: str) -> bool:
        backend, _, device = arm.partition("@")
        backend = backend.partition(",")[0]
        return (not settings.backends or backend in settings.backends) and (
            not settings.devices or device in settings.devices
        )

    if not any(keep(arm.name) for arm in asked.distinct_arms):
        raise InputError(
            "no arm of the scenario matches --backend and --device",
            allowed=", ".join(arm.name for arm in asked.distinct_arms),
        )
    run = Run.create(out, _header(asked, settings))
    run.save("scenario.json", asked)
    measurement = measure(asked, run, settings.seed, _fresh(settings.engine), notify, keep)
    run.finish()
    return run, measurement


def simulate_only(
    path: Path, profiles: Mapping[str, Profile], settings: Settings, notify: Notify = _quiet
) -> tuple[ResolvedScenario, Simulation, Costs, Comparison]:
    """Simulate, cost and compare a scenario from profiles that were measured before."""
    asked = prepare(path, settings)
    simulation = simulate(
        asked, profiles, settings.seed, engine(settings.engine), partial(notify, "simulate")
    )
    costs = cost_simulation(asked, simulation)
    return asked, simulation, costs, compare(asked, profiles, simulation, costs)


def report(run: Run, notify: Notify = _quiet) -> View:
    """Build ``report.json`` and ``report.html`` from the records of the run."""
    notify("report", 0, 1)
    view = build_view(
        header=run.header,
        asked=run.load("scenario.json", ResolvedScenario),
        measurement=run.load("measurement.json", Measurement),
        simulation=run.load("simulation.json", Simulation),
        costs=run.load("costs.json", Costs),
        comparison=run.load("comparison.json", Comparison),
    )
    run.save("report.json", view)
    run.save_text("report.html", render_html(view))
    notify("report", 1, 1)
    return view


def load_profiles(folder: Path) -> dict[str, Profile]:
    """The profiles in ``folder`` (or in the ``profiles`` folder of a run), by arm.

    Raises:
        InputError: there are none, or one cannot be read.
    """
    inner = folder / "profiles"
    found = sorted((inner if inner.is_dir() else folder).glob("*.json"))
    if not found:
        raise InputError(
            "no profile found",
            where=str(folder),
            allowed="a folder of profiles, or a run with one, as `bench measure` writes it",
        )
    profiles = [read_record(path, Profile) for path in found]
    return {profile.arm: profile for profile in profiles}


def find_extensions() -> Extensions:
    """Every extension folder: the names in it, and how to get the options of one."""

    def options_of(folder: str) -> Callable[[str], type[Record]]:
        def options(name: str) -> type[Record]:
            found: type[Record] = extensions.load(folder, name).Options
            return found

        return options

    return {role: (extensions.names(folder), options_of(folder)) for role, folder in ROLES.items()}


def _require(backend: str) -> None:
    reason = extensions.load(ROLES["backend"], backend).missing()
    if reason:
        raise MissingRequirement(f"The backend {backend!r} cannot run here: it needs {reason}.")


def _fresh(name: str) -> Executor:
    """Measurements run on this machine, one arm at a time, each in a new process."""
    return engine(name) if name == "inline" else LocalProcesses(1, fresh=True)


def _header(asked: ResolvedScenario, settings: Settings) -> Header:
    return Header(
        scenario=asked.scenario.name,
        seed=settings.seed,
        bench_version=__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        command=settings.command,
    )
