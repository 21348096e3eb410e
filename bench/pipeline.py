"""The whole program on one screen: one call per arrow.

scenario → measurement → profile → simulation → cost → comparison → report
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from bench import __version__, gather
from bench.compare import Comparison, WhatIf, compare, what_if
from bench.cost import Costs, cost_simulation, usd_per_hour
from bench.errors import InputError, MissingRequirement, UnknownName
from bench.executor import Executor, engine, here, isolated
from bench.measure import Measurement, measure_all, missing_backends
from bench.plan import Plan, candidates, search
from bench.prepare import Settings, prepare, prepare_measurement, prepare_sweep
from bench.profile import Profile, build_profile, file_name
from bench.report import View, build_view, render_html, render_plan
from bench.scenario import Asked, ResolvedScenario, Sweep
from bench.simulate import (
    BINS,
    Simulation,
    day_table,
    event_trace,
    first_job,
    simulate,
    simulate_all,
)
from bench.store import Header, Journal, Run

Notify = Callable[[str, int, int, str], None]
"""Called with a stage, steps done, steps in all, and what is going on."""


def _quiet(stage: str, done: int, total: int, what: str = "") -> None:
    return None


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
        asked, profiles, excluded = _known(run)
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
        comparison = run.obtain(
            "comparison.json",
            Comparison,
            lambda: compare(asked, profiles, simulation, costs, excluded),
        )
        if not run.has("day.parquet"):
            run.save_table("day.parquet", day(asked, profiles, simulation, costs))
        if run.has("sweep.json") and not run.has("sweep.parquet"):
            sweep(run, profiles, set(excluded), workers, settings.method, notify)
        run.obtain(
            "what_if.json",
            WhatIf,
            lambda: what_if(
                asked, profiles, simulation, costs, comparison,
                lambda others: simulate_all(
                    others, profiles, seed, workers, partial(notify, "what-if"), simulation.method
                ),
            ),
        )  # fmt: skip
        report(run, notify)
        Journal(run.path / "replications.jsonl").remove()
    run.finish()
    return run


def _known(run: Run) -> tuple[ResolvedScenario, dict[str, Profile], dict[str, str]]:
    """What can be simulated of a run, its profiles, and why the rest is left out."""
    asked = run.load("scenario.json", ResolvedScenario)
    failed = run.load("measurement.json", Measurement).failed
    profiles, unknown = gather.all_profiles(run, asked, failed)
    usable, excluded = gather.usable(asked, profiles, unknown)
    return usable, profiles, excluded


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
    profiles = gather.load_profiles(folder)
    job = first_job(asked, found[name], profiles, simulation.seed, simulation.method)
    return event_trace(job, start_s, length_s)


def measure(
    asked: Asked, run: Run, seed: int, settings: Settings, notify: Notify = _quiet
) -> Measurement:
    """Measure every arm in processes of its own; write records, raw times and profiles."""
    (run.path / "profiles").mkdir(exist_ok=True)
    if not asked.arms:
        nothing = Measurement(arms=[], failed=[])
        run.save("measurement.json", nothing)
        return nothing
    isolate = here if settings.engine == "inline" else isolated
    measurement = measure_all(asked, run, seed, isolate, partial(notify, "measure"))
    batches = run.table("batches.parquet")
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


def simulate_only(
    path: Path, profiles: Mapping[str, Profile], settings: Settings, notify: Notify = _quiet
) -> tuple[ResolvedScenario, Simulation, Costs, Comparison]:
    """Simulate, cost and compare a scenario from profiles that were measured before."""
    prepared = prepare(path, settings)
    gather.require_task(prepared, profiles)
    found, unknown = gather.from_elsewhere(prepared, profiles, settings.catalogue)
    known = {**profiles, **found}
    asked, excluded = gather.usable(prepared, known, unknown)
    simulation = simulate(
        asked, known, settings.seed, engine(settings.engine), partial(notify, "simulate"),
        settings.method,
    )  # fmt: skip
    costs = cost_simulation(asked, known, simulation)
    return asked, simulation, costs, compare(asked, known, simulation, costs, excluded)


def simulate_into(
    path: Path,
    profiles: Mapping[str, Profile],
    out: Path,
    settings: Settings,
    notify: Notify = _quiet,
) -> Run:
    """As :func:`simulate_only`, into a run folder, with the sweep and the report."""
    asked = prepare(path, settings)
    points = prepare_sweep(path, settings, asked)
    run = _with_profiles(asked, profiles, out, settings)
    if points is not None:
        run.save("sweep.json", points)
    return _continue(run, settings, notify)


def plan(
    path: Path,
    profiles: Mapping[str, Profile] | None,
    out: Path,
    settings: Settings,
    notify: Notify = _quiet,
) -> tuple[Run, Plan]:
    """Search the cheapest deployments that meet a scenario's objective, into a run folder.

    ``profiles``: measured before; without, the scenario's arms are measured now.

    Raises:
        InputError: the scenario cannot be used, or nothing was measured.
    """
    asked = prepare(path, settings)
    if profiles is None:
        _require_one(asked.to_measure)
        run = Run.create(out, _header(asked.scenario.name, settings))
        run.save("scenario.json", asked)
        run.save("asked.json", asked.to_measure)
        measure(asked.to_measure, run, settings.seed, settings, notify)
    else:
        run = _with_profiles(asked, profiles, out, settings)
    usable, known, _ = _known(run)
    notify("plan", 0, 1, "what other devices would do, from published results")
    runs, everywhere, refused = gather.runs_of(usable, known, settings.catalogue)
    found = search(
        usable, list(candidates(usable, runs, everywhere)), everywhere, settings.seed,
        engine(settings.engine), refused=refused, method=settings.method,
        notify=partial(notify, "plan"),
    )  # fmt: skip
    run.save("plan.json", found)
    report_plan(run)
    run.finish()
    return run, found


def _with_profiles(
    asked: ResolvedScenario, profiles: Mapping[str, Profile], out: Path, settings: Settings
) -> Run:
    """A new run of which the measurement is done: the profiles say where and when."""
    gather.require_task(asked, profiles)
    run = Run.create(out, _header(asked.scenario.name, settings))
    run.save("scenario.json", asked)
    run.save("asked.json", asked.to_measure)
    (run.path / "profiles").mkdir(exist_ok=True)
    for profile in profiles.values():
        run.save(f"profiles/{file_name(profile.arm)}", profile)
    run.save("measurement.json", Measurement(arms=[], failed=[]))
    return run


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
        what_if=run.load("what_if.json", WhatIf) if run.has("what_if.json") else None,
    )
    run.save("report.json", view)
    run.save_text("report.html", render_html(view))
    notify("report", 1, 1, "")
    return view


def report_plan(run: Run) -> Plan:
    """Build ``plan.html`` from the records of a run that planned."""
    found = run.load("plan.json", Plan)
    asked = run.load("scenario.json", ResolvedScenario)
    run.save_text("plan.html", render_plan(run.header, asked, found))
    return found


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
    if asked.arms and len(missing) == len(asked.arms):
        raise MissingRequirement(" ".join(dict.fromkeys(missing.values())))


def _header(name: str, settings: Settings) -> Header:
    return Header(
        scenario=name,
        seed=settings.seed,
        bench_version=__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        command=settings.command,
    )
