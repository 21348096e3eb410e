from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as scipy_stats

from bench import stats
from bench.stats import _binomial_quantile, mean_interval, quantile, sample_floor, student


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


def test_early_stopping_floors_are_those_of_loadgen() -> None:
    floors = [stats.early_stopping_floor(over, 0.99) for over in (0, 1, 2, 5, 10, 50)]
    assert floors == [459, 662, 838, 1307, 2010, 6898]


def test_early_stopping_estimate_is_the_largest_order_statistic_allowed() -> None:
    values = np.arange(838.0)
    assert stats.early_stopping_estimate(values[:661], 0.99) is None
    assert stats.early_stopping_estimate(values[:662], 0.99) == 661
    assert stats.early_stopping_estimate(values, 0.99) == 836


def test_intervals_of_queued_latencies_are_wider_and_never_narrower() -> None:
    rng = np.random.default_rng(0)
    alone = rng.exponential(size=4000)
    queued = np.convolve(rng.exponential(size=4199), np.ones(200) / 200, "valid")
    for values, wider in ((alone, False), (queued, True)):
        plain, batched = stats.quantile(values, 0.9), stats.queued_quantile(values, 0.9)
        assert plain.value == batched.value
        assert None not in (plain.low, plain.high, batched.low, batched.high)
        assert batched.low <= plain.low  # type: ignore[operator]
        assert batched.high >= plain.high  # type: ignore[operator]
        assert (batched.low < plain.low) == wider  # type: ignore[operator]


def test_block_means_cover_the_mean_of_a_correlated_sequence() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(200):
        noise = rng.normal(size=2000)
        sequence = np.convolve(noise, np.ones(20) / 20, "valid")
        interval = stats.block_mean(sequence)
        covered += (interval.low or 0) <= 0 <= (interval.high or 0)
    assert covered >= 170


@pytest.mark.parametrize("draws", [4, 12, 50])
def test_where_an_unknown_truth_lies_does_not_depend_on_how_often_it_is_drawn(draws: int) -> None:
    """The truth is one more draw: the interval must hold it 95 times in 100."""
    rng, held, widths = np.random.default_rng(draws), 0, []
    for _ in range(400):
        values = np.exp(rng.normal(1.0, 0.4, draws))
        truth = np.exp(rng.normal(1.0, 0.4))
        interval = stats.draw_interval(values)
        held += (interval.low or 0) <= truth <= (interval.high or 0)
        widths.append(np.log((interval.high or 0) / (interval.low or 1)))
    assert 0.92 <= held / 400 <= 0.98
    assert float(np.median(widths)) > 2 * 1.96 * 0.4 * 0.9


def test_draws_of_which_some_are_zero_are_taken_as_they_are() -> None:
    interval = stats.draw_interval([0.0, 1.0, 2.0])
    assert interval.value == 1.0
    assert interval.low == pytest.approx(1 - 4.30265 * (4 / 3) ** 0.5, abs=1e-4)
    assert stats.interval_of([1.0, 2.0], draws=False) == mean_interval([1.0, 2.0])


def test_quantiles_are_those_of_scipy() -> None:
    freedom, chances = np.arange(1, 120), (0.9, 0.95, 0.99)
    for confidence in chances:
        exact = scipy_stats.t.ppf(0.5 + confidence / 2, freedom)
        assert [student(confidence, int(n)) for n in freedom] == pytest.approx(exact, rel=1e-12)
    for n in (1, 2, 3, 19, 100, 459, 12_345, 2_000_000):
        for q in (0.01, 0.5, 0.9, 0.99, 0.999):
            for share in (0.005, 0.025, 0.975, 0.995):
                exact = scipy_stats.binom.ppf(share, n, q)
                assert _binomial_quantile(share, n, q) == exact, (share, n, q)
