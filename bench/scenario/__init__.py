"""What is asked: a task, who asks it when, the objective, and the deployments to compare."""

from bench.scenario.json_schema import json_schema
from bench.scenario.read import read_scenario
from bench.scenario.resolve import Extensions, resolve
from bench.scenario.schema import (
    BUDGET_NAMES,
    AccuracyLimit,
    Active,
    Arm,
    BatchDeployment,
    Deployment,
    DueTime,
    EdgeDeployment,
    Network,
    Objective,
    Part,
    RealTimeDeployment,
    ResolvedScenario,
    ResponseLimit,
    Scenario,
    StartUp,
    Window,
    Workload,
)

__all__ = [
    "BUDGET_NAMES",
    "AccuracyLimit",
    "Active",
    "Arm",
    "BatchDeployment",
    "Deployment",
    "DueTime",
    "EdgeDeployment",
    "Extensions",
    "Network",
    "Objective",
    "Part",
    "RealTimeDeployment",
    "ResolvedScenario",
    "ResponseLimit",
    "Scenario",
    "StartUp",
    "Window",
    "Workload",
    "json_schema",
    "read_scenario",
    "resolve",
]
