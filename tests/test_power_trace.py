"""Energy and mean power from readings, by hand-calculated traces."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.measure.power import Reading
from bench.measure.power._trace import Power, evaluate
from tests.power_readings import card, seconds, steady, width

POINTS = st.lists(
    st.tuples(st.integers(0, 1000), st.integers(0, 500)),
    min_size=2,
    max_size=12,
    unique_by=lambda point: point[0],
).map(sorted)


@given(POINTS, st.fractions(0, 1, max_denominator=97), st.fractions(0, 1, max_denominator=97))
def test_the_trapezoid_is_the_area_whatever_the_window(
    points: list[tuple[int, int]], one: Fraction, other: Fraction
) -> None:
    first, last = points[0][0], points[-1][0]
    start, end = (first + share * (last - first) for share in sorted((one, other)))
    exact = Fraction(0)
    for (t0, w0), (t1, w1) in itertools.pairwise(points):
        a, b = max(Fraction(t0), start), min(Fraction(t1), end)
        if a < b:  # the mean of a straight line is its value in the middle
            middle = w0 + (w1 - w0) * ((a + b) / 2 - t0) / (t1 - t0)
            exact += middle * (b - a)
    at_s, watts = np.array(points, dtype=float).T
    area = Power(at_s, watts).joules(float(start), float(end))
    assert area == pytest.approx(float(exact), rel=1e-9, abs=1e-6)


def test_a_ramp_has_the_area_of_its_triangle_less_the_corners() -> None:
    # 0 W to 10 W in 10 s, between 2 s and 8 s: (2 W + 8 W) / 2 × 6 s.
    curve = Power(np.array([0.0, 10.0]), np.array([0.0, 10.0]))
    assert curve.joules(2.0, 8.0) == pytest.approx(30.0)


@pytest.mark.parametrize(
    ("at_s", "gap_s"),
    [
        ([-1, 1, 3, 4, 7], 3.0),  # the last point lies beyond the end and its gap counts in full
        ([-4, 1, 2, 4, 6], 5.0),  # so does that at the start
        ([2, 4, 6], 2.0),  # nothing before: the start itself bounds the gap
        ([-1, 1, 2], 4.0),  # nothing after
        ([-9, -8], 14.0),
        ([8, 9], 8.0),
    ],
)
def test_the_largest_gap(at_s: list[float], gap_s: float) -> None:
    curve = Power(np.array(at_s, dtype=float), np.zeros(len(at_s)))
    assert curve.largest_gap_s(6.0) == pytest.approx(gap_s)


def test_counter_and_trapezoid_agree_on_the_constructed_card() -> None:
    # 8 s to 14 s: 6 s of 70 W.
    window = evaluate(card(), seconds(8), seconds(14), "counter")
    assert window.counter_j == pytest.approx(420)
    assert window.trapezoid_j == pytest.approx(420)
    assert window.mean_w.value == pytest.approx(70)
    assert (window.source, window.codes) == ("counter", frozenset())
    # 5 s to 11 s holds the step: 1 s of 16 W, 0.1 s of the ramp, 4.9 s of 70 W.
    step = evaluate(card(), seconds(5), seconds(11), "counter")
    assert step.trapezoid_j == pytest.approx(16 + 4.3 + 343)
    assert step.counter_j == pytest.approx(16 + 4.3 + 343)


def test_boundaries_between_readings_are_interpolated() -> None:
    # 5.65 s to 10.95 s: 0.35 s of 16 W, the ramp, 4.85 s of 70 W.
    window = evaluate(card(), seconds(5.65), seconds(10.95), "counter")
    assert window.counter_j == pytest.approx(5.6 + 4.3 + 339.5)
    assert window.trapezoid_j == pytest.approx(5.6 + 4.3 + 339.5)


@pytest.mark.parametrize(("length_s", "refused"), [(4.99, True), (5.0, False)])
def test_a_window_is_5_s_or_more(length_s: float, refused: bool) -> None:
    window = evaluate(steady(50, 6), 0, seconds(length_s), "counter")
    assert (window.mean_w.value is None) == refused
    assert ("window-shorter-than-5-s" in window.codes) == refused
    assert not refused or "4.99 s" in str(window.mean_w.reason)


@pytest.mark.parametrize(("gap_s", "refused"), [(3.0, False), (3.1, True)])
def test_at_most_3_s_are_bridged(gap_s: float, refused: bool) -> None:
    readings = [r for r in steady(50, 10) if not 4e9 < r.at_ns < seconds(4 + gap_s)]
    window = evaluate(readings, 0, seconds(10), "counter")
    assert window.largest_gap_s == pytest.approx(gap_s)
    assert (window.mean_w.value is None) == refused
    assert ("gap-over-3-s" in window.codes) == refused


def test_what_the_readings_leave_uncovered_is_a_gap_and_not_zero() -> None:
    readings = [r for r in steady(50, 10) if seconds(2) <= r.at_ns <= seconds(8)]
    window = evaluate(readings, 0, seconds(10), "counter")
    assert window.largest_gap_s == pytest.approx(2.0)
    assert window.counter_j == pytest.approx(500)


def test_no_reading_is_no_value() -> None:
    for readings in ([], [Reading(0, codes=frozenset({"read-failed"}))], steady(5, 6)[:1]):
        window = evaluate(readings, 0, seconds(6), "counter")
        assert window.mean_w.value is None
        assert "fewer than two" in str(window.mean_w.reason)
        assert window.source == "none"


@pytest.mark.parametrize(("factor", "differs"), [(1.04, False), (1.06, True), (0.94, True)])
def test_counter_and_trapezoid_differ_by_more_than_5_percent(factor: float, differs: bool) -> None:
    readings = steady(50, 10, counter=lambda at_s: 50 * at_s * factor)
    window = evaluate(readings, 0, seconds(10), "counter")
    assert ("counter-and-trapezoid-differ" in window.codes) == differs
    assert window.mean_w.value == pytest.approx(50 * factor)  # a warning; the counter is given


def test_a_counter_that_moves_every_100_ms_is_not_stale() -> None:
    readings = steady(50, 10, every_s=0.02, counter=lambda at_s: 5 * int(at_s * 10 + 1e-9))
    window = evaluate(readings, 0, seconds(10), "counter")
    assert "counter-stale" not in window.codes
    assert window.source == "counter"


@pytest.mark.parametrize(
    ("code", "counter"),
    [
        ("counter-stale", lambda at_s: 50 * min(at_s, 4.0)),
        ("counter-went-back", lambda at_s: 50 * at_s if at_s < 4 else 50 * (at_s - 4)),
    ],
)
def test_a_counter_at_fault_gives_way_to_the_trapezoid(
    code: str, counter: Callable[[float], float]
) -> None:
    window = evaluate(steady(50, 10, counter=counter), 0, seconds(10), "counter")
    assert code in window.codes
    assert window.source == "sampled"
    assert window.mean_w.value == pytest.approx(50)
    assert window.counter_j is None
    alone = evaluate(steady(50, 10, counter=counter, power_read=False), 0, seconds(10), "counter")
    assert alone.mean_w.value is None
    assert code in alone.codes
    assert "no power beside it" in str(alone.mean_w.reason)


def test_a_trapezoid_with_a_hole_is_not_held_against_the_counter() -> None:
    readings = [
        Reading(r.at_ns, r.energy_j, r.power_w if r.at_ns < seconds(2) else None)
        for r in steady(50, 10, counter=lambda at_s: 70 * at_s)
    ]
    window = evaluate(readings, seconds(4), seconds(10), "counter")
    assert (window.trapezoid_j, window.codes) == (None, frozenset())
    assert window.counter_j == pytest.approx(420)


def test_codes_of_readings_outside_the_window_do_not_count() -> None:
    late = [Reading(r.at_ns + seconds(7), codes=frozenset({"throttled-thermal"})) for r in card()]
    readings = steady(50, 6, codes=["averaged-over-1-s"]) + late
    window = evaluate(readings, 0, seconds(6), "sampled")
    assert window.codes == {"averaged-over-1-s"}


def test_few_blocks_give_a_wide_interval_and_one_gives_none() -> None:
    rng = np.random.default_rng(5)

    def noisy(length_s: float, every_s: float) -> list[Reading]:
        times = np.arange(0, length_s + every_s / 2, every_s)
        return [Reading(seconds(t), power_w=rng.normal(100, 10)) for t in times.tolist()]

    many = evaluate(noisy(60, 0.1), 0, seconds(60), "sampled").mean_w
    few = evaluate(noisy(6, 1.0), 0, seconds(6), "sampled").mean_w
    one = evaluate(noisy(5, 2.5), 0, seconds(5), "sampled").mean_w
    assert (many.n, few.n, one.n) == (20, 3, 1)
    assert one.value is not None
    assert one.low is None
    assert "no interval" in str(one.reason)
    assert width(few) > 3 * width(many)


def test_the_interval_holds_the_true_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(6)
    held = 0
    for _ in range(300):
        watts = rng.normal(100, 10, 301)
        readings = [Reading(seconds(n / 10), power_w=w) for n, w in enumerate(watts.tolist())]
        mean = evaluate(readings, 0, seconds(30), "sampled").mean_w
        assert mean.low is not None
        held += mean.low <= 100 <= mean.low + width(mean)
    assert 0.90 <= held / 300 <= 0.99  # of 95 %


def test_a_counter_that_jumps_is_no_power() -> None:
    """30 J a second, and 5,000 J at once: more than a card can have drawn in that time."""
    jumping = steady(30, 10, counter=lambda at_s: 30 * at_s + 5_000 * (at_s > 5), power_read=False)
    window = evaluate(jumping, 0, seconds(10), "counter", most_w=3_000)
    assert window.codes == {"counter-jumped"}
    assert window.mean_w.value is None
    beside = steady(30, 10, counter=lambda at_s: 30 * at_s + 5_000 * (at_s > 5))
    window = evaluate(beside, 0, seconds(10), "counter", most_w=3_000)
    assert window.source == "sampled"
    assert window.codes == {"counter-jumped"}
    assert window.mean_w.value == pytest.approx(30)


def test_a_counter_that_moves_late_does_not_jump() -> None:
    """1,000 W in steps of 100 ms, two of which fall between readings 1 ms apart."""
    at_s = sorted([*np.arange(0, 10, 0.1).tolist(), *np.arange(0.0995, 10, 0.1).tolist()])
    late = [Reading(seconds(at), 1_000 * (at // 0.1) / 10) for at in at_s]
    assert evaluate(late, 0, seconds(9), "counter", most_w=3_000).codes == frozenset()


@pytest.mark.parametrize("odd_w", [-5.0, 80_000.0])
def test_power_that_cannot_be_is_left_out(odd_w: float) -> None:
    readings = [
        replace(r, energy_j=None, power_w=odd_w if n == 40 else 30.0)
        for n, r in enumerate(steady(30, 10))
    ]
    window = evaluate(readings, 0, seconds(10), "sampled", most_w=3_000)
    assert window.mean_w.value == pytest.approx(30)
    assert window.samples == 100
    assert window.codes == {"power-implausible"}
