"""The whole program on one screen: one call per arrow.

scenario → measurement → profile → simulation → cost → comparison → report
"""

from __future__ import annotations

from pathlib import Path

from bench import arrows, days, pages, sweep
from bench.measure import Measurement
from bench.plan import Plan
from bench.prepare import Settings, order
from bench.runner import Arrow, Table, begin, go_on
from bench.store import Run
from bench.validate import Session, Validation, require_up
from bench.work import Notify, Profiles, quiet

_MEASURED = Arrow("measurement.json", arrows.measured)
_COMPARED = (
    _MEASURED,
    Arrow("simulation.json", arrows.simulated),
    Arrow("costs.json", arrows.costed),
    Arrow("comparison.json", arrows.compared),
    Arrow("day.parquet", days.seen),
    Arrow("sweep.parquet", sweep.swept, lambda order: order.sweep is not None),
    Arrow("what_if.json", arrows.varied),
    Arrow("report.html", lambda work: pages.report(work.run, work.notify)),
)
ARROWS: Table = {
    "measure": (_MEASURED,),
    "run": _COMPARED,
    "simulate": _COMPARED,
    "plan": (
        _MEASURED,
        Arrow("plan.json", arrows.planned),
        Arrow("plan.html", lambda work: pages.report_plan(work.run)),
    ),
    "validate": (
        Arrow("observed.json", arrows.observed),
        Arrow("validation.json", arrows.validated),
        Arrow("validation.html", lambda work: pages.report_validation(work.run)),
    ),
    "observe": (Arrow("observed-run.json", arrows.visited),),
}
"""What is done of a run, one arrow after another."""


def run(
    scenario: Path | str, out: Path | str, settings: Settings | None = None, notify: Notify = quiet
) -> Run:
    """Measure, simulate, cost, compare and report one scenario into the folder ``out``.

    Raises:
        InputError: the scenario cannot be used, or ``out`` holds something else.
        MissingRequirement: a backend or a model file is not there.
    """
    settings = settings or Settings()
    return begin(ARROWS, order("run", Path(scenario), settings), Path(out), settings, notify)


def measure_only(
    path: Path, out: Path, settings: Settings, notify: Notify = quiet
) -> tuple[Run, Measurement]:
    """Measure the arms of a scenario or suite, or those of the chosen backends and devices."""
    run = begin(ARROWS, order("measure", path, settings), out, settings, notify)
    return run, run.load("measurement.json", Measurement)


def simulate_into(
    path: Path,
    profiles: Profiles,
    out: Path,
    settings: Settings,
    notify: Notify = quiet,
) -> Run:
    """As :func:`bench.at_once.simulate_only`, into a run folder, with the sweep and the report."""
    asked = order("simulate", path, settings, profiles_given=True)
    return begin(ARROWS, asked, out, settings, notify, profiles)


def plan(
    path: Path, profiles: Profiles | None, out: Path, settings: Settings, notify: Notify = quiet
) -> tuple[Run, Plan]:
    """Search the cheapest deployments that meet a scenario's objective, into a run folder.

    ``profiles``: measured before; without, the scenario's arms are measured now.

    Raises:
        InputError: the scenario cannot be used, or nothing was measured.
    """
    asked = order("plan", path, settings, profiles_given=profiles is not None)
    run = begin(ARROWS, asked, out, settings, notify, profiles)
    return run, run.load("plan.json", Plan)


def validate(
    path: Path, session: Session, out: Path, settings: Settings, notify: Notify = quiet
) -> tuple[Run, Validation]:
    """Hold the simulation of a deployment against its live server, into a run folder.

    Raises:
        InputError: it cannot be served from here.
    """
    asked = order("validate", path, settings, session=session)
    assert asked.session is not None  # noqa: S101
    require_up(asked.simulated, asked.session)
    run = begin(ARROWS, asked, out, settings, notify)
    return run, run.load("validation.json", Validation)


def resume(folder: Path, settings: Settings, notify: Notify = quiet) -> Run:
    """Go on with an incomplete run, to what it was asked for: finished stages are kept.

    ``folder``: the run's name, or ``NAME.incomplete`` where it is built to replace another.
    """
    return go_on(ARROWS, folder, settings, notify)
