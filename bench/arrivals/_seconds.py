"""Requests whose times are written in whole seconds, and where within them they may have been."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.arrivals import Floats


@dataclass(frozen=True)
class Stamped:
    """Requests by the second of their stamp; those of one second in the order of the file."""

    stamps: Floats
    """Seconds; not decreasing."""
    before: Floats
    """How long before its stamp each arrived."""
    sizes: Floats
    """Of each; or none at all."""
    evenly: bool
    """Whether those of one second are as far from each other as can be, or at random."""

    def placed(self, rng: np.random.Generator) -> tuple[Floats, Floats, npt.NDArray[np.int64]]:
        """Arrivals in the order of time, their sizes, and which of the requests each is.

        A log is written in the order of its stamps, so that those of one second keep the file's. At
        random, they are as those of a Poisson process are, given their number.
        """
        count = len(self.stamps)
        _, first, counts = np.unique(self.stamps, return_index=True, return_counts=True)
        if self.evenly:
            rank = np.arange(count) - np.repeat(first, counts)
            share = (rank + 0.5) / np.repeat(counts, counts)
        else:
            share = rng.random(count)
            share = share[np.lexsort((share, self.stamps))]
        times = self.stamps + share - self.before
        order = np.argsort(times, kind="stable")
        return times[order], self.sizes[order] if len(self.sizes) else self.sizes, order
