"""Where the sizes of requests come from: one file each.

Each file has ``Options`` and ``distribution(options) -> Distribution``. Sizes are in the task's own
unit: pixels of width, seconds of sound, word pieces.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

CONTRACT = ("Options", "distribution")
Floats = npt.NDArray[np.float64]
POINTS = 1 << 14
"""At which a mean over all shares is taken."""
LARGEST_SHARE = 1.0 - 2.0**-53
"""No uniform number that is drawn is larger."""


@dataclass(frozen=True)
class Distribution:
    """How large requests are."""

    quantile: Callable[[Floats], Floats]
    """Shares in [0, 1) → sizes that so large a share of the requests does not exceed."""
    mean: float
    least: float
    """No request is smaller, …"""
    most: float
    """… and none that is drawn is larger."""

    def draw(self, count: int, rng: np.random.Generator) -> Floats:
        """Sizes of ``count`` requests, one uniform number each."""
        return self.quantile(rng.random(count))

    def largest_of(self, count: int) -> float:
        """The largest of so many requests, on average: ∫ Q(u^(1/count)) du."""
        if count == 1:
            return self.mean
        return float(self.quantile(midpoints() ** (1.0 / count)).mean())


def midpoints() -> Floats:
    """Shares evenly spread over (0, 1)."""
    found: Floats = (np.arange(POINTS) + 0.5) / POINTS
    return found


def listed(values: list[float], weights: list[float] | None = None) -> Distribution:
    """Values that occur as often as they weigh; all alike by default."""
    order = np.argsort(values, kind="stable")
    sizes = np.asarray(values, float)[order]
    shares = np.ones(len(sizes)) if weights is None else np.asarray(weights, float)[order]
    edges = np.cumsum(shares) / shares.sum()

    def quantile(share: Floats) -> Floats:
        place = np.searchsorted(edges, share, side="right")
        found: Floats = sizes[np.minimum(place, len(sizes) - 1)]
        return found

    seen = sizes[shares > 0]
    mean = float(sizes @ shares / shares.sum())
    return Distribution(quantile, mean, float(seen.min()), float(seen.max()))
