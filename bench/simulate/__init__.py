"""A simulated day of requests against a deployment, from measured service times."""

from bench.simulate.results import (
    DeploymentResult,
    Holding,
    Replication,
    Simulation,
    Usage,
)
from bench.simulate.run import simulate

__all__ = ["DeploymentResult", "Holding", "Replication", "Simulation", "Usage", "simulate"]
