"""The simulator's parts against results that can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import simpy
from hypothesis import given
from hypothesis import strategies as st


from bench.cost.billing import billed_seconds
from bench.hardware import Billing
from bench.profile import Profile
from bench.record import Origin
from bench.scenario import Part
from bench.simulate import Holding


from bench.simulate.scaling import Observed, hpa


GREEDY = {"name": "greedy", "max_batch": 4}


def profile(service_s: dict[int, list[float]]) -> Profile:
    return Profile(
        device="this-host",
        models=[],
        arm="a", task="t", threads=1, status="valid", status_reason="", service_s=service_s,
        steps_s={}, loop_overhead_s=None, load_s=0, first_call_s=0, memory_bytes=0, input_bytes=1,
        output_bytes=1, accuracy={}, power=[], environment={},
        origin=Origin(subject="a", provenance="assumed", source="a test"),
    )  # fmt: skip


def serve(
    arrivals: list[float],
    service_s: dict[int, float],
    batching: dict[str, object],
    servers: int = 1,
) -> list[float]:
    """When each request leaves a station with constant service times."""
    env = simpy.Environment()
    left = [float("nan")] * len(arrivals)

    def done(request: int) -> None:
        left[request] = env.now

    times = profile({size: [seconds] for size, seconds in service_s.items()})
    draws = ServiceTimes(times, np.random.default_rng(0))
    station = Station(env, Policy(Part.model_validate(batching)), draws, done)
    for _ in range(servers):
        station.add_server()

    def door() -> simpy.events.ProcessGenerator:
        for request, time_s in enumerate(arrivals):
            yield env.timeout(time_s - env.now)
            station.arrive(request)

    env.process(door())
    env.run()
    return left


@given(
    gaps=st.lists(st.integers(0, 50), min_size=1, max_size=60),
    service=st.integers(1, 40),
    servers=st.integers(1, 4),
)
def test_one_by_one_is_the_recursion_of_kiefer_and_wolfowitz(
    gaps: list[int], service: int, servers: int
) -> None:
    arrivals = np.cumsum(gaps).astype(float).tolist()
    free = [0.0] * servers
    expected = []
    for time_s in arrivals:
        start = max(time_s, min(free))
        free[free.index(min(free))] = start + service
        expected.append(start + service)
    assert serve(arrivals, {1: service}, {"name": "none"}, servers) == expected


def test_a_greedy_batch_takes_what_waits() -> None:
    # One starts alone; four of the five that came meanwhile go together, the last one alone.
    times = {1: 10.0, 2: 11.0, 3: 12.0, 4: 13.0}
    left = serve([0, 1, 2, 3, 4, 5], times, GREEDY)
    assert left == [10, 23, 23, 23, 23, 33]


def test_a_dynamic_batch_starts_when_full_or_due() -> None:
    batching: dict[str, object] = {"name": "dynamic", "max_batch": 3, "max_wait": 5.0}
    times = {1: 1.0, 2: 1.0, 3: 1.0}
    assert serve([0, 2, 3], times, batching) == [4, 4, 4]  # full at 3
    assert serve([0, 2], times, batching) == [6, 6]  # due at 0 + 5
    assert serve([0, 2, 6], times, batching) == [6, 6, 12]  # the third waits its own five


def test_the_dynamic_policy_is_a_pure_function_of_the_queue() -> None:
    options = dynamic.Options(max_batch=8, max_wait=0.005)
    assert dynamic.decide(options, 8, 1.0, 1.0) == Dispatch(8)
    assert dynamic.decide(options, 11, 1.0, 1.0) == Dispatch(8)
    assert dynamic.decide(options, 3, 1.0, 1.002) == WaitUntil(1.005)
    assert dynamic.decide(options, 3, 1.0, 1.005) == Dispatch(3)


def test_the_mean_wait_of_m_d_1_is_pollaczek_and_khinchine() -> None:
    rng = np.random.default_rng(5)
    load, service, number = 0.6, 1.0, 60_000
    arrivals = np.cumsum(rng.exponential(service / load, number))
    left = np.array(serve(arrivals.tolist(), {1: service}, {"name": "none"}))
    wait = float((left - arrivals - service).mean())
    assert wait == pytest.approx(load * service / (2 * (1 - load)), rel=0.04)


def test_a_retired_server_ends_its_batch_and_takes_no_other() -> None:
    env = simpy.Environment()
    left: dict[int, float] = {}
    station = Station(
        env,
        Policy(Part.model_validate({"name": "none"})),
        ServiceTimes(profile({1: [10.0]}), np.random.default_rng(0)),
        lambda request: left.update({request: env.now}),
    )
    gone: list[tuple[int, float]] = []
    station.on_retired = lambda server: gone.append((server, env.now))
    first = station.add_server()
    station.arrive(0)
    station.arrive(1)
    second = station.add_server()
    station.arrive(2)
    station.retire(first)
    env.run()
    assert left == {0: 10, 1: 10, 2: 20}
    assert gone == [(first, 10)]
    station.retire(second)
    assert gone[-1] == (second, 20)


def test_hpa_follows_its_formula_within_its_tolerance() -> None:
    options = hpa.Options(min_replicas=1, max_replicas=10, target=0.5)
    up: list[tuple[float, int]] = []
    assert hpa.desired(options, Observed(0, 4, 0.9, 0), up) == 8  # ceil(4 · 0.9 / 0.5)
    assert hpa.desired(options, Observed(15, 8, 0.54, 0), up) == 8  # within 10 % of the target
    assert hpa.desired(options, Observed(30, 8, 0.99, 0), up) == 10  # no more than the maximum


def test_hpa_waits_before_it_scales_down() -> None:
    options = hpa.Options(min_replicas=1, max_replicas=10, target=0.5, down_stabilisation=60)
    history: list[tuple[float, int]] = []
    wishes = [
        hpa.desired(options, Observed(at, 8, busy, 0), history)
        for at, busy in [(0, 0.5), (15, 0.1), (30, 0.2), (60, 0.1), (75, 0.1), (91, 0.1)]
    ]
    # The wish of 8 from t = 0 holds until it is older than 60 s; then the 4 of t = 30 does.
    assert wishes == [8, 8, 8, 8, 4, 2]


def test_a_link_sends_one_message_after_the_other() -> None:
    sent = np.array([0.0, 0.1, 5.0])
    # 1,000 bytes at 8,000 bit/s take a second; 20 ms of propagation come on top.
    arrived = deliver(sent, 1000, 8000, np.full(3, 0.02))
    np.testing.assert_allclose(arrived, [1.02, 2.02, 6.02])


def test_periodic_sources_keep_their_period_and_poisson_its_rate() -> None:
    rng = np.random.default_rng(2)
    times, source = periodic.draw(periodic.Options(period=10.0), 3, 1000, rng)
    for which in range(3):
        np.testing.assert_allclose(np.diff(times[source == which]), 10)
    assert (np.diff(times) >= 0).all()
    times, source = poisson.draw(poisson.Options(rate=2.0), 5, 10_000, rng)
    assert len(times) == pytest.approx(100_000, rel=0.02)
    gaps = np.diff(times)
    assert gaps.std() / gaps.mean() == pytest.approx(1, rel=0.02)
    assert np.bincount(source) == pytest.approx([20_000] * 5, rel=0.05)


@pytest.mark.parametrize(
    ("held", "granularity", "minimum", "billed"),
    [(1, 3600, 3600, 3600), (3600, 3600, 3600, 3600), (3601, 3600, 0, 7200),
     (10, 1, 60, 60), (61.2, 1, 60, 62), (0, 1, 0, 0)],
)  # fmt: skip
def test_billing_rounds_each_holding_up(
    held: float, granularity: float, minimum: float, billed: float
) -> None:
    rule = Billing(granularity=granularity, minimum=minimum)
    holding = Holding(start_s=100, end_s=100 + held)
    assert billed_seconds([holding], rule) == billed
    assert billed_seconds([holding, holding], rule) == 2 * billed
