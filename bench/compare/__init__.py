"""Which deployments keep the objective, which is the cheapest, and whether that can be told."""

from bench.compare.comparison import Comparison, Ranked, compare

__all__ = ["Comparison", "Ranked", "compare"]
