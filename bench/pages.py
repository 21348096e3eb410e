"""The pages of a run, from its records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bench.compare import Comparison, WhatIf
from bench.cost import Costs
from bench.errors import InputError
from bench.gather import own_profiles
from bench.lock import owned
from bench.measure import Measurement
from bench.plan import Plan
from bench.prepare import Order
from bench.simulate import Simulation
from bench.store import Run, place_of
from bench.validate import Observation, Validation
from bench.work import ASKED, Notify, quiet, records_of

if TYPE_CHECKING:  # what draws takes half a second to load, and not every run comes to it
    from bench.report import View


def report(run: Run, notify: Notify = quiet) -> View:
    """Build ``report.json`` and ``report.html`` from the records of the run."""
    from bench.report import build_view, render_html

    notify("report", 0, 1, "")
    view = build_view(
        header=run.header,
        scenario=run.load(ASKED, Order).simulated,
        measurement=run.load("measurement.json", Measurement),
        simulation=run.load("simulation.json", Simulation),
        costs=run.load("costs.json", Costs),
        comparison=run.load("comparison.json", Comparison),
        day=run.table("day.parquet") if run.has("day.parquet") else None,
        sweep=run.table("sweep.parquet") if run.has("sweep.parquet") else None,
        what_if=run.load("what_if.json", WhatIf) if run.has("what_if.json") else None,
        profiles=own_profiles(run),
    )
    run.save("report.json", view)
    run.save_text("report.html", render_html(view))
    notify("report", 1, 1, "")
    return view


def report_plan(run: Run) -> Plan:
    """Build ``plan.html`` from the records of a run that planned."""
    from bench.report import render_plan

    found = run.load("plan.json", Plan)
    asked = run.load(ASKED, Order).simulated
    run.save_text("plan.html", render_plan(run.header, asked, found))
    return found


def report_validation(run: Run) -> Validation:
    """Build ``validation.html`` from the records of a run that validated."""
    from bench.report import render_validation

    found = run.load("validation.json", Validation)
    asked = run.load(ASKED, Order).simulated
    run.save_text(
        "validation.html",
        render_validation(run.header, asked, run.load("observed.json", Observation), found),
    )
    return found


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
            with records_of(run):
                report_plan(run)
            return run, run.path / "plan.html"
        if run.has("validation.json"):
            with records_of(run):
                report_validation(run)
            return run, run.path / "validation.html"
        if not run.has("simulation.json"):
            raise InputError(
                "this run has no report", where=str(folder),
                allowed="a run of `bench run`, of `bench plan`, or of `bench simulate --out`",
                todo="Of a measurement, measurement.json is all there is",
            )  # fmt: skip
        with records_of(run):
            report(run)
        return run, run.path / "report.html"
