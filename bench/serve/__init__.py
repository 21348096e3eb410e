"""A deployment of a scenario as a live server: the batching and admission that are simulated, for real.

It begins in :mod:`bench.serve.deployed`. Little is imported here: every replica is a process that imports
this package, and needs no simulator.
"""

from bench.serve.beside import Service, beside
from bench.serve.part import Placed, line_of
from bench.serve.protocol import asking

__all__ = ["Placed", "Service", "asking", "beside", "line_of"]
