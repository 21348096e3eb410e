"""Autoscalers against small simulations of their own, after Kubernetes' and KEDA's documentation."""

from __future__ import annotations

import heapq
import itertools
import math
from pathlib import Path
from typing import Any

import pytest
import simpy

from bench.scenario import Workload
from bench.simulate.control import Breakdowns, Replicas, StartTimes, sleep_when_empty
from bench.simulate.plane import Seen
from bench.simulate.run import play, play_replication
from bench.simulate.scaling import Observed, Scaling, hpa, queue, scale_to_zero
from bench.simulate.scaling._kubernetes import Limit
from bench.ticks import ticks
from tests.test_simulation import job, profile, real_time

BURST = [600.0 + place * 5e-5 for place in range(20_000)]
SERVICE_S = 1.0
AT_ONCE = {"node": 0.0, "image_pull": 0.0, "model_load": 0.0}
FAST_LINK = {"uplink": 1e15, "downlink": 1e15, "rtt": 0.0}


def keda_by_hand(per_replica: int, most: int) -> list[float]:
    """Response times of the burst: 1 replica at first, and the autoscaler at 610 s, 625 s, …

    Kubernetes' defaults: in 15 s at most 4 more, or as many again.
    """
    free = [0.0]
    served = 0
    now = 610.0
    finished: list[float] = []
    while served < len(BURST):
        # Serve what begins before the next decision (and what has come by then).
        while served < len(BURST) and max(free[0], BURST[served]) < now:
            start = max(heapq.heappop(free), BURST[served])
            finished.append(start + SERVICE_S)
            heapq.heappush(free, start + SERVICE_S)
            served += 1
        waiting = sum(arrival <= now for arrival in BURST) - served
        wanted = waiting / per_replica
        if abs(wanted / len(free) - 1) > 0.1 and wanted > len(free):
            allowed = max(len(free) + 4, 2 * len(free))
            for _ in range(min(math.ceil(wanted), allowed, most) - len(free)):
                heapq.heappush(free, now)
        now += 15.0
    return sorted(end - arrival for end, arrival in zip(finished, BURST, strict=True))


def burst_job(tmp_path: Path, scaling: dict[str, Any], method: str = "fast") -> Any:
    trace = tmp_path / "trace.csv"
    trace.write_text("t\n0.001\n" + "".join(f"{time:.6f}\n" for time in BURST))
    deployment = real_time(
        kind="real_time", scaling=scaling, start_up=AT_ONCE, network=FAST_LINK,
        batching={"name": "none"},
    )  # fmt: skip
    arrivals = {"name": "trace", "file": str(trace), "column": "t"}
    return job(
        deployment, method=method,
        profiles={"d": profile({1: [SERVICE_S]})},
        workload=Workload.model_validate({"arrivals": arrivals}),
    )  # fmt: skip


def test_keda_answers_a_burst_as_fast_as_kubernetes_lets_it(tmp_path: Path) -> None:
    scaling = {"name": "queue", "min_replicas": 1, "max_replicas": 100, "per_replica": 10.0}
    by_hand = keda_by_hand(10, 100)
    day, _ = play_replication(burst_job(tmp_path, scaling))
    # The request that comes just after midnight is answered at once, and is the quickest of all.
    assert day.percentiles_s["p50"] == pytest.approx(by_hand[10_000 - 1], abs=0.01)
    assert day.percentiles_s["p99"] == pytest.approx(by_hand[19_800 - 1], abs=0.06)
    assert day.percentiles_s["p50"] == pytest.approx(161.5, abs=0.05)
    assert day.percentiles_s["p99"] == pytest.approx(259.0, abs=0.05)


def steps_of(played: Any) -> list[tuple[float, int]]:
    """When replicas came, and how many there were then."""
    ready: dict[float, int] = {}
    for event in played.events:
        if event.what == "ready":
            ready[event.time / 1e9] = ready.get(event.time / 1e9, 0) + 1
    total, found = 0, []
    for time, more in sorted(ready.items()):
        total += more
        found.append((time, total))
    return found


def test_an_hpa_that_is_far_over_its_target_doubles_every_15_s(tmp_path: Path) -> None:
    """At 20 %, a full replica asks for five: more than Kubernetes gives it at once."""
    scaling = {"name": "hpa", "min_replicas": 1, "max_replicas": 100, "target": 0.2}
    played, _, _ = play(burst_job(tmp_path, scaling))
    first = [(time, count) for time, count in steps_of(played) if time < 700]
    # At 610 s it was busy for 10 of the last 15 s: ceil(1 · 0.667 / 0.2) = 4.
    assert first == [(0.0, 1), (610.0, 4), (625.0, 8), (640.0, 16), (655.0, 32), (670.0, 64), (685.0, 100)]  # fmt: skip


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When policies were asked, in seconds."""
    times: list[float] = []
    honest = Scaling.desired

    def desired(self: Scaling, seen: Observed) -> int:
        times.append(seen.now_s)
        return honest(self, seen)

    monkeypatch.setattr(Scaling, "desired", desired)
    return times


QUIET: dict[str, Any] = {"min_replicas": 3, "max_replicas": 9, "target": 0.9}
EDGY = {"min_replicas": 1, "max_replicas": 9, "target": 0.55, "down_stabilisation": 60.0}
FULL = {"min_replicas": 1, "max_replicas": 2, "target": 0.2}
EXACT = {"min_replicas": 1, "max_replicas": 9, "target": 0.5, "tolerance": 0.0, "period": 5.0}


@pytest.mark.parametrize("patience", [None, 0.5], ids=["patient", "some leave"])
@pytest.mark.parametrize("broken", [False, True], ids=["whole", "failing"])
@pytest.mark.parametrize(
    "options", [QUIET, EDGY, FULL, EXACT], ids=["quiet", "edgy", "full", "exact"]
)
def test_an_autoscaler_that_is_not_asked_does_what_it_would_have_done(
    options: dict[str, Any], broken: bool, patience: float | None, asked: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def played() -> tuple[Any, Any, int]:
        asked.clear()
        changes: dict[str, Any] = {"failures": {"mtbf": 900.0, "mttr": 60.0}} if broken else {}
        if patience:
            changes["admission"] = {"timeout": patience}
        deployment = real_time(
            kind="real_time", scaling={"name": "hpa", **options},
            start_up={"node": 20.0, "image_pull": 0.0, "model_load": 10.0}, **changes,
        )  # fmt: skip
        workload = Workload.model_validate(
            {
                "sources": 6,
                "arrivals": {"name": "poisson", "rate": 2.0},
                "active": {"start": 3600.0, "end": 9000.0},
            }
        )
        one = job(deployment, profiles={"d": profile({1: [0.1, 0.2]})}, workload=workload)
        return play_replication(one)[0], play(one)[0].events, len(asked)

    seldom_asked = played()
    monkeypatch.setattr(Scaling, "calm", lambda self, seen: None)
    always_asked = played()
    assert seldom_asked[:2] == always_asked[:2]
    assert seldom_asked[2] < always_asked[2] / 2


def test_calm_is_where_the_wish_stays_the_same() -> None:
    """Every level between is asked, and a hair beyond either end says something else."""
    for least, there, wish, target in itertools.product(
        (1, 2, 4), range(4, 8), range(1, 8), (0.3, 0.8)
    ):
        options = hpa.Options(min_replicas=least, max_replicas=8, target=target)
        history: Any = [(0.0, max(wish, least), 0)]
        levels = hpa.calm(options, observed(0.0, there), history)
        if wish > there:
            assert levels is None
            continue
        assert levels is not None

        def asked(busy: float) -> int:
            wanted = hpa._wish(options, observed(15.0, there, busy=busy))  # noqa: B023
            return min(max(wanted, least), 8)  # noqa: B023

        low, high = max(levels[0], 0.0), min(levels[1], 2.0)
        inside = [low + (high - low) * share for share in (0.001, 0.3, 0.7, 0.999)]
        assert {asked(busy) for busy in inside} <= {max(wish, least)}
        if levels[0] > 0:
            assert asked(low - 1e-6) < max(wish, least)
        assert asked(high + 1e-6) > max(wish, least)


def observed(now_s: float, replicas: int, **changes: Any) -> Observed:
    fields = {"ready": replicas, "busy": 0.0, "waiting": 0, "in_service": 0}
    return Observed(now_s=now_s, replicas=replicas, **(fields | changes))


def followed(options: queue.Options, waiting: dict[float, int], replicas: int) -> list[int]:
    """The replicas after each decision."""
    history: Any = []
    found = []
    for now_s, length in waiting.items():
        replicas = queue.desired(options, observed(now_s, replicas, waiting=length), history)
        found.append(replicas)
    return found


def test_the_limit_counts_from_where_its_period_began() -> None:
    # 10 % a minute and at least 2: from 20, only 2 more in the first minute, in however many steps.
    options = queue.Options(
        max_replicas=100, per_replica=1.0,
        scale_up=[Limit(pods=2, period=60.0), Limit(share=0.1, period=60.0)],
    )  # fmt: skip
    asked = dict.fromkeys([10.0, 25.0, 40.0, 55.0, 70.0, 85.0], 1000)
    assert followed(options, asked, 20) == [22, 22, 22, 22, 25, 25]  # ceil(22 · 1.1)


def test_scaling_down_waits_and_then_goes_no_faster_than_it_may() -> None:
    options = queue.Options(
        max_replicas=100, per_replica=1.0, down_stabilisation=30.0,
        scale_down=[Limit(share=0.5, period=15.0)],
    )  # fmt: skip
    waiting = {0.0: 40, 15.0: 0, 30.0: 0, 45.0: 0, 60.0: 0, 75.0: 0}
    assert followed(options, waiting, 40) == [40, 40, 40, 20, 10, 5]


def test_scaling_up_may_wait_for_the_lowest_wish() -> None:
    options = queue.Options(max_replicas=100, per_replica=1.0, up_stabilisation=30.0)
    waiting = {0.0: 1, 15.0: 50, 30.0: 50, 45.0: 50}
    assert followed(options, waiting, 1) == [1, 1, 1, 5]


def test_a_queue_within_the_tolerance_changes_nothing() -> None:
    options = queue.Options(max_replicas=100, per_replica=10.0)
    history: Any = []
    assert queue.desired(options, observed(0.0, 10, waiting=109), history) == 10
    assert queue.desired(options, observed(15.0, 10, waiting=112), history) == 12


def test_limits_are_pods_or_a_share() -> None:
    with pytest.raises(ValueError, match="pods or share"):
        Limit(pods=4, share=1.0)
    with pytest.raises(ValueError, match="pods or share"):
        Limit()


def test_a_replica_that_failed_is_no_scaling_of_the_autoscaler_s() -> None:
    """What a limit counts are its own decisions: woken from zero, it may still add four."""
    options = hpa.Options(min_replicas=1, max_replicas=50, target=0.1)
    assert hpa.desired(options, observed(10.0, 1, busy=1.0), []) == 5


class _Pool:
    """A pool in which requests wait from one moment on."""

    watch_wake = watch_empty = False
    on_trigger: Any = None

    def __init__(self, env: simpy.Environment, waits_from: float) -> None:
        self._env, self._waits_from = env, waits_from
        self.added: list[float] = []

    def seen(self) -> Seen:
        waiting = int(self._env.now / 1e9 >= self._waits_from)
        return Seen(waiting, 0, 0, 0, 0, 0, 0, 0, 0)

    def add(self, server: int) -> None:
        self.added.append(self._env.now / 1e9)


def test_keda_finds_the_first_request_at_its_next_poll() -> None:
    part = {"name": "queue", "min_replicas": 0, "max_replicas": 3, "per_replica": 1.0}
    env = simpy.Environment(0)
    pool = _Pool(env, waits_from=100.0)
    policy = Scaling(job({"kind": "real_time", **real_time(scaling=part)}).deployment.scaling)  # type: ignore[union-attr]
    start = StartTimes(node=lambda: 0.0, image_pull=lambda: 0.0, model_load=lambda: 0.0)
    replicas = Replicas(env, pool, 9, start, Breakdowns(), None)  # type: ignore[arg-type]
    sleep_when_empty(replicas, pool, policy)  # type: ignore[arg-type]
    assert pool.watch_wake

    def comes() -> Any:
        yield env.timeout(ticks(100.0))
        pool.on_trigger("wake")

    env.process(comes())
    env.run(until=ticks(200.0))
    assert pool.added == [110.0]  # polls at 20, 50, 80, 110, …


def test_a_service_that_sleeps_is_not_asked(tmp_path: Path, asked: list[float]) -> None:
    """Ticks of 2 s: a day has 43,200, and this service is awake for some minutes of it."""
    scaling = {"name": "scale-to-zero", "max_replicas": 100, "keep_warm": 20.0}
    played, _, _ = play(burst_job(tmp_path, scaling))
    ends = [span[2] / 1e9 for span in played.spans]
    assert asked
    assert all(now % 2 == 0 for now in asked)
    assert all(now < 24 or 598 < now <= max(ends) + 2 for now in asked)
    assert max(ends) < 3600


def test_a_service_that_slept_has_had_no_requests() -> None:
    """30 requests in one of the 30 ticks of a window are one on average, not thirty."""
    options = scale_to_zero.Options(max_replicas=50)
    just_awake = observed(100.0, 1, waiting=30)
    assert scale_to_zero.desired(options, just_awake, []) == 1
    first_of_the_day = observed(4.0, 1, waiting=30)  # of two ticks since midnight
    assert scale_to_zero.desired(options, first_of_the_day, []) == 15
