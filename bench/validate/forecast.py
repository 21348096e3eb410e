"""Exactly the requests of a block of load, answered by the simulator with what calibration says."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.observe import Observed
from bench.requests import Answers, Requests
from bench.scenario import EdgePart, Part
from bench.simulate import ServiceTimes, replay
from bench.validate.way import Way


def forecast(
    rows: Observed,
    part: Part,
    service: ServiceTimes,
    replicas: int,
    way: Way,
    away: Sequence[tuple[int, int]],
    rng: np.random.Generator,
) -> Answers:
    """One draw of what would have become of these requests.

    Args:
        away: from when to when the first replica is not there, in nanoseconds from the first request on.
    """
    count = len(rows)
    arrival = rows["arrival"] - rows["arrival"].min()
    own = way.up + way.down  # of the request itself, which it spends on the links
    both = np.maximum(way.drawn(way.rests(arrival), rng) - own, 0.0).astype(np.int64)
    up = both if isinstance(part, EdgePart) else both // 2  # a device is late, and has no way back
    return replay(
        part,
        service,
        replicas,
        Requests(
            number=np.arange(count),
            arrival=arrival,
            time=arrival,
            source=np.zeros(count, np.int32),
            service=rng.random(count),
            choice=rng.random(count),
            up=up,
            down=both - up,
            size=rows["size"].copy(),
        ),
        round(way.up),
        round(way.down),
        away,
    )
