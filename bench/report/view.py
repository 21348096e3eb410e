"""The view: every figure a report shows. JSON, HTML and terminal all come from it."""

from __future__ import annotations

from bench.compare import Comparison
from bench.cost import Costs
from bench.hardware import Assumptions
from bench.measure import ArmMeasurement, FailedArm, Measurement
from bench.record import SCHEMA_VERSION, Record
from bench.scenario import Objective, ResolvedScenario, Scenario
from bench.simulate import Simulation
from bench.store import Header


class Curve(Record):
    """Quantiles of a deployment's simulated response time at 0, 0.5, …, 100 %."""

    deployment: str
    quantiles_s: list[float | None]


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
) -> View:
    """Gather the records of a run."""
    warnings = [w for arm in measurement.arms for w in arm.warnings]
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
        replications=simulation.replications,
        method=simulation.method,
        warnings=list(dict.fromkeys([*warnings, *stand_ins.values()])),
        scenario=asked.scenario,
        assumptions=asked.assumptions,
    )
