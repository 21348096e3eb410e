from __future__ import annotations

import numpy as np
import pytest

from bench.stats import mean_interval, quantile, sample_floor


@pytest.mark.parametrize(
    ("q", "floor"), [(0.5, 11), (0.9, 64), (0.95, 130), (0.99, 662), (0.999, 6636)]
)
def test_percentile_floors(q: float, floor: int) -> None:
    assert sample_floor(q) == floor
    assert quantile(np.arange(floor - 1), q).value is None
    assert quantile(np.arange(floor), q).value is not None


def test_quantile_intervals_cover() -> None:
    rng = np.random.default_rng(1)
    hits = sum(
        e.low <= np.log(10) <= e.high
        for e in (quantile(rng.exponential(size=200), 0.9) for _ in range(400))
        if e.low is not None and e.high is not None
    )
    assert hits / 400 > 0.92


def test_intervals_by_hand() -> None:
    estimate = mean_interval([1.0, 2.0, 3.0])
    assert estimate.value == 2.0
    assert estimate.low == pytest.approx(2 - 4.30265 / 3**0.5, abs=1e-4)
    assert mean_interval([5.0]).low is None
