"""Offers and simulated usage → an itemised ledger, energy and carbon."""

from bench.cost.energy import EnergyUse
from bench.cost.ledger import (
    CostedDeployment,
    Costs,
    cost_deployment,
    cost_simulation,
    floor_of,
    lines_of,
    usd_per_hour,
    usd_per_million_in,
)
from bench.cost.lines import Ledger, Line

__all__ = [
    "CostedDeployment",
    "Costs",
    "EnergyUse",
    "Ledger",
    "Line",
    "cost_deployment",
    "cost_simulation",
    "floor_of",
    "lines_of",
    "usd_per_hour",
    "usd_per_million_in",
]
