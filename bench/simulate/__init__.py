"""Simulated days of requests against a deployment, from measured service times."""

from bench.simulate.day import BINS, day_table, event_trace
from bench.simulate.results import (
    DeploymentResult,
    Holding,
    OtherWork,
    Replication,
    Simulation,
    Usage,
)
from bench.simulate.run import METHODS, first_job, simulate, simulate_all

__all__ = [
    "BINS",
    "METHODS",
    "DeploymentResult",
    "Holding",
    "OtherWork",
    "Replication",
    "Simulation",
    "Usage",
    "day_table",
    "event_trace",
    "first_job",
    "simulate",
    "simulate_all",
]
