"""Simulated days of requests against a deployment, from measured service times."""

from bench.simulate.results import (
    DeploymentResult,
    Holding,
    OtherWork,
    Replication,
    Simulation,
    Usage,
)
from bench.simulate.run import METHODS, simulate

__all__ = [
    "METHODS",
    "DeploymentResult",
    "Holding",
    "OtherWork",
    "Replication",
    "Simulation",
    "Usage",
    "simulate",
]
