"""The view: every figure a report shows. JSON, HTML and terminal all come from it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import pandas as pd

from bench.compare import SITE, Comparison, WhatIf
from bench.cost import Costs
from bench.hardware import Assumptions, age_warnings
from bench.measure import ArmMeasurement, FailedArm, Measurement
from bench.record import SCHEMA_VERSION, Record
from bench.scenario import Objective, ResolvedScenario, Scenario
from bench.simulate import Simulation
from bench.store import Header


class Curve(Record):
    """Quantiles of a deployment's simulated response time at 0, 0.5, …, 100 %."""

    deployment: str
    quantiles_s: list[float | None]


class DaySeries(Record):
    """One deployment over the simulated day, bin by bin; ``None`` where nothing was measured."""

    deployment: str
    time_s: list[float]
    arrived_per_s: list[float]
    answered_per_s: list[float]
    failed_per_s: list[float]
    waiting: list[int]
    ready: list[float]
    held: list[float]
    power_w: list[float] | None
    usd_per_hour: list[float]


class SweepRow(Record):
    """One deployment at one point of a sweep."""

    settings: dict[str, str]
    deployment: str
    usd_per_million: float | None
    p99_s: float | None
    slo_attainment: float | None


class SweepView(Record):
    """The cheapest points that meet the objective; all of them are in ``sweep.parquet``."""

    points: int
    feasible: int
    best: list[SweepRow]


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
    day: list[DaySeries]
    """The first replication."""
    sweep: SweepView | None
    what_if: WhatIf | None = None
    replications: int
    method: str
    warnings: list[str]
    scenario: Scenario
    assumptions: Assumptions


def build_view(
    header: Header,
    asked: ResolvedScenario,
    measurement: Measurement,
    simulation: Simulation,
    costs: Costs,
    comparison: Comparison,
    day: pd.DataFrame | None = None,
    sweep: pd.DataFrame | None = None,
    what_if: WhatIf | None = None,
) -> View:
    """Gather the records of a run; ``day`` and ``sweep`` are its tables of these names."""
    warnings = [w for arm in measurement.arms for w in arm.warnings]
    offers = {offer.name: offer for offer in asked.offers.values()}
    # As old as they were on the day of the run: a report that is made again says the same.
    aged = age_warnings(offers, date.fromisoformat(header.created[:10]))
    origins = [origin for entry in comparison.ranking for origin in entry.origins]
    sites = [f"The {SITE} is {o.source}." for o in origins if o.subject == SITE]
    stand_ins = {arm.device.name: arm.device.note for arm in asked.distinct_arms}
    return View(
        header=header,
        title=asked.scenario.title or asked.scenario.name,
        objective=asked.scenario.objective,
        comparison=comparison,
        costs=costs,
        arms=measurement.arms,
        failed=measurement.failed,
        curves=[
            Curve(deployment=d.deployment, quantiles_s=d.response_curve_s)
            for d in simulation.deployments
        ],
        day=[] if day is None or day.empty else list(_day(day)),
        sweep=None if sweep is None else _sweep(sweep),
        what_if=what_if,
        replications=simulation.replications,
        method=simulation.method,
        warnings=list(dict.fromkeys([*warnings, *stand_ins.values(), *sites, *aged])),
        scenario=asked.scenario,
        assumptions=asked.assumptions,
    )


def _day(table: pd.DataFrame) -> Iterator[DaySeries]:
    """Five significant digits: enough for a figure."""
    for name, rows in table.groupby("deployment", sort=False):
        power = rows["power_w"]
        rates = ("arrived_per_s", "answered_per_s", "failed_per_s", "ready", "held", "usd_per_hour")
        yield DaySeries(
            deployment=str(name),
            time_s=rows["time_s"].tolist(),
            waiting=rows["waiting"].tolist(),
            power_w=None if power.isna().any() else [_short(value) for value in power],
            **{column: [_short(value) for value in rows[column]] for column in rates},
        )


def _short(value: float) -> float:
    return float(f"{value:.5g}")


_BEST = 20
_FIGURES = (
    "point", "deployment", "feasible", "rank", "usd_per_million", "p50_s", "p99_s",
    "slo_attainment", "utilisation", "reasons",
)  # fmt: skip


def _sweep(table: pd.DataFrame) -> SweepView:
    paths = [column for column in table.columns if column not in _FIGURES]
    feasible = table[table["feasible"]].sort_values("usd_per_million", kind="stable")
    return SweepView(
        points=int(table["point"].nunique()),
        feasible=int(feasible["point"].nunique()),
        best=[
            SweepRow(
                settings={path: str(row[path]) for path in paths},
                deployment=str(row["deployment"]),
                **{
                    figure: None if pd.isna(row[figure]) else float(row[figure])
                    for figure in ("usd_per_million", "p99_s", "slo_attainment")
                },
            )
            for row in feasible.head(_BEST).to_dict("records")
        ],
    )
