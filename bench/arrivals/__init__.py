"""Arrival processes: one file each.

Each file has ``Options``, ``mean_rate(options)`` (requests/s of one source) and
``draw(options, sources, length_s, rng)``, which returns the arrival times in seconds from the
start, sorted, and the source (0…) of each.
"""

import numpy as np
import numpy.typing as npt

Arrivals = tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]
"""Times in seconds, and the source of each."""
