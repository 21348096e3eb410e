"""Request by request against Ciw, an independent simulator of queueing networks.

Both get the same arrivals and the same service times (``Sequential``), so that they must agree to
rounding: a network of link, servers and link, with server schedules, and with failures that take
servers away in mid-service.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import simpy

from bench.requests import Requests
from bench.simulate import fast, reference
from bench.simulate.moments import control_at
from bench.simulate.plane import Link, PoolSpec
from bench.simulate.service import ServiceTimes
from bench.ticks import tick_array, ticks
from tests.queues import NO_BATCHES

pytestmark = pytest.mark.slow

ciw = pytest.importorskip("ciw", reason='needs pip install "inference-testbed[dev]"')

COUNT, LINK_S = 600, 0.05
ALWAYS = [(4, 1e9)]


def workload(seed: int) -> tuple[Any, Any]:
    """Arrival times, and a service time for each request, at a load of about 0.8 of 4 servers."""
    rng = np.random.default_rng(seed)
    return np.cumsum(rng.exponential(0.3, COUNT)), rng.lognormal(-0.3, 0.7, COUNT)


def by_ciw(
    arrivals: Any, service: Any, schedule: list[tuple[int, float]], preempt: Any
) -> list[float]:
    """When each request leaves the second link.

    Args:
        schedule: numbers of servers, and until when.
        preempt: what becomes of a service when its server is taken away.
    """
    gaps = np.diff(np.concatenate([[0.0], arrivals])).tolist()
    never = [1e12]
    numbers, dates = [n for n, _ in schedule], [until for _, until in schedule]
    network = ciw.create_network(
        arrival_distributions=[ciw.dists.Sequential(gaps + never), None, None],
        service_distributions=[
            ciw.dists.Deterministic(LINK_S),
            ciw.dists.Sequential([*service.tolist(), *never]),
            ciw.dists.Deterministic(LINK_S),
        ],
        number_of_servers=[
            1,
            ciw.Schedule(numbers_of_servers=numbers, shift_end_dates=dates, preemption=preempt),
            1,
        ],
        routing=[[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]],
    )
    simulation = ciw.Simulation(network)
    simulation.simulate_until_max_time(arrivals[-1] + 1000)
    records = simulation.get_all_records()
    left = {r.id_number: r.exit_date for r in records if r.node == 3}
    return [left[number] for number in sorted(left)]


def by_us(arrivals: Any, service: Any, script: list[tuple[float, str, int]], method: Any) -> Any:
    """The same, with control actions at given times."""
    env = simpy.Environment(0)
    left = np.zeros(COUNT)

    def note(answers: Any) -> None:
        left[answers["number"]] = answers["finished"] / 1e9

    # One value for each request: the luck of request k picks the k-th.
    plan = PoolSpec(
        NO_BATCHES, ServiceTimes.of({1: service.tolist()}), 12,
        uplink=Link(ticks(LINK_S)), downlink=Link(ticks(LINK_S)),
    )  # fmt: skip
    time, none = tick_array(arrivals), np.zeros(COUNT, np.int64)
    requests = Requests(
        np.arange(COUNT), time, time, np.zeros(COUNT, np.int32), (np.arange(COUNT) + 0.5) / COUNT,
        np.zeros(0), none, none,
    )  # fmt: skip
    pool = method.Pool(env, plan, iter([requests]), note)
    for at, what, server in script:
        control_at(env, ticks(at), lambda w=what, s=server: getattr(pool, w)(s))  # type: ignore[misc]
    pool.run(ticks(arrivals[-1] + 900))
    return left


@pytest.mark.parametrize("method", [fast, reference], ids=["fast", "reference"])
def test_a_network_of_links_and_servers(method: Any) -> None:
    arrivals, service = workload(1)
    ours = by_us(arrivals, service, [(0.0, "add", s) for s in range(4)], method)
    np.testing.assert_allclose(ours, by_ciw(arrivals, service, ALWAYS, False), atol=1e-6)


@pytest.mark.parametrize("method", [fast, reference], ids=["fast", "reference"])
def test_a_schedule_that_lets_servers_end_what_they_do(method: Any) -> None:
    arrivals, service = workload(2)
    schedule = [(2, 40.0), (6, 90.0), (3, 1e9)]
    # In Ciw a whole new shift comes, and the old one ends its services beside it.
    shifts = [(0.0, range(2)), (40.0, range(2, 8)), (90.0, range(8, 11))]
    script = [(at, "add", s) for at, shift in shifts for s in shift]
    script += [(40.0, "retire", s) for s in shifts[0][1]]
    script += [(90.0, "retire", s) for s in shifts[1][1]]
    ours = by_us(arrivals, service, script, method)
    np.testing.assert_allclose(ours, by_ciw(arrivals, service, schedule, False), atol=1e-6)


@pytest.mark.parametrize("method", [fast, reference], ids=["fast", "reference"])
def test_failures_in_mid_service_start_it_anew(method: Any) -> None:
    arrivals, service = workload(3)
    schedule, script = [], [(0.0, "add", s) for s in range(4)]
    for failure in range(8):
        down, up = 20.0 * failure + 17.0, 20.0 * failure + 19.5
        schedule += [(4, down), (0, up)]
        script += [(down, "fail", s) for s in range(4)] + [(up, "add", s) for s in range(4)]
    schedule.append((4, 1e9))
    ours = by_us(arrivals, service, script, method)
    np.testing.assert_allclose(ours, by_ciw(arrivals, service, schedule, "restart"), atol=1e-6)
