"""Named random streams: one per role, the same for every deployment of a replication.

Deployments thus meet the same requests and the same luck (common random numbers), and their
differences are not noise.
"""

from __future__ import annotations

import zlib

import numpy as np
import numpy.typing as npt


class Streams:
    """The random streams of one replication."""

    def __init__(self, seed: int, replication: int, owner: str = "") -> None:
        self._seed, self._replication, self._owner = seed, replication, owner

    def of(self, owner: str) -> Streams:
        """Others for the same roles: what happens to one has nothing to do with another."""
        return Streams(self._seed, self._replication, f" of {owner}")

    @property
    def shared(self) -> Streams:
        """Those that are nobody's own."""
        return Streams(self._seed, self._replication)

    def get(self, role: str) -> np.random.Generator:
        """A fresh generator for ``role``; the same role gives the same numbers again."""
        key = zlib.crc32(f"{role}{self._owner}".encode())
        return np.random.Generator(np.random.PCG64([self._seed, self._replication, key]))

    def luck(self, role: str, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """For each of these numbers a uniform one in (0, 1), in whatever order they are asked for.

        SplitMix64 (Steele, Lea and Flood, OOPSLA 2014) at these places of the sequence that begins
        where the role does.
        """
        begin = self.get(role).integers(0, 1 << 63, dtype=np.uint64)
        state = begin + numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        bits = (state ^ (state >> np.uint64(31))) >> np.uint64(12)
        drawn: npt.NDArray[np.float64] = (bits.astype(np.float64) + 0.5) / 2.0**52
        return drawn
