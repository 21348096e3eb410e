"""The fast method: SimPy acts at control events, compiled code advances requests between them."""

from bench.simulate.fast.fleet import Fleet
from bench.simulate.fast.pool import Pool
from bench.simulate.fast.warm import warm

__all__ = ["Fleet", "Pool", "warm"]
