"""The whole program on one screen: one call per arrow.

scenario → measurement → profile → simulation → cost → comparison → report
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd

from bench import __version__, gather
from bench.compare import Comparison, WhatIf, compare, what_if
from bench.cost import Costs, cost_simulation, usd_per_hour
from bench.errors import BenchError, InputError, MissingRequirement, UnknownName
from bench.executor import Executor, here, isolated, opened
from bench.lock import owned
from bench.measure import Measurement, measure_all, missing_backends
from bench.plan import Plan, candidates, search
from bench.prepare import Goal, Order, Settings, order, prepare, resolver
from bench.profile import Profile, build_profile, file_name
from bench.report import View, build_view, render_html, render_plan
from bench.scenario import Asked, Point, ResolvedScenario, require_asked_for
from bench.simulate import (
    BINS,
    Simulation,
    day_table,
    event_trace,
    first_job,
    simulate,
    simulate_all,
)
from bench.store import Header, Journal, Run, place_of

ASKED = "asked.json"
JOURNAL, SWEEPING, SWEPT = "replications.jsonl", "sweep.jsonl", "sweep_rows.jsonl"
POINTS_AT_ONCE = 100
"""Of a sweep, in memory: a resolved scenario takes up to half a megabyte."""

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
    return _begin(order("run", Path(scenario), settings), Path(out), settings, notify)


def measure_only(
    path: Path, out: Path, settings: Settings, notify: Notify = _quiet
) -> tuple[Run, Measurement]:
    """Measure the arms of a scenario or suite, or those of the chosen backends and devices."""
    run = _begin(order("measure", path, settings), out, settings, notify)
    return run, run.load("measurement.json", Measurement)


def simulate_into(
    path: Path,
    profiles: Mapping[str, Profile],
    out: Path,
    settings: Settings,
    notify: Notify = _quiet,
) -> Run:
    """As :func:`simulate_only`, into a run folder, with the sweep and the report."""
    asked = order("simulate", path, settings, profiles_given=True)
    return _begin(asked, out, settings, notify, profiles)


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
    asked = order("plan", path, settings, profiles_given=profiles is not None)
    run = _begin(asked, out, settings, notify, profiles)
    return run, run.load("plan.json", Plan)


def resume(folder: Path, settings: Settings, notify: Notify = _quiet) -> Run:
    """Go on with an incomplete run, to what it was asked for: finished stages are kept.

    ``folder``: the run's name, or ``NAME.incomplete`` where it is built to replace another.
    """
    target = place_of(folder)
    with opened(settings.engine) as workers, owned(target):
        run = Run.unfinished(target)
        asked = _asked_of(run, settings.allow_code)
        return _do(Work(run, asked, settings, workers, notify))


def _asked_of(run: Run, allow_code: Sequence[Path]) -> Order:
    """What an earlier run was asked for; code that it names must be asked for again."""
    asked = run.load(ASKED, Order)
    require_asked_for(asked, allow_code, str(run.path))
    return asked


def _begin(
    asked: Order,
    out: Path,
    settings: Settings,
    notify: Notify,
    profiles: Mapping[str, Profile] | None = None,
) -> Run:
    """A new run: it has all that was asked, and the profiles given, from its first moment."""
    if profiles is None:
        _require_one(asked.to_measure)
    elif asked.scenario is not None:
        gather.require_task(asked.scenario, profiles)
    header = Header(
        scenario=asked.name,
        seed=asked.seed,
        bench_version=__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        command=settings.command,
    )
    given = {f"profiles/{file_name(one.arm)}": one for one in (profiles or {}).values()}
    target = place_of(out)
    with opened(settings.engine) as workers, owned(target):
        run = Run.create(target, header, {ASKED: asked, **given})
        return _do(Work(run, asked, settings, workers, notify))


@contextmanager
def _records_of(run: Run) -> Iterator[None]:
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
        return _known(self.run, self.order)

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


@dataclass(frozen=True)
class Stage:
    """One step of a run. It has been done where the file is that it leaves."""

    leaves: str
    do: Callable[[Work], object]
    asked: Callable[[Order], bool] = lambda order: True


def _do(work: Work) -> Run:
    """What is left of a run."""
    run = work.run
    with _records_of(run):
        for stage in STAGES[work.order.goal]:
            if stage.asked(work.order) and not run.has(stage.leaves):
                stage.do(work)
    work.journal.remove()
    run.finish()
    return run


def _known(run: Run, asked: Order) -> tuple[ResolvedScenario, dict[str, Profile], dict[str, str]]:
    failed = run.load("measurement.json", Measurement).failed
    profiles, unknown = gather.all_profiles(run, asked.simulated, failed)
    usable, excluded = gather.usable(asked.simulated, profiles, unknown)
    return usable, profiles, excluded


def _simulate(work: Work) -> None:
    usable, profiles, _ = work.known
    found = simulate(
        usable, profiles, work.order.seed, work.workers, partial(work.notify, "simulate"),
        work.order.method, work.journal,
    )  # fmt: skip
    work.run.save("simulation.json", found)


def _cost(work: Work) -> None:
    usable, profiles, _ = work.known
    work.run.save("costs.json", cost_simulation(usable, profiles, work.simulation))


def _compare(work: Work) -> None:
    usable, profiles, excluded = work.known
    found = compare(usable, profiles, work.simulation, work.costs, excluded)
    work.run.save("comparison.json", found)


def _day(work: Work) -> None:
    usable, profiles, _ = work.known
    work.run.save_table("day.parquet", day(usable, profiles, work.simulation, work.costs))


def _what_if(work: Work) -> None:
    usable, profiles, _ = work.known
    found = what_if(
        usable, profiles, work.simulation, work.costs, work.comparison,
        lambda others: simulate_all(
            others, profiles, work.order.seed, work.workers, partial(work.notify, "what-if"),
            work.order.method,
        ),
    )  # fmt: skip
    work.run.save("what_if.json", found)


def _plan(work: Work) -> None:
    usable, profiles, _ = work.known
    work.notify("plan", 0, 1, "what other devices would do, from published results")
    runs, everywhere, refused = gather.runs_of(usable, profiles, work.order.catalogue)
    found = search(
        usable, list(candidates(usable, runs, everywhere)), everywhere, work.order.seed,
        work.workers, refused=refused, method=work.order.method,
        notify=partial(work.notify, "plan"),
    )  # fmt: skip
    work.run.save("plan.json", found)


def _sweep(work: Work) -> None:
    """Simulate, cost and compare every point of a sweep, some at once: memory does not grow."""
    assert work.order.sweep is not None  # noqa: S101
    finished = Journal(work.run.path / SWEPT)
    rows: list[dict[str, Any]] = []
    points = enumerate(work.order.sweep.points(resolver(Settings())))
    while some := list(islice(points, POINTS_AT_ONCE)):
        key = str(some[0][0])
        found = finished.get(key)
        if found is None:
            found = _swept(work, some)
            finished.add(key, found)
            Journal(work.run.path / SWEEPING).remove()
        rows += found
    table = pd.DataFrame(rows).astype({"rank": "Int64"})
    work.run.save_table("sweep.parquet", table)
    finished.remove()


def _swept(work: Work, points: Sequence[tuple[int, Point]]) -> list[dict[str, Any]]:
    """One row for each point, with its number, and deployment."""
    _, profiles, excluded = work.known
    scenarios = [point.scenario.without(set(excluded)) for _, point in points]
    first, last = points[0][0], points[-1][0]
    simulations = simulate_all(
        scenarios, profiles, work.order.seed, work.workers,
        lambda done, total, what: work.notify("sweep", done, total, what or f"to point {last + 1}"),
        work.order.method, Journal(work.run.path / SWEEPING), first,
    )  # fmt: skip
    rows = []
    for (number, point), scenario, simulation in zip(points, scenarios, simulations, strict=True):
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
    return rows


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


def trace(
    folder: Path, name: str, start_s: float, length_s: float, allow_code: Sequence[Path] = ()
) -> dict[str, Any]:
    """The events of one deployment of a run, for a trace viewer.

    Raises:
        InputError: no such deployment, or it was not simulated.
    """
    run = Run.open(folder)
    asked = _asked_of(run, allow_code).simulated
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
    with _records_of(run):
        job = first_job(asked, found[name], profiles, simulation.seed, simulation.method)
        return event_trace(job, start_s, length_s)


def _measure(work: Work) -> None:
    """Measure every arm in processes of its own; write records, raw times and profiles."""
    run, asked = work.run, work.order.to_measure
    (run.path / "profiles").mkdir(exist_ok=True)
    if work.order.profiles_given or not asked.arms:
        run.save("measurement.json", Measurement(arms=[], failed=[]))
        return
    isolate = here if work.settings.engine == "inline" else isolated
    notify = partial(work.notify, "measure")
    measurement = measure_all(asked, run, work.order.seed, isolate, notify)
    batches = run.table("batches.parquet")
    for record in measurement.arms:
        profile = build_profile(record, batches, record.task)
        run.save(f"profiles/{file_name(profile.arm)}", profile)


def simulate_only(
    path: Path, profiles: Mapping[str, Profile], settings: Settings, notify: Notify = _quiet
) -> tuple[ResolvedScenario, Simulation, Costs, Comparison]:
    """Simulate, cost and compare a scenario from profiles that were measured before."""
    prepared = prepare(path, settings)
    gather.require_task(prepared, profiles)
    found, unknown = gather.from_elsewhere(prepared, profiles, settings.catalogue)
    known = {**profiles, **found}
    asked, excluded = gather.usable(prepared, known, unknown)
    with opened(settings.engine) as workers:
        simulation = simulate(
            asked, known, settings.seed, workers, partial(notify, "simulate"), settings.method
        )
    costs = cost_simulation(asked, known, simulation)
    return asked, simulation, costs, compare(asked, known, simulation, costs, excluded)


def report(run: Run, notify: Notify = _quiet) -> View:
    """Build ``report.json`` and ``report.html`` from the records of the run."""
    notify("report", 0, 1, "")
    view = build_view(
        header=run.header,
        asked=run.load(ASKED, Order).simulated,
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


def report_again(folder: Path) -> tuple[Run, Path]:
    """Make the page of a complete run anew from its records; the run and the page.

    Raises:
        InputError: the run is incomplete, has no page, or its records cannot be read.
    """
    with owned(place_of(folder)):
        run = Run.open(folder)
        if run.header.status != "complete":
            raise InputError(
                "this run is incomplete",
                where=str(folder),
                todo=f"Finish it: bench run --resume {folder}",
            )
        if run.has("plan.json"):
            with _records_of(run):
                report_plan(run)
            return run, run.path / "plan.html"
        if not run.has("simulation.json"):
            raise InputError(
                "this run has no report", where=str(folder),
                allowed="a run of `bench run`, of `bench plan`, or of `bench simulate --out`",
                todo="Of a measurement, measurement.json is all there is",
            )  # fmt: skip
        with _records_of(run):
            report(run)
        return run, run.path / "report.html"


def report_plan(run: Run) -> Plan:
    """Build ``plan.html`` from the records of a run that planned."""
    found = run.load("plan.json", Plan)
    asked = run.load(ASKED, Order).simulated
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


_MEASURED = Stage("measurement.json", _measure)
_COMPARED = (
    _MEASURED,
    Stage("simulation.json", _simulate),
    Stage("costs.json", _cost),
    Stage("comparison.json", _compare),
    Stage("day.parquet", _day),
    Stage("sweep.parquet", _sweep, lambda order: order.sweep is not None),
    Stage("what_if.json", _what_if),
    Stage("report.html", lambda work: report(work.run, work.notify)),
)
STAGES: Mapping[Goal, Sequence[Stage]] = {
    "measure": (_MEASURED,),
    "run": _COMPARED,
    "simulate": _COMPARED,
    "plan": (
        _MEASURED,
        Stage("plan.json", _plan),
        Stage("plan.html", lambda work: report_plan(work.run)),
    ),
}
"""What is done of a run, one stage after another."""
