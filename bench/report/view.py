"""The view: every figure a report shows. JSON, HTML and terminal all come from it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import pandas as pd
from pydantic import Field

from bench.compare import SITE, Comparison, SweptRow, WhatIf, rows_of
from bench.cost import Costs
from bench.hardware import Assumptions, age_warnings
from bench.measure import ArmMeasurement, FailedArm, Measurement
from bench.profile import Profile
from bench.record import SCHEMA_VERSION, Record
from bench.report.sizes import SizeLine, size_lines
from bench.report.stages import StageView, stages
from bench.scenario import Objective, ResolvedScenario, Scenario
from bench.simulate import Day, Simulation, days_of
from bench.store import Header

NO_PROFILES: Mapping[str, Profile] = {}


class Curve(Record):
    """Quantiles of a deployment's simulated response time at 0, 0.5, …, 100 %."""

    deployment: str
    quantiles_s: list[float | None]


class SweepView(Record):
    """The cheapest points that meet the objective; all of them are in ``sweep.parquet``."""

    points: int
    feasible: int
    best: list[SweptRow]


class View(Record):
    """All that a report says."""

    schema_version: int = SCHEMA_VERSION
    header: Header
    title: str
    objective: Objective
    comparison: Comparison
    costs: Costs
    arms: list[ArmMeasurement]
    failed: list[FailedArm]
    curves: list[Curve]
    day: list[Day]
    """The first replication."""
    sweep: SweepView | None
    what_if: WhatIf | None = None
    sizes: list[SizeLine] = Field(default=[])
    stages: list[StageView] = Field(default=[])
    replications: int
    method: str
    warnings: list[str]
    scenario: Scenario
    assumptions: Assumptions


def build_view(
    header: Header,
    scenario: ResolvedScenario,
    measurement: Measurement,
    simulation: Simulation,
    costs: Costs,
    comparison: Comparison,
    day: pd.DataFrame | None = None,
    sweep: pd.DataFrame | None = None,
    what_if: WhatIf | None = None,
    profiles: Mapping[str, Profile] = NO_PROFILES,
) -> View:
    """Gather the records of a run; ``day`` and ``sweep`` are its tables of these names, ``profiles``
    those of its arms."""
    warnings = [w for arm in measurement.arms for w in arm.warnings]
    offers = {offer.name: offer for offer in scenario.offers.values()}
    # As old as they were on the day of the run: a report that is made again says the same.
    aged = age_warnings(offers, date.fromisoformat(header.created[:10]))
    origins = [origin for entry in comparison.ranking for origin in entry.origins]
    sites = [f"The {SITE} is {o.source}." for o in origins if o.subject == SITE]
    stand_ins = {arm.device.name: arm.device.note for arm in scenario.distinct_arms}
    return View(
        header=header,
        title=scenario.scenario.title or scenario.scenario.name,
        objective=scenario.scenario.objective,
        comparison=comparison,
        costs=costs,
        arms=measurement.arms,
        failed=measurement.failed,
        curves=[
            Curve(deployment=d.deployment, quantiles_s=d.response_curve_s)
            for d in simulation.deployments
        ],
        day=[] if day is None else [_shorter(one) for one in days_of(day)],
        sweep=None if sweep is None else _sweep(list(rows_of(sweep))),
        what_if=what_if,
        sizes=list(size_lines(profiles.values())),
        stages=list(stages(scenario, simulation, profiles)),
        replications=simulation.replications,
        method=simulation.method,
        warnings=list(dict.fromkeys([*warnings, *stand_ins.values(), *sites, *aged])),
        scenario=scenario.scenario,
        assumptions=scenario.assumptions,
    )


def _shorter(day: Day) -> Day:
    """Five significant digits: enough for a figure."""
    columns = ("arrived_per_s", "answered_per_s", "failed_per_s", "ready", "held", "usd_per_hour")
    short = {column: [_short(value) for value in getattr(day, column)] for column in columns}
    power = day.power_w and [_short(value) for value in day.power_w]
    return day.model_copy(update={**short, "power_w": power})


def _short(value: float) -> float:
    return float(f"{value:.5g}")


_BEST = 20


def _sweep(rows: list[SweptRow]) -> SweepView:
    feasible = [row for row in rows if row.feasible and row.usd_per_million is not None]
    return SweepView(
        points=len({row.point for row in rows}),
        feasible=len({row.point for row in rows if row.feasible}),
        best=sorted(feasible, key=lambda row: row.usd_per_million or 0.0)[:_BEST],
    )
