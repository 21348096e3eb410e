"""What fails, fails on its own, and has been failing before the first midnight."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest
import simpy

from bench.batching import constant
from bench.errors import InputError
from bench.requests import Requests
from bench.scenario import MeanTimes, Workload
from bench.simulate import fast, reference
from bench.simulate.control import Breakdowns, Replicas, StartTimes
from bench.simulate.durations import breakdowns
from bench.simulate.plane import FleetSpec, Spill, Windows, WindowsOfEach
from bench.simulate.run import play_replication
from bench.simulate.service import ServiceTimes
from bench.ticks import FOREVER, ticks
from bench.units import DAY_S
from tests.queues import plain
from tests.test_simulation import START, _NoPool, job, part, profile, real_time

RARE_AND_LONG = MeanTimes(mtbf=40 * DAY_S, mttr=DAY_S)
DOWN = 1 / 41
"""mttr ÷ (mtbf + mttr)."""


def shares_down(times: MeanTimes, things: int, until_s: float, seed: int = 0) -> Any:
    """Of each thing, the share of the time in which it is out of order."""
    found = breakdowns(times, things, ticks(until_s), np.random.default_rng(seed), "failures")
    assert found is not None
    assert len(found) == things
    lengths = np.minimum(found.windows.end, ticks(until_s)) - found.windows.start
    owner = np.repeat(np.arange(things), np.diff(found.first))
    return np.bincount(owner, lengths, things) / ticks(until_s)


@pytest.mark.parametrize("days", [0.01, 1, 60])
def test_as_many_are_out_of_order_from_the_first_moment_on(days: float) -> None:
    """The mean over things is the long-run share, however short the time: 4 standard errors."""
    shares = shares_down(RARE_AND_LONG, 20_000, days * DAY_S)
    assert shares.mean() == pytest.approx(DOWN, abs=4 * shares.std() / math.sqrt(len(shares)))


def test_their_shares_differ_as_renewal_theory_says() -> None:
    """The variance of the share of a time T, with τ = 1 / (1/mtbf + 1/mttr).

    The covariance of an alternating exponential process over a time t is A(1 - A) exp(-t/τ).
    """
    tau = 1 / (1 / RARE_AND_LONG.mtbf + 1 / RARE_AND_LONG.mttr)
    for days in (1.0, 20.0):
        ratio = tau / (days * DAY_S)
        variance = DOWN * (1 - DOWN) * 2 * ratio * (1 - ratio * (1 - math.exp(-1 / ratio)))
        shares = shares_down(RARE_AND_LONG, 100_000, days * DAY_S)
        assert shares.var() == pytest.approx(variance, rel=0.05)


def test_each_thing_has_its_breakdowns_in_order_and_apart() -> None:
    times = MeanTimes(mtbf=500.0, mttr=100.0)
    found = breakdowns(times, 50, ticks(DAY_S), np.random.default_rng(3), "failures")
    assert found is not None
    for thing in range(50):
        own = found.of(thing)
        assert (own.end >= own.start).all()
        assert (own.start[1:] >= own.end[:-1]).all()
        assert (own.start < ticks(DAY_S)).all()
        assert len(own.start) == pytest.approx(DAY_S / 600, rel=0.4)
    assert breakdowns(None, 3, ticks(1.0), np.random.default_rng(3), "failures") is None


def test_the_breakdowns_of_100_000_sites_fit_in_memory_or_are_refused() -> None:
    rng = np.random.default_rng(0)
    found = breakdowns(RARE_AND_LONG, 100_000, ticks(DAY_S), rng, "network.outages")
    assert found is not None
    # Under way at midnight, or begun since.
    assert len(found.windows.start) == pytest.approx(100_000 * (DOWN + 1 / 41), rel=0.05)
    with pytest.raises(InputError, match="fewer days"):
        breakdowns(MeanTimes(mtbf=600.0, mttr=60.0), 100_000, ticks(366 * DAY_S), rng, "failures")


def test_times_beyond_all_days_never_come() -> None:
    times = MeanTimes.model_construct(mtbf=1e16, mttr=1e3)  # longer than a scenario may say
    found = breakdowns(times, 5, ticks(DAY_S), np.random.default_rng(0), "failures")
    assert found is not None
    assert not len(found.windows.start)


def day_of_sites(sites: int, times: MeanTimes, rng: random.Random) -> float:
    """The share of a day in which a site has no link, on average over the sites; one by one."""
    gone = 0.0
    for _ in range(sites):
        now, down = 0.0, rng.random() < times.mttr / (times.mtbf + times.mttr)
        while now < DAY_S:
            lasts = rng.expovariate(1 / (times.mttr if down else times.mtbf))
            gone += (min(now + lasts, DAY_S) - now) if down else 0.0
            now, down = now + lasts, not down
    return gone / (sites * DAY_S)


def test_sites_with_links_of_their_own_fail_on_their_own() -> None:
    """Of many days with 40 sites: how many have how many requests late, beside a Monte Carlo."""
    times = MeanTimes(mtbf=20 * DAY_S, mttr=2 * 3600.0)
    rng = random.Random(1)  # noqa: S311
    by_hand = np.array([day_of_sites(40, times, rng) for _ in range(3000)])
    network = {"uplink": 1e9, "downlink": 1e9, "rtt": 0.02, "sites": 40, "outages": dict(times)}
    deployment = real_time(
        kind="real_time", network=network, start_up=START, scaling={"name": "fixed", "replicas": 1},
        batching={"name": "none"},
    )  # fmt: skip
    workload = Workload.model_validate(
        {"sources": 40, "arrivals": {"name": "poisson", "rate": 5 / 3600}}
    )
    late = []
    for replication in range(300):
        day, _ = play_replication(
            job(
                deployment,
                workload=workload,
                profiles={"d": profile({1: [0.01]})},
                replication=replication,
            )
        )
        late.append(1 - day.within_slo / day.requests)
    found = np.array(late)
    for bound in (0.002, 0.005, 0.01):
        expected = (by_hand > bound).mean()
        error = 4 * math.sqrt(expected * (1 - expected) / len(found)) + 0.02
        assert (found > bound).mean() == pytest.approx(expected, abs=error)
    assert found.mean() == pytest.approx(by_hand.mean(), rel=0.35)
    assert found.max() < 0.1  # all sites together would lose whole days


@pytest.mark.parametrize("method", ["fast", "reference"])
def test_devices_are_as_available_on_the_first_day_as_in_the_long_run(method: str) -> None:
    """40 / 41 of the requests find a device that works; few, of many devices."""
    devices = 4000
    deployment = part(kind="edge", fleet=devices, failures=dict(RARE_AND_LONG))
    workload = Workload.model_validate(
        {"sources": devices, "arrivals": {"name": "poisson", "rate": 2 / DAY_S}}
    )
    day, _ = play_replication(
        job(deployment, workload=workload, profiles={"d": profile({1: [0.01]})}, method=method)
    )
    # Whole devices are out of order: their share has the error of so many of them.
    error = 4 * math.sqrt(DOWN * (1 - DOWN) / devices)
    assert day.within_slo / day.requests == pytest.approx(1 - DOWN, abs=error)


def replicas(env: simpy.Environment, seed: int, per_node: int = 1, load_s: float = 0.0) -> Replicas:
    start = StartTimes(node=lambda: 60.0, image_pull=lambda: 20.0, model_load=lambda: load_s)
    broken = Breakdowns(mtbf_s=900.0, mttr_s=100.0)
    rng = np.random.default_rng(seed)
    return Replicas(env, _NoPool(), 40, start, broken, rng, per_node)  # type: ignore[arg-type]


@pytest.mark.parametrize("load_s", [0.0, 90.0])
def test_nodes_are_as_available_at_midnight_as_later(load_s: float) -> None:
    """A replica is ready for what is left of mtbf after its load: (mtbf / cycle) · exp(-load / mtbf).

    For the mean of max(X - load, 0) of an exponential X is mtbf · exp(-load / mtbf).
    """
    ready = {0.0: 0, 50.0: 0, 5000.0: 0}
    many = 2000
    for seed in range(many // 20):
        env = simpy.Environment(0)
        some = replicas(env, seed, load_s=load_s)
        some.begin_with(20)
        ready[0.0] += some.ready
        for moment in (50.0, 5000.0):
            env.run(until=ticks(moment))
            ready[moment] += some.ready
    expected = 0.9 * math.exp(-load_s / 900.0)
    for count in ready.values():
        assert count / many == pytest.approx(
            expected, abs=4 * math.sqrt(expected * (1 - expected) / many)
        )


def test_replicas_on_one_node_fail_together_and_what_starts_there_too() -> None:
    env = simpy.Environment(0)
    some = replicas(env, seed=5, per_node=4, load_s=300.0)
    some.begin_with(4)
    states = set()
    for moment in range(10, 20_000, 10):
        env.run(until=ticks(moment))
        states.add(some.ready)
    assert states == {0, 4}
    fails = [event.time for event in some.events if event.what == "fail"]
    begins = [event.time for event in some.events if event.what == "ready"]
    # Nothing is ready sooner than its load after the last failure of its node.
    for ready in begins:
        before = [at for at in fails if at < ready]
        assert not before or ready - max(before) >= ticks(300.0)


def test_no_replica_is_put_on_a_node_under_repair() -> None:
    for seed in range(40):
        env = simpy.Environment(0)
        some = replicas(env, seed, per_node=2)
        some.begin_with(1)
        if some.ready:
            continue
        some.scale_to(2)
        assert len(some.holdings(ticks(1.0)) or []) <= 2
        assert [event.node for event in some.events if event.what == "order"] == [1]
        return
    pytest.fail("a tenth of the nodes are under repair")


def test_devices_whose_link_is_down_answer_by_themselves() -> None:
    """Site 1 of 2 is down for good: its requests stay, and those of the other go on."""
    outages = WindowsOfEach(np.array([0, 0, 1]), Windows(np.array([0]), np.array([FOREVER])))
    spill = Spill(queue=0, outages=outages)
    spec = FleetSpec(2, constant(1, 0), ServiceTimes.of({1: [1e-6]}), spill=spill)
    asked = plain(np.array([1.0, 2.0, 3.0, 4.0]), np.random.default_rng(0))
    asked = Requests(**{**vars(asked), "source": np.array([0, 1, 3, 2], np.int32)})
    for method in (fast, reference):
        kept: list[int] = []
        fleet = method.Fleet(
            spec,
            iter([asked]),
            lambda rows, to=kept: to.extend(rows["source"].tolist()),
            ticks(9.0),
        )  # type: ignore[misc]
        gone = [source for chunk in fleet.spilled() for source in chunk.source.tolist()]
        assert (sorted(kept), sorted(gone)) == ([1, 3], [0, 2])
