"""The simulator's parts against results that can be worked out by hand, and whole deployments."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.batching import FOREVER, Rule, adaptive, constant, deadline, decide, dynamic, fixed
from bench.cost.billing import billed_seconds
from bench.errors import InputError
from bench.hardware import Billing
from bench.profile import Profile
from bench.record import Origin
from bench.requests import ANSWER, Requests
from bench.scenario import (
    BatchDeployment,
    EdgeDeployment,
    HybridDeployment,
    Objective,
    RealTimeDeployment,
    ResponseLimit,
    SimulateOptions,
    Spread,
    Workload,
)
from bench.simulate import Holding, cloud, fast, reference
from bench.simulate.control import Breakdowns, Replicas, StartTimes
from bench.simulate.durations import drawn
from bench.simulate.fast.link import cross
from bench.simulate.plane import Link, PoolSpec, Windows, WindowsOfEach
from bench.simulate.run import Job, play_replication
from bench.simulate.scaling import Observed, hpa, queue, scale_to_zero, schedule
from bench.simulate.service import ServiceTimes, correlation_length, service_times
from bench.simulate.tally import EXACT, RELATIVE_ERROR, Tally
from bench.stats import mser5
from bench.streams import Streams
from bench.ticks import ticks
from tests.queues import NO_BATCHES, SLO, plain, poisson

METHODS = [fast, reference]


def profile(service_s: dict[int, list[float]], **changes: Any) -> Profile:
    fields: dict[str, Any] = {
        "device": "this-host", "models": [], "arm": "a", "task": "t", "threads": 1,
        "status": "valid", "status_reason": "", "service_s": service_s, "steps_s": {},
        "loop_overhead_s": None, "load_s": 0, "first_call_s": 0, "memory_bytes": 0,
        "input_bytes": 1, "output_bytes": 1, "accuracy": {}, "power": [], "environment": {},
        "origin": Origin(subject="a", provenance="assumed", source="a test"),
    }  # fmt: skip
    return Profile(**(fields | changes))


def serve(
    arrivals: list[float],
    service_s: dict[int, float],
    rule: Rule = NO_BATCHES,
    servers: int = 1,
    method: Any = fast,
    service: ServiceTimes | None = None,
) -> list[float]:
    """When each request leaves a pool with constant service times, in seconds."""
    env = simpy.Environment(0)
    left = np.zeros(len(arrivals))

    def note(answers: Any) -> None:
        left[answers["number"]] = answers["finished"] / 1e9

    service = service or ServiceTimes.of({size: [took] for size, took in service_s.items()})
    requests = plain(np.array(arrivals, float), np.random.default_rng(0))
    pool = method.Pool(env, PoolSpec(rule, service, servers), iter([requests]), note)
    for server in range(servers):
        pool.add(server)
    pool.run(ticks(1e6))
    return left.tolist()


@given(
    gaps=st.lists(st.integers(0, 50), min_size=1, max_size=60),
    service=st.integers(1, 40),
    servers=st.integers(1, 4),
)
@settings(deadline=None)
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
    assert serve(arrivals, {1: service}, servers=servers) == expected


@given(
    gaps=st.lists(st.integers(0, 50), min_size=1, max_size=60),
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=6),
    servers=st.integers(1, 4),
)
@settings(deadline=None)
def test_one_more_server_never_makes_a_request_later(
    gaps: list[int], lengths: list[int], servers: int
) -> None:
    """With one queue, and the same luck for each request."""
    requests = plain(np.cumsum(gaps).astype(float), np.random.default_rng(1))
    service = ServiceTimes.of({1: [float(length) for length in lengths]})

    def starts(number: int) -> Any:
        rows: list[Any] = []
        pool = fast.Pool(
            simpy.Environment(0), PoolSpec(NO_BATCHES, service, number), iter([requests]),
            lambda answers: rows.append(answers.copy()),
        )  # fmt: skip
        for server in range(number):
            pool.add(server)
        pool.run(ticks(1e6))
        return np.sort(np.concatenate(rows), order="number")["start"]

    fewer, more = starts(servers), starts(servers + 1)
    assert (more <= fewer).all()
    assert (np.diff(fewer) >= 0).all()  # first come, first served


@pytest.mark.parametrize("method", METHODS, ids=["fast", "reference"])
def test_batches_by_hand(method: Any) -> None:
    times = {1: 10.0, 2: 11.0, 3: 12.0, 4: 13.0}
    # One starts alone; four of the five that came meanwhile go together, the last one alone.
    greedy = serve([0, 1, 2, 3, 4, 5], times, constant(4, 0), method=method)
    assert greedy == [10, 23, 23, 23, 23, 33]
    waits = constant(3, ticks(5.0))
    ones = {1: 1.0, 2: 1.0, 3: 1.0}
    assert serve([0, 2, 3], ones, waits, method=method) == [4, 4, 4]  # full at 3
    assert serve([0, 2], ones, waits, method=method) == [6, 6]  # due at 0 + 5
    assert serve([0, 2, 6], ones, waits, method=method) == [6, 6, 12]  # the third waits its own


@pytest.mark.parametrize("method", METHODS, ids=["fast", "reference"])
def test_a_batch_that_was_formed_at_the_door_takes_nobody_in(method: Any) -> None:
    tens, wait = {1: 10.0, 2: 10.0}, adaptive.Options(max_batch=2, max_wait=5.0)
    # The third is a batch of its own from 7 on, though the server is busy until 11.
    assert serve([0, 1, 2, 8], tens, constant(2, ticks(5.0)), method=method) == [11, 11, 21, 21]
    formed = adaptive.rule(wait, lambda size: 0.0)
    assert serve([0, 1, 2, 8], tens, formed, method=method) == [11, 11, 21, 31]
    assert serve([0, 1, 2, 6], tens, formed, method=method) == [11, 11, 21, 21]


@given(
    gaps=st.lists(st.integers(0, 12), min_size=1, max_size=60),
    full=st.integers(1, 4),
    wait=st.integers(0, 20),
    times=st.lists(st.integers(1, 25), min_size=4, max_size=4),
)
@settings(deadline=None)
def test_batches_at_the_door_are_formed_by_arrivals_alone_and_served_in_turn(
    gaps: list[int], full: int, wait: int, times: list[int]
) -> None:
    arrivals = np.cumsum(gaps).tolist()
    left: list[int] = []
    free = 0
    while len(left) < len(arrivals):
        oldest = arrivals[len(left)]
        # Who waits for nobody is not joined by who comes at the same moment.
        most = full if wait else 1
        closes = oldest + wait
        inside = [a for a in arrivals[len(left) :][:most] if a < closes or a == oldest]
        # Whatever happens first at the moment at which it closes closes it: the end of a service, or else
        # one more request, which is in it.
        following = arrivals[len(left) + len(inside) :]
        if closes not in left and len(inside) < most and following[:1] == [closes]:
            inside.append(closes)
        formed = inside[-1] if len(inside) == most else closes
        free = max(formed, free) + times[len(inside) - 1]
        left += [free] * len(inside)
    rule = adaptive.rule(adaptive.Options(max_batch=full, max_wait=float(wait)), lambda size: 0.0)
    took = dict(enumerate(map(float, times), start=1))
    assert serve(arrivals, took, rule) == left


@pytest.mark.parametrize("method", METHODS, ids=["fast", "reference"])
def test_a_server_that_has_rested_takes_longer(method: Any) -> None:
    service = ServiceTimes.of({1: [10.0]})._replace(rest=ticks(5.0), rested=1.8)
    # After 5 s of rest, half of 8 s more; none; after 15 s, three quarters.
    assert serve([5, 6, 44], {}, method=method, service=service) == [19, 29, 60]


def test_policies_are_tables() -> None:
    def expected(size: int) -> float:
        return size * 1e6

    rule = dynamic.rule(dynamic.Options(max_batch=8, max_wait=0.005), expected)
    assert decide(rule.full, rule.patience, 8, 1000, 1000) == (8, 0)
    assert decide(rule.full, rule.patience, 11, 1000, 1000) == (8, 0)
    assert decide(rule.full, rule.patience, 3, 1000, 2000) == (0, 5_001_000)
    assert decide(rule.full, rule.patience, 3, 1000, 5_001_000) == (3, 0)
    assert fixed.rule(fixed.Options(batch=3), expected).patience == (FOREVER, FOREVER)
    in_time = deadline.rule(deadline.Options(max_batch=4, deadline=0.003), expected)
    assert in_time.patience == (1_000_000, 0, 0)
    with pytest.raises(ValueError, match="one patience for each size"):
        Rule(3, (1,))


def observed(**changes: Any) -> Observed:
    fields = {"now_s": 0.0, "replicas": 4, "ready": 4, "busy": 0.5, "waiting": 0, "in_service": 0}
    return Observed(**(fields | changes))


def test_hpa_follows_its_formula_within_its_tolerance() -> None:
    options = hpa.Options(min_replicas=1, max_replicas=10, target=0.5)
    up: Any = []
    assert hpa.desired(options, observed(busy=0.9), up) == 8  # ceil(4 · 0.9 / 0.5)
    assert hpa.desired(options, observed(now_s=15, replicas=8, ready=8, busy=0.54), up) == 8
    assert hpa.desired(options, observed(now_s=30, replicas=8, ready=8, busy=0.99), up) == 10


def test_hpa_sees_the_replicas_that_are_starting() -> None:
    options = hpa.Options(min_replicas=1, max_replicas=100, target=0.5)
    # Four are overloaded and four more are on their way: no further four.
    assert hpa.desired(options, observed(replicas=8, ready=4, busy=1.0), []) == 8
    assert hpa.desired(options, observed(replicas=5, ready=4, busy=1.0), []) == 8


def test_hpa_waits_before_it_scales_down() -> None:
    options = hpa.Options(min_replicas=1, max_replicas=10, target=0.5, down_stabilisation=60)
    history: Any = []
    wishes = [
        hpa.desired(options, observed(now_s=at, replicas=8, ready=8, busy=busy), history)
        for at, busy in [(0, 0.5), (15, 0.1), (30, 0.2), (60, 0.1), (75, 0.1), (91, 0.1)]
    ]
    # The wish of 8 from t = 0 holds until it is older than 60 s; then the 4 of t = 30 does.
    assert wishes == [8, 8, 8, 8, 4, 2]


def test_other_policies() -> None:
    by_queue = queue.Options(max_replicas=6, per_replica=10.0, min_replicas=0)
    assert queue.desired(by_queue, observed(replicas=1, waiting=41), []) == 5
    assert queue.desired(by_queue, observed(replicas=1, waiting=400), []) == 5  # four more at once
    assert queue.desired(by_queue, observed(replicas=2, waiting=400), []) == 6
    assert queue.desired(by_queue, observed(replicas=2, waiting=0), [(0.0, 2, 0)]) == 2
    assert queue.desired(by_queue, observed(replicas=0, waiting=5), []) == 0
    assert queue.idle_s(by_queue) == 300
    steps = [schedule.Step(at=6 * 3600.0, replicas=5), schedule.Step(at=20 * 3600.0, replicas=2)]
    daily = schedule.Options(steps=steps)
    assert schedule.bounds(daily) == (2, 5)  # the last step holds over midnight
    assert schedule.desired(daily, observed(now_s=86_400 + 7 * 3600.0), []) == 5
    asleep = scale_to_zero.Options(max_replicas=3)
    history: Any = []
    assert scale_to_zero.desired(asleep, observed(in_service=4, waiting=4), history) == 3
    assert scale_to_zero.desired(asleep, observed(now_s=2.0), history) == 3  # 4 on average
    assert scale_to_zero.desired(asleep, observed(now_s=90.0), history) == 1


def test_a_link_sends_one_message_after_the_other() -> None:
    requests = plain(np.array([0.0, 0.1, 5.0]), np.random.default_rng(0))
    delayed = Requests(**{**vars(requests), "up": np.full(3, ticks(0.02))})
    reached = np.concatenate([c.time for c in cross(iter([delayed]), Link(ticks(1.0)))])
    np.testing.assert_allclose(reached / 1e9, [1.02, 2.02, 6.02])
    # Cut off at 0.5, the first starts anew when the outage ends at 3.
    outage = WindowsOfEach(
        np.array([0, 1]), Windows(np.array([ticks(0.5)]), np.array([ticks(3.0)]))
    )
    reached = np.concatenate([c.time for c in cross(iter([delayed]), Link(ticks(1.0), 1, outage))])
    np.testing.assert_allclose(reached / 1e9, [4.02, 5.02, 6.02])


def test_overtaking_on_the_way_is_sorted_whatever_the_chunks() -> None:
    rng = np.random.default_rng(0)
    chunks = list(poisson(100.0, 200_000, rng))
    jittered = [Requests(**{**vars(c), "up": rng.integers(0, ticks(0.1), len(c))}) for c in chunks]
    crossed = list(cross(iter(jittered), Link()))
    times = np.concatenate([c.time for c in crossed])
    assert (np.diff(times) >= 0).all()
    expected = np.concatenate([c.time + c.up for c in jittered])
    assert (times == np.sort(expected)).all()
    numbers = np.concatenate([c.number for c in crossed])
    assert (numbers == np.argsort(expected, kind="stable")).all()


class _NoPool:
    """A pool that remembers what it was told."""

    def __init__(self) -> None:
        self.said: list[tuple[str, int]] = []

    def add(self, server: int) -> None:
        self.said.append(("add", server))

    def retire(self, server: int) -> None:
        self.said.append(("retire", server))

    def fail(self, server: int) -> None:
        self.said.append(("fail", server))

    def left(self, server: int) -> int:
        return 0


def replicas(pool: _NoPool, env: simpy.Environment, per_node: int = 1, **times: Any) -> Replicas:
    start = StartTimes(node=lambda: 60.0, image_pull=lambda: 20.0, model_load=lambda: 5.0)
    rng = np.random.default_rng(1)
    return Replicas(env, pool, 20, start, Breakdowns(**times), rng, per_node)  # type: ignore[arg-type]


def test_a_second_replica_on_a_node_needs_only_the_model() -> None:
    env, pool = simpy.Environment(0), _NoPool()
    two = replicas(pool, env, per_node=2)
    two.begin_with(1)
    two.scale_to(3)
    env.run(until=ticks(100.0))
    ready = [(event.time / 1e9, event.node) for event in two.events if event.what == "ready"]
    assert ready == [(0.0, 0), (5.0, 0), (85.0, 1)]
    assert two.holdings(ticks(100.0)) == [(0, ticks(100.0)), (0, ticks(100.0))]
    two.scale_to(1)
    assert [said for said in pool.said if said[0] == "retire"] == [("retire", 1), ("retire", 2)]
    env.run(until=ticks(200.0))
    assert two.holdings(ticks(200.0))[1] == (0, 0)  # this pool says that all was done long ago


def test_what_still_starts_is_ended_first() -> None:
    env, pool = simpy.Environment(0), _NoPool()
    some = replicas(pool, env)
    some.begin_with(2)
    some.scale_to(4)
    env.run(until=ticks(10.0))
    some.scale_to(2)
    env.run(until=ticks(500.0))
    assert pool.said == [("add", 0), ("add", 1)]
    held = sorted(some.holdings(ticks(500.0)))
    assert held == [(0, ticks(10.0))] * 2 + [(0, ticks(500.0))] * 2


def test_nodes_fail_and_are_mended() -> None:
    env, pool = simpy.Environment(0), _NoPool()
    some = replicas(pool, env, mtbf_s=1000.0, mttr_s=100.0)
    some.begin_with(1)
    env.run(until=ticks(1e6))
    said = [what for what, _ in pool.said]
    assert said.count("fail") == pytest.approx(1e6 / 1105, rel=0.15)
    assert abs(said.count("add") - said.count("fail")) <= 1
    up = sum(end - since for _, since, end in some.ready_spans(ticks(1e6)))
    assert up / ticks(1e6) == pytest.approx(1000 / 1105, rel=0.05)
    assert some.holdings(ticks(1e6)) == [(0, ticks(1e6))]  # it is paid for meanwhile


def test_evicted_nodes_are_replaced_when_the_notice_comes() -> None:
    env, pool = simpy.Environment(0), _NoPool()
    some = replicas(pool, env, spot_life_s=3600.0, notice_s=120.0)
    some.begin_with(3)
    env.run(until=ticks(86_400.0))
    evictions = [event for event in some.events if event.what == "evict"]
    assert len(evictions) == pytest.approx(3 * 24, rel=0.35)
    assert some.wanted == 3
    orders = {event.time for event in some.events if event.what == "order"}
    assert {event.time for event in evictions} <= orders


def test_durations_have_their_percentiles() -> None:
    rng = np.random.default_rng(0)
    spread = Spread(p50=22.7, p90=42.0, p99=51.9)
    found = drawn(spread, 200_000, rng)
    np.testing.assert_allclose(np.quantile(found, [0.5, 0.9, 0.99]), [22.7, 42.0, 51.9], rtol=0.01)
    assert found.min() >= 0
    assert drawn(3.0, 2, rng).tolist() == [3.0, 3.0]


def test_neighbours_that_depend_on_each_other_are_drawn_together() -> None:
    rng = np.random.default_rng(0)
    independent = rng.lognormal(size=2000)
    slow = np.repeat(rng.lognormal(size=100), 20)  # the machine is slow for twenty in a row
    assert correlation_length(independent) == 1
    assert 5 <= correlation_length(slow) <= 40
    assert correlation_length(slow[:50]) == 1  # too few to tell
    times = service_times(profile({1: slow.tolist()}), rng)
    assert times.block > 1
    kept = np.diff(times.of_size(1)) == 0
    assert kept.mean() > 0.7  # the bootstrap keeps the runs


def test_resampling_a_profile_gives_its_own_spread() -> None:
    measured = np.random.default_rng(3).lognormal(size=400)
    means = [
        service_times(profile({1: measured.tolist()}), np.random.default_rng(seed)).mean(1) / 1e9
        for seed in range(300)
    ]
    assert np.std(means) == pytest.approx(measured.std() / 20, rel=0.15)
    assert service_times(profile({1: [1.0]}, loop_overhead_s=0.5)).mean(1) == 1.5e9


def test_a_histogram_beyond_a_million_keeps_its_promise() -> None:
    rng = np.random.default_rng(0)
    tally = Tally(SLO, FOREVER)
    every = []
    for _ in range(3):
        answers = np.zeros(EXACT // 2, ANSWER)
        answers["finished"] = rng.lognormal(18, 1.5, len(answers)).astype(np.int64)
        every.append(answers["finished"].copy())
        tally(answers)
    ordered = np.sort(np.concatenate(every))
    shares = [0.001, 0.5, 0.9, 0.99, 0.999]
    found = tally.quantiles_s(shares, len(ordered))
    for share, value in zip(shares, found, strict=True):
        exact = ordered[int(np.ceil(share * len(ordered) - 1e-9)) - 1] / 1e9
        assert value == pytest.approx(exact, rel=RELATIVE_ERROR * 1.01)
    assert RELATIVE_ERROR <= 0.001
    assert tally.quantiles_s([0.999], 2 * len(ordered)) == [None]  # half are still under way
    assert tally.mean_s == pytest.approx(ordered.mean() / 1e9, rel=1e-12)


def test_mser_finds_the_warm_up() -> None:
    rng = np.random.default_rng(0)
    steady = rng.normal(10, 1, 2000)
    assert mser5(steady) < 200
    rising = np.concatenate([np.linspace(0, 10, 300), steady])
    assert 200 <= mser5(rising) <= 450
    assert mser5([1.0, 2.0]) == 0


# Whole deployments -----------------------------------------------------------------------------

SERVICE = {size: [0.02 + 0.01 * size, 0.03 + 0.01 * size] for size in range(1, 5)}
NETWORK = {"uplink": 1e6, "downlink": 4e6, "rtt": 0.04}
START = {"node": 60.0, "image_pull": 20.0}


def part(**changes: Any) -> dict[str, Any]:
    return {"backend": {"name": "fake"}, "device": "d", "offer": "o", **changes}


def real_time(**changes: Any) -> dict[str, Any]:
    scaling = {"name": "hpa", "min_replicas": 1, "max_replicas": 4, "target": 0.2}
    return part(start_up=START, network=NETWORK, scaling=scaling) | changes


def job(deployment: Any, arrivals: Any = None, method: str = "fast", **changes: Any) -> Job:
    kinds = {
        "batch": BatchDeployment, "real_time": RealTimeDeployment, "edge": EdgeDeployment,
        "hybrid": HybridDeployment,
    }  # fmt: skip
    record = kinds[deployment["kind"]].model_validate({"name": "d", **deployment})
    measured = profile(SERVICE, input_bytes=4000.0, output_bytes=200.0, load_s=5.0)
    fields = {
        "deployment": record,
        "profiles": dict.fromkeys(record.parts, measured),
        "workload": Workload.model_validate(
            {
                "sources": 6,
                "arrivals": arrivals or {"name": "poisson", "rate": 1.5},
                "active": {"start": 82_000.0, "end": 82_300.0},
            }
        ),
        "objective": Objective(response=ResponseLimit(limit=0.2)),
        "options": SimulateOptions(),
        "method": method,
        "seed": 1,
        "replication": 0,
    }
    return Job(**(fields | changes))


DEPLOYMENTS = {
    "batch": part(
        kind="batch", start_up=START, network=NETWORK, nodes=2, window={"opens": 82_800.0},
        batching={"name": "greedy", "max_batch": 4},
    ),
    "batch that fails": part(
        kind="batch", start_up=START, network=NETWORK, window={"opens": 82_800.0, "closes": 83_400.0},
        failures={"mtbf": 100.0, "mttr": 20.0}, checkpoint={"every": 30.0, "cost": 1.0},
        batching={"name": "greedy", "max_batch": 4}, spot={"mean_life": 300.0, "notice": 30.0},
    ),
    "autoscaled": real_time(kind="real_time", batching={"name": "dynamic", "max_batch": 4, "max_wait": 0.01}),
    "everything goes wrong": real_time(
        kind="real_time", routing="two_choices", per_node=2,
        failures={"mtbf": 200.0, "mttr": 30.0}, spot={"mean_life": 400.0, "notice": 10.0},
        admission={"queue_limit": 6, "timeout": 0.3, "shed": {"begin": 2, "end": 8}},
        network=NETWORK | {"jitter": 0.02, "loss": 0.02, "sites": 3, "outages": {"mtbf": 120.0, "mttr": 5.0}},
        batching={"name": "deadline", "max_batch": 4, "deadline": 0.15},
    ),
    "lost": real_time(
        kind="real_time", routing="shortest_queue", in_flight="lost",
        failures={"mtbf": 50.0, "mttr": 10.0}, scaling={"name": "fixed", "replicas": 3},
    ),
    "asleep": real_time(
        kind="real_time", scaling={"name": "scale-to-zero", "max_replicas": 3, "keep_warm": 1.0},
        start_up={"node": 0.0, "model_load": {"p50": 2.0, "p90": 4.0, "p99": 5.0}},
    ),
    "by its queue, filled": real_time(
        kind="real_time", routing="sticky", fill={"items": 20_000, "at": 81_000.0},
        scaling={"name": "queue", "min_replicas": 1, "max_replicas": 4, "per_replica": 2.0, "period": 5.0},
    ),
    "edge": part(kind="edge", fleet=3),
    "edge on a battery": part(
        kind="edge", fleet=6, duty_cycle={"period": 2.0, "on": 1.5}, failures={"mtbf": 300.0, "mttr": 10.0},
        awake=[{"start": 82_050.0, "end": 86_400.0}], power_mode={"slowdown": 1.5, "active": 8.0},
        battery={"capacity": 400.0, "idle": 1.0, "active": 9.0, "charger": 10.0,
                 "charging": [{"start": 82_100.0, "end": 82_150.0}], "saver_below": 0.4,
                 "saver": {"slowdown": 2.0, "active": 4.0}},
        admission={"queue_limit": 5, "timeout": 20.0},
    ),
    "hybrid": {
        "kind": "hybrid", "edge": part(fleet=3, batching={"name": "greedy", "max_batch": 2}),
        "cloud": real_time(routing="round_robin"),
        "spill": {"queue": 1, "unsure": 0.2, "on_line": [{"start": 82_000.0, "end": 82_200.0}]},
    },
    "hybrid whose links fail": {
        "kind": "hybrid", "edge": part(fleet=3, failures={"mtbf": 100.0, "mttr": 20.0}),
        "cloud": real_time(network=NETWORK | {"sites": 2, "outages": {"mtbf": 40.0, "mttr": 15.0}}),
        "spill": {"queue": 1, "unsure": 0.3},
    },
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_both_methods_give_one_record(name: str) -> None:
    found = play_replication(job(DEPLOYMENTS[name]))
    assert found == play_replication(job(DEPLOYMENTS[name], method="reference"))
    day = found[0]
    ended = day.done + day.shed + day.timed_out + day.lost
    assert day.requests == ended + day.in_flight
    assert day.done > 0
    assert 0 < day.utilisation <= 1


@pytest.mark.slow
def test_what_the_deployments_above_go_through() -> None:
    """A list of features proves nothing unless they act."""
    days = {name: play_replication(job(DEPLOYMENTS[name]))[0] for name in DEPLOYMENTS}
    assert days["everything goes wrong"].shed > 0
    assert days["everything goes wrong"].timed_out > 0
    assert days["lost"].lost > 0
    assert days["autoscaled"].max_replicas > 1
    assert days["edge on a battery"].timed_out > 0
    work = days["by its queue, filled"].other_work
    assert work is not None
    assert work.done + work.left == 20_000
    assert work.done > 1000
    hybrid = days["hybrid"].usage
    in_cloud = hybrid["d (cloud)"]
    assert in_cloud.uploaded_bytes == 4000.0 * in_cloud.served > 0
    # Only its own answers come down the line: those of the devices were there already.
    assert in_cloud.downloaded_bytes == 200.0 * in_cloud.served
    assert hybrid["d (edge)"].devices == 3
    asleep = days["asleep"].usage["d"].holdings
    assert sum(h.end_s - h.start_s for h in asleep) < 1000
    assert days["batch"].makespan_s > 800


@pytest.mark.slow
@pytest.mark.parametrize("name", ["autoscaled", "edge"])
@pytest.mark.parametrize(
    "arrivals",
    [{"name": "closed-loop", "think": 2.0}, {"name": "backlog", "count": 50, "after": 10.0},
     {"name": "mmpp", "states": [{"rate": 0.2, "mean_length": 9.0}, {"rate": 4.0, "mean_length": 3.0}]}],
    ids=["closed loop", "backlog", "mmpp"],
)  # fmt: skip
def test_other_arrivals_too(name: str, arrivals: Any) -> None:
    found = play_replication(job(DEPLOYMENTS[name], arrivals))
    assert found == play_replication(job(DEPLOYMENTS[name], arrivals, "reference"))
    assert found[0].done > 100


@pytest.mark.slow
def test_the_same_seed_gives_the_same_record_and_another_one_does_not() -> None:
    first = play_replication(job(DEPLOYMENTS["autoscaled"]))
    assert first == play_replication(job(DEPLOYMENTS["autoscaled"]))
    assert first != play_replication(job(DEPLOYMENTS["autoscaled"], seed=2))


def test_days_follow_each_other() -> None:
    one = play_replication(job(DEPLOYMENTS["batch"]))[0]
    three = play_replication(job(DEPLOYMENTS["batch"], options=SimulateOptions(days=3)))[0]
    assert three.requests == pytest.approx(3 * one.requests, rel=0.2)
    assert three.done == three.requests
    assert len(three.usage["d"].holdings) == 3 * len(one.usage["d"].holdings)


def test_a_steady_state_leaves_the_warm_up_out() -> None:
    options = SimulateOptions(start="steady")
    backlogged = {"name": "backlog", "count": 400, "after": 0.0}
    steady = play_replication(job(DEPLOYMENTS["edge"], backlogged, options=options))[0]
    assert steady.requests <= 2400
    calm = play_replication(job(DEPLOYMENTS["autoscaled"], options=options))[0]
    empty = play_replication(job(DEPLOYMENTS["autoscaled"]))[0]
    assert calm.warm_up_s > 0
    assert calm.requests < empty.requests


@pytest.mark.parametrize("name", ["batch", "hybrid", "edge on a battery"])
def test_users_who_wait_and_kinds_that_cannot_have_them(name: str) -> None:
    with pytest.raises(InputError, match="closed loop"):
        play_replication(job(DEPLOYMENTS[name], {"name": "closed-loop", "think": 2.0}))


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


def test_more_replications_do_not_make_a_projection_better_known() -> None:
    """Every replication draws one factor, shared by all deployments on the same arm."""
    own = profile({1: [0.01]}, log_error=0.3)
    factors = [
        service_times(own, Streams(1, replication).get("profile a")).mean(1) / 1e7
        for replication in range(400)
    ]
    assert np.std(np.log(factors)) == pytest.approx(0.3, rel=0.1)
    assert service_times(own).mean(1) == pytest.approx(1e7)
    same = [service_times(own, Streams(1, 3).get("profile a")).mean(1) for _ in range(2)]
    assert same[0] == same[1]


def test_the_bounds_of_a_projection_hold_for_every_draw() -> None:
    own = profile({1: [0.01], 2: [0.012]}, log_error=0.4)
    part = EdgeDeployment.model_validate(
        {
            "kind": "edge", "name": "e", "backend": "fake", "device": "d", "offer": "o",
            "batching": {"name": "greedy", "max_batch": 2}, "fleet": 1,
        }
    )  # fmt: skip
    quickest = cloud.shortest_service_s(part, own)
    assert quickest < 0.01
    drawn_s = [
        service_times(own, Streams(2, replication).get("profile a")).mean(1) / 1e9
        for replication in range(1000)
    ]
    assert min(drawn_s) > quickest
    assert cloud.best_rate(part, own) > 1 / min(drawn_s)
