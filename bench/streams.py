"""Named random streams: one per role, the same for every deployment of a replication.

Deployments thus meet the same requests and the same luck (common random numbers), and their
differences are not noise.
"""

from __future__ import annotations

import zlib

import numpy as np


class Streams:
    """The random streams of one replication."""

    def __init__(self, seed: int, replication: int) -> None:
        self._seed, self._replication = seed, replication

    def get(self, role: str) -> np.random.Generator:
        """A fresh generator for ``role``; the same role gives the same numbers again."""
        key = zlib.crc32(role.encode())
        return np.random.Generator(np.random.PCG64([self._seed, self._replication, key]))
