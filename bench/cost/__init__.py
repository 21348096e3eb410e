"""Offers and simulated usage → an itemised ledger, energy and carbon."""

from bench.cost.embodied import Embodied
from bench.cost.energy import EnergyUse
from bench.cost.ledger import (
    NOT_COMPUTED,
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
    "NOT_COMPUTED",
    "CostedDeployment",
    "Costs",
    "Embodied",
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
