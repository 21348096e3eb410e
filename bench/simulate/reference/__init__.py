"""The reference method: every request is a SimPy process. Slow, and plain to read."""

from bench.simulate.reference.fleet import Fleet
from bench.simulate.reference.pool import Pool

__all__ = ["Fleet", "Pool"]
