"""The whole program on one screen: one call per arrow.

scenario → measurement → profile → simulation → cost → comparison → report
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from bench import __version__, extensions
from bench.compare import Comparison, compare
from bench.cost import Costs, cost_simulation, usd_per_hour
from bench.errors import InputError, MeasurementInvalid, MissingRequirement, UnknownName
from bench.executor import Executor, engine, here, isolated
from bench.hardware import Catalogue
from bench.measure import Measurement, measure_all, missing_backends
from bench.profile import Profile, build_profile, file_name, keep
from bench.record import Record
from bench.report import View, build_view, render_html
from bench.scenario import (
    Asked,
    Extensions,
    Part,
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
from bench.simulate import (
    BINS,
    Simulation,
    day_table,
    event_trace,
    first_job,
    simulate,
    simulate_all,
)
from bench.store import Header, Journal, Run, read_record

Notify = Callable[[str, int, int, str], None]
"""Called with a stage, steps done, steps in all, and what is going on."""

ROLES = {
    "task": "bench.measure.tasks",
    "backend": "bench.measure.backends",
    "arrivals": "bench.arrivals",
    "load": "bench.measure.loads",
    "batching": "bench.simulate.batching",
    "scaling": "bench.simulate.scaling",
}


def _quiet(stage: str, done: int, total: int, what: str = "") -> None:
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
    method: str = "fast"
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
    _require_one(asked.to_measure)
    run = Run.create(Path(out), _header(asked.scenario.name, settings))
    run.save("scenario.json", asked)
    run.save("asked.json", asked.to_measure)
    sweep = prepare_sweep(Path(scenario), settings, asked)
    if sweep is not None:
        run.save("sweep.json", sweep)
    return _continue(run, settings, notify)


def resume(folder: Path, settings: Settings, notify: Notify = _quiet) -> Run:
    """Go on with an incomplete run: finished stages are kept, the rest is done."""
    run = Run.open(folder)
    if run.header.status == "complete":
        raise InputError("this run is complete", where=str(folder), allowed="an incomplete run")
    return _continue(run, settings, notify)


def _continue(run: Run, settings: Settings, notify: Notify) -> Run:
    to_measure, seed = run.load("asked.json", Asked), run.header.seed
    workers = engine(settings.engine)
    if not run.has("measurement.json"):
        measure(to_measure, run, seed, settings, notify)
    if run.has("scenario.json"):
        asked, profiles, excluded = _usable(
            run.load("scenario.json", ResolvedScenario),
            load_profiles(run.path / "profiles"),
            run.load("measurement.json", Measurement),
        )
        simulation = run.obtain(
            "simulation.json",
            Simulation,
            lambda: simulate(
                asked,
                profiles,
                seed,
                workers,
                partial(notify, "simulate"),
                settings.method,
                Journal(run.path / "replications.jsonl"),
            ),
        )
        costs = run.obtain(
            "costs.json", Costs, lambda: cost_simulation(asked, profiles, simulation)
        )
        run.obtain(
            "comparison.json",
            Comparison,
            lambda: compare(asked, profiles, simulation, costs, excluded),
        )
        if not run.has("day.parquet"):
            run.save_table("day.parquet", day(asked, profiles, simulation, costs))
        if run.has("sweep.json") and not run.has("sweep.parquet"):
            sweep(run, profiles, set(excluded), workers, settings.method, notify)
        report(run, notify)
        Journal(run.path / "replications.jsonl").remove()
    run.finish()
    return run


def sweep(
    run: Run,
    profiles: Mapping[str, Profile],
    excluded: set[str],
    workers: Executor,
    method: str,
    notify: Notify = _quiet,
) -> pd.DataFrame:
    """Simulate, cost and compare every point of a sweep; one row for each point and deployment."""
    points = run.load("sweep.json", Sweep).points
    scenarios = [point.scenario.without(excluded) for point in points]
    journal = Journal(run.path / "sweep.jsonl")
    simulations = simulate_all(
        scenarios, profiles, run.header.seed, workers, partial(notify, "sweep"), method, journal
    )
    rows = []
    for number, (point, scenario, simulation) in enumerate(
        zip(points, scenarios, simulations, strict=True)
    ):
        costs = cost_simulation(scenario, profiles, simulation)
        for entry in compare(scenario, profiles, simulation, costs, {}).ranking:
            figures = ("usd_per_million", "p50_s", "p99_s", "slo_attainment", "utilisation")
            rows.append(
                {
                    "point": number,
                    **{path: str(value) for path, value in point.settings.items()},
                    "deployment": entry.deployment,
                    "feasible": entry.feasible,
                    "rank": entry.rank,
                    **{name: getattr(entry, name).value for name in figures},
                    "reasons": "; ".join(entry.reasons),
                }
            )
    table = pd.DataFrame(rows).astype({"rank": "Int64"})
    run.save_table("sweep.parquet", table)
    journal.remove()
    return table


def day(
    asked: ResolvedScenario,
    profiles: Mapping[str, Profile],
    simulation: Simulation,
    costs: Costs,
) -> pd.DataFrame:
    """The first simulated day of every deployment, bin by bin, with what it costs."""
    costed = {c.deployment: c for c in costs.deployments}
    tables = []
    for deployment in asked.scenario.deployments:
        if deployment.name in costed:
            job = first_job(asked, deployment, profiles, simulation.seed, simulation.method)
            table = day_table(job)
            held = table["held"].tolist()
            table["usd_per_hour"] = usd_per_hour(costed[deployment.name], held, BINS)
            tables.append(table)
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def trace(folder: Path, name: str, start_s: float, length_s: float) -> dict[str, Any]:
    """The events of one deployment of a run, for a trace viewer.

    Raises:
        InputError: no such deployment, or it was not simulated.
    """
    run = Run.open(folder)
    asked = run.load("scenario.json", ResolvedScenario)
    simulation = run.load("simulation.json", Simulation)
    found = {d.name: d for d in asked.scenario.deployments}
    if name not in found:
        raise UnknownName("deployment", name, found, where="--deployment")
    result = next((d for d in simulation.deployments if d.deployment == name), None)
    if result is None or not result.replications:
        raise InputError(
            f"{name!r} was not simulated", where=str(folder),
            allowed="a deployment with a latency in the report",
        )  # fmt: skip
    profiles = load_profiles(folder)
    job = first_job(asked, found[name], profiles, simulation.seed, simulation.method)
    return event_trace(job, start_s, length_s)


def _usable(
    asked: ResolvedScenario, profiles: Mapping[str, Profile], measurement: Measurement | None
) -> tuple[ResolvedScenario, Mapping[str, Profile], dict[str, str]]:
    """The deployments whose service times may be believed, and why the others are left out.

    Raises:
        MeasurementInvalid: none is left.
    """
    failed = {arm.arm: arm.error for arm in measurement.failed} if measurement else {}
    excluded = {}
    for deployment in asked.scenario.deployments:
        for arm in asked.arms_of(deployment):
            if arm in failed:
                excluded[deployment.name] = f"{arm} was not measured: {failed[arm]}"
            elif arm in profiles and profiles[arm].status == "invalid":
                excluded[deployment.name] = f"{arm} is INVALID: {profiles[arm].status_reason}"
    if len(excluded) == len(asked.scenario.deployments):
        raise MeasurementInvalid(
            "No deployment is left to compare. " + " ".join(f"{r}." for r in excluded.values())
        )
    return asked.without(set(excluded)), profiles, excluded


def prepare(path: Path, settings: Settings) -> ResolvedScenario:
    """Read and resolve a scenario.

    Raises:
        InputError: the scenario cannot be used.
    """
    scenario, source = read_scenario(path)
    changed = scenario.model_copy(update=_changes(scenario, settings))
    return resolve(changed, source, Catalogue(), find_extensions())


def prepare_sweep(path: Path, settings: Settings, base: ResolvedScenario) -> Sweep | None:
    """The points of a scenario's sweep, if it has one.

    Raises:
        InputError: a point cannot be used, or needs another measurement.
    """
    scenario, source = read_scenario(path)
    catalogue, found = Catalogue(), find_extensions()

    def resolve_one(point: Scenario) -> ResolvedScenario:
        changed = point.model_copy(update=_changes(point, settings))
        return resolve(changed, source, catalogue, found)

    points = sweep_of(scenario, source, resolve_one)
    measured = {arm.name for arm in base.distinct_arms}
    for point in points.points if points else []:
        new = {arm.name for arm in point.scenario.distinct_arms} - measured
        if new:
            raise InputError(
                f"the sweep changes what is measured: {', '.join(sorted(new))}",
                where=source.where(("sweep",)),
                allowed="fields of the workload, the objective, and deployments but for backend, "
                "device and task",
                todo="Write a deployment for it",
            )
    return points


def prepare_measurement(path: Path, settings: Settings) -> Asked:
    """What a scenario or a suite asks to be measured, on the chosen backends and devices.

    Raises:
        InputError: the file cannot be used, or nothing in it is chosen.
    """
    suite = read_suite(path)
    if suite is None:
        asked = prepare(path, settings).to_measure
    else:
        changed = suite[0].model_copy(update=_changes(suite[0], settings))
        asked = resolve_suite(changed, suite[1], Catalogue(), find_extensions())
    chosen = [
        arm
        for arm in asked.arms
        if (not settings.backends or arm.backend.name in settings.backends)
        and (not settings.devices or arm.device.name in settings.devices)
    ]
    if not chosen:
        raise InputError(
            "no arm of the scenario matches --backend and --device",
            allowed=", ".join(arm.name for arm in asked.arms),
        )
    return asked.model_copy(update={"arms": chosen})


def _changes(asked: Scenario | Suite, settings: Settings) -> dict[str, object]:
    """What the command line changes about a scenario."""
    changes: dict[str, object] = {}
    if settings.budget:
        changes["measure"] = asked.measure.model_copy(update={"budget": settings.budget})
    if settings.input is not None:
        options = {**asked.task.options, "input": str(settings.input.resolve())}
        changes["task"] = Part.model_validate({"name": asked.task.name, **options})
    return changes


def measure(
    asked: Asked, run: Run, seed: int, settings: Settings, notify: Notify = _quiet
) -> Measurement:
    """Measure every arm in processes of its own; write records, raw times and profiles."""
    isolate = here if settings.engine == "inline" else isolated
    measurement = measure_all(asked, run, seed, isolate, partial(notify, "measure"))
    batches = run.table("batches.parquet")
    (run.path / "profiles").mkdir(exist_ok=True)
    for record in measurement.arms:
        profile = build_profile(record, batches, record.task)
        run.save(f"profiles/{file_name(profile.arm)}", profile)
    return measurement


def measure_only(
    path: Path, out: Path, settings: Settings, notify: Notify = _quiet
) -> tuple[Run, Measurement]:
    """Measure the arms of a scenario or suite, or those of the chosen backends and devices."""
    asked = prepare_measurement(path, settings)
    _require_one(asked)
    run = Run.create(out, _header(asked.name, settings))
    run.save("asked.json", asked)
    return _continue(run, settings, notify), run.load("measurement.json", Measurement)


def keep_profiles(folder: Path, name: str, device: str | None = None) -> list[Path]:
    """Keep the profiles of a run as those of the device ``name``, for other machines.

    ``device``: only the run's profiles of this device. Returns the files written.

    Raises:
        InputError: there are none, or they cannot be kept.
    """
    found = load_profiles(folder).values()
    chosen = [profile for profile in found if device in (None, profile.device)]
    if not chosen:
        raise UnknownName("device", str(device), {p.device for p in found}, where="--device")
    return keep(chosen, name, Catalogue())


def kept_profiles(path: Path) -> dict[str, Profile]:
    """The kept profiles of the devices that a scenario names, by arm.

    Raises:
        InputError: the scenario cannot be used, or one of its devices has none.
    """
    asked, catalogue, found = prepare(path, Settings()), Catalogue(), {}
    task = Path(asked.scenario.task.name).stem
    for device in sorted({arm.device.name for arm in asked.distinct_arms}):
        if not catalogue.kept(device, task).is_dir():
            raise InputError(
                f"no profiles of {task} on {device} are kept", where=str(catalogue.folder),
                todo="Give those of a run: --profiles RUN",
            )  # fmt: skip
        found.update(load_profiles(catalogue.kept(device, task)))
    return found


def simulate_only(
    path: Path, profiles: Mapping[str, Profile], settings: Settings, notify: Notify = _quiet
) -> tuple[ResolvedScenario, Simulation, Costs, Comparison]:
    """Simulate, cost and compare a scenario from profiles that were measured before."""
    prepared = prepare(path, settings)
    _require_task(prepared, profiles)
    asked, profiles, excluded = _usable(prepared, profiles, None)
    simulation = simulate(
        asked, profiles, settings.seed, engine(settings.engine), partial(notify, "simulate"),
        settings.method,
    )  # fmt: skip
    costs = cost_simulation(asked, profiles, simulation)
    return asked, simulation, costs, compare(asked, profiles, simulation, costs, excluded)


def simulate_into(
    path: Path,
    profiles: Mapping[str, Profile],
    out: Path,
    settings: Settings,
    notify: Notify = _quiet,
) -> Run:
    """As :func:`simulate_only`, into a run folder, with the sweep and the report."""
    asked = prepare(path, settings)
    _require_task(asked, profiles)
    points = prepare_sweep(path, settings, asked)
    run = Run.create(out, _header(asked.scenario.name, settings))
    run.save("scenario.json", asked)
    run.save("asked.json", asked.to_measure)
    if points is not None:
        run.save("sweep.json", points)
    (run.path / "profiles").mkdir(exist_ok=True)
    for profile in profiles.values():
        run.save(f"profiles/{file_name(profile.arm)}", profile)
    # Nothing is measured here; the profiles say where and when they were.
    run.save("measurement.json", Measurement(arms=[], failed=[]))
    return _continue(run, settings, notify)


def report(run: Run, notify: Notify = _quiet) -> View:
    """Build ``report.json`` and ``report.html`` from the records of the run."""
    notify("report", 0, 1, "")
    view = build_view(
        header=run.header,
        asked=run.load("scenario.json", ResolvedScenario),
        measurement=run.load("measurement.json", Measurement),
        simulation=run.load("simulation.json", Simulation),
        costs=run.load("costs.json", Costs),
        comparison=run.load("comparison.json", Comparison),
        day=run.table("day.parquet") if run.has("day.parquet") else None,
        sweep=run.table("sweep.parquet") if run.has("sweep.parquet") else None,
    )
    run.save("report.json", view)
    run.save_text("report.html", render_html(view))
    notify("report", 1, 1, "")
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


def _require_task(asked: ResolvedScenario, profiles: Mapping[str, Profile]) -> None:
    task = asked.scenario.task.name
    for arm in asked.distinct_arms:
        measured = profiles[arm.name].task if arm.name in profiles else task
        if Path(measured).stem != Path(task).stem:
            raise InputError(
                f"the profile of {arm.name} is of another task: {measured}, not {task}",
                where="--profiles",
            )


def _require_one(asked: Asked) -> None:
    """Refuse at once where no arm can run here; one that cannot is reported beside the others."""
    for arm in asked.arms:
        if not arm.device.here:
            raise InputError(
                f"{arm.name} cannot be measured here: {arm.device.name} is another machine",
                todo="`bench simulate` takes the profiles that were kept of it; to measure it, "
                "run `bench measure` there with device: this-host, then `bench keep`",
            )
    missing = missing_backends(asked)
    if len(missing) == len(asked.arms):
        raise MissingRequirement(" ".join(dict.fromkeys(missing.values())))


def _header(name: str, settings: Settings) -> Header:
    return Header(
        scenario=name,
        seed=settings.seed,
        bench_version=__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        command=settings.command,
    )
