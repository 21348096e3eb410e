"""What is told of a run that is done: to people a table and a sentence, to machines one object.

The records it may have say what kind of run it was; their packages are loaded when they are needed.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.console import print_table, say

if TYPE_CHECKING:
    from bench.calibrating import Done
    from bench.compare import Ranked
    from bench.measure import Measurement
    from bench.projecting import Asked
    from bench.store import Run

PAGES = {
    "plan.json": "plan.html",
    "validation.json": "validation.html",
    "observed-run.json": None,
    "gate.json": None,
    "floor.json": None,
}
"""Of a run whose one result is such a record: its page."""
LISTED = 3
"""Deployments that one line names."""


def summary_of(run: Run) -> dict[str, Any]:
    """What ``--json`` prints: the one record, or the figures of ``report.json`` without the curves."""
    for record, page in PAGES.items():
        if run.has(record):
            return {**_content(run, record), **_place(run, page)}
    if not run.has("report.json"):  # a run that only measures
        return {**_content(run, "measurement.json"), **_place(run, None)}
    return {**_of_report(_content(run, "report.json")), **_place(run, "report.html")}


def _place(run: Run, page: str | None) -> dict[str, str]:
    return {"run": str(run.path)} | ({"report": str(run.path / page)} if page else {})


def _content(run: Run, record: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run.path / record).read_text(encoding="utf-8"))
    return found


def _of_report(view: dict[str, Any]) -> dict[str, Any]:
    accuracy = [{"arm": arm["arm"], **row} for arm in view["arms"] for row in arm["accuracy"]]
    return {
        "schema_version": view["schema_version"],
        "scenario": view["header"]["scenario"],
        "seed": view["header"]["seed"],
        "verdict": view["comparison"]["verdict"],
        "objective_met": view["comparison"]["objective_met"],
        "ranking": view["comparison"]["ranking"],
        "excluded": view["comparison"]["excluded"],
        "caveats": view["comparison"]["caveats"],
        "accuracy": accuracy,
        "character_error_rate": next(
            (
                row["value"]
                for row in accuracy
                if row["metric"] == "character_error_rate" and row["group"] == "all"
            ),
            None,
        ),
        "warnings": view["warnings"],
    }


def tell(run: Run) -> None:
    """To people."""
    from bench.compare import Comparison
    from bench.measure import Measurement
    from bench.observe import ObservedRun
    from bench.plan import Plan
    from bench.report.plan_tables import plan_tables
    from bench.report.terminal import ranking_table, validation_table
    from bench.validate import Validation

    if run.has("validation.json"):
        validation = run.load("validation.json", Validation)
        print_table(validation_table(validation))
        say(f"\n{validation.sentence}\nvalidation: {run.path / 'validation.html'}")
        return
    if run.has("gate.json") or run.has("floor.json"):
        tell_gate(run)
        return
    if run.has("observed-run.json"):
        observed = run.load("observed-run.json", ObservedRun)
        say(f"{observed.in_words}\nrows: {run.path / 'observed.parquet'}")
        return
    if run.has("plan.json"):
        found = run.load("plan.json", Plan)
        print_table(plan_tables(found))
        say(f"\n{found.verdict}\nplan: {run.path / 'plan.html'}")
        return
    if not run.has("comparison.json"):
        tell_measurement(run, run.load("measurement.json", Measurement))
        return
    comparison = run.load("comparison.json", Comparison)
    print_table(ranking_table(comparison))
    say(f"\n{comparison.verdict}\nreport: {run.path / 'report.html'}")


def offer_validation(scenario: Path, run: Run) -> None:
    """How a forecast is held against a live server, where there can be one."""
    from bench.prepare import Order
    from bench.validate import first_served
    from bench.work import ASKED

    if name := first_served(run.load(ASKED, Order).simulated):
        command = shlex.join(["bench", "validate", str(scenario), "--deployment", name])
        say(f"is it so? a live server on this machine tells: {command}")


def offer_calibration(run: Run) -> None:
    """What would make projections narrower, where there are some and this machine has no calibration."""
    from bench.hardware import Catalogue
    from bench.measure import calibrations

    entries = [entry for entry in _entries(run) if _is_projected(entry)]
    names = list(dict.fromkeys(entry.deployment for entry in entries))
    if not names or any(one.here for one in calibrations(Catalogue())):
        return
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    which = ", ".join(names[:LISTED]) + more
    say(f"narrower? `bench calibrate`, once on this machine, ties the projections of {which} to it")


def _entries(run: Run) -> Iterator[Ranked]:
    """The deployments that a run has judged."""
    from bench.compare import Comparison
    from bench.plan import Plan

    if run.has("comparison.json"):
        yield from run.load("comparison.json", Comparison).ranking
    if run.has("plan.json"):
        plan = run.load("plan.json", Plan)
        yield from (one.entry for one in (*plan.cheapest, *plan.front, *plan.near_misses))


def _is_projected(entry: Ranked) -> bool:
    return any(origin.provenance == "projected" for origin in entry.origins)


def tell_gate(run: Run) -> None:
    """A verdict with the evidence for it, or what a machine tells from nothing."""
    from bench.gate import Floor, Gated, floor_table, recommended, sentences, table_of

    if run.has("floor.json"):
        floor = run.load("floor.json", Floor)
        print_table(floor_table(floor))
        say(f"\n{recommended(floor)}\nfloor: {run.path / 'floor.json'}")
        return
    gated = run.load("gate.json", Gated)
    print_table(table_of(gated))
    say("\n" + "\n".join([*sentences(gated), f"gate: {run.path}"]))


def tell_trend(folder: Path, run: Run) -> None:
    """Beside the verdict of a gate: what changed over earlier ones, and this."""
    from bench.gate import Gated, trend

    gated = run.load("gate.json", Gated)
    changes = trend(folder, gated.asked.name, gated.environment["cpu"])
    for one in changes:
        at = f" ({one.commit[:12]})" if one.commit else ""
        say(f"history: {one.metric} changed by {one.by:+.1%} for good on {one.since}{at}")
    if not changes:
        say(f"history: no metric changed for good over the gates of {gated.asked.name} in {folder}")


def tell_calibration(done: Done) -> None:
    """The times of each runtime, and where they are kept."""
    from bench.calibrating import held_out
    from bench.report.calibration_table import calibration_table

    for calibration, path in done.kept:
        print_table(calibration_table(calibration))
        off = held_out(calibration)
        if off is not None:
            say(f"each network projected from the others: {off:.0%} off in the median")
        say(
            f"kept: {path}\n" if path else "not kept: there is one from before with more networks\n"
        )
    for runtime, error in done.failed.items():
        say(f"{runtime} was not measured: {error}", err=True)
    if done.busy is not None:
        say(
            f"the machine was busy at the start (load average {done.busy:.2f} a core): its times may "
            "be too long; calibrate again when it is idle",
            err=True,
        )


def tell_projection(found: Asked) -> None:
    """Figures with their intervals, where each is from, and why there are none."""
    from bench.report.figure_table import figure_table

    print_table(figure_table([figure.row for figure in found.figures]))
    for figure in found.figures:
        say(f"–  {figure.figure} on {figure.device}: {figure.source}")
    for device, reason in found.refused.items():
        say(f"–  {device}: {reason}")


def calibration_summary(done: Done) -> dict[str, Any]:
    """What ``--json`` prints of a calibration."""
    from bench.calibrating import held_out

    return {
        "device": done.device,
        "interrupted": done.interrupted,
        "failed": {runtime: str(error) for runtime, error in done.failed.items()},
        "calibrations": [
            {
                **calibration.model_dump(mode="json"),
                "file": str(path) if path else None,
                **({} if (off := held_out(calibration)) is None else {"held_out": off}),
            }
            for calibration, path in done.kept
        ],
    }


def tell_measurement(run: Run, measurement: Measurement) -> None:
    """What was measured."""
    from bench.report.terminal import measurement_table

    print_table(measurement_table(measurement))
    say(f"\nprofiles: {run.path / 'profiles'}")
