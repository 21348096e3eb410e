"""Offers and simulated usage → an itemised ledger."""

from bench.cost.ledger import CostedDeployment, Costs, Ledger, Line, cost_simulation, usd_per_hour

__all__ = ["CostedDeployment", "Costs", "Ledger", "Line", "cost_simulation", "usd_per_hour"]
