"""Real time: requests cross a shared uplink to autoscaled replicas with a batching queue."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence

from bench.profile import Profile
from bench.requests import Requests
from bench.scenario import Fill, RealTimePart, Stage, Workload
from bench.simulate import cloud
from bench.simulate.control import Replicas, autoscale, sleep_when_empty
from bench.simulate.durations import outside
from bench.simulate.limits import Limit, counted
from bench.simulate.moments import Steps
from bench.simulate.places import (
    DRAIN_S,
    Counted,
    Gate,
    Played,
    Playing,
    Setting,
    end_of_work,
    work_off,
)
from bench.simulate.plane import Link, Pool, PoolSpec, Routing, Seen, Windows
from bench.simulate.results import OtherWork, Usage
from bench.simulate.scaling import Scaling
from bench.ticks import FOREVER, ticks, to_seconds
from bench.units import DAY_S

Options = RealTimePart


def rate(part: RealTimePart, profile: Profile, workload: Workload) -> float:
    return cloud.best_rate(part, profile)


def quickest(part: RealTimePart, profile: Profile) -> float:
    return cloud.shortest_way_s(part.network, profile) + cloud.shortest_service_s(part, profile)


def opens(part: RealTimePart) -> None:
    """Replicas work when requests come."""


def limits(part: RealTimePart, profile: Profile, workload: Workload) -> list[Limit]:
    """Those of the most replicas the scaling allows, and of the links."""
    most, waits = Scaling(part.scaling).maximum, cloud.all_wait(part)
    replicas = Limit(
        per_day=DAY_S * most * cloud.best_rate(part, profile),
        what=counted(most, "replica", "serve"),
        waits=waits,
    )
    return [replicas, *cloud.link_limits(part.network, profile, workload.sources, waits)]


def least_usage(part: RealTimePart, profile: Profile, days: int, requests: int) -> Usage:
    """The fewest replicas the scaling keeps, day and night: an evicted node is replaced at once."""
    nodes = math.ceil(Scaling(part.scaling).fewest / part.per_node)
    sent = profile.least_input_bytes * requests
    return Usage.least(nodes, held_s=days * DAY_S, served=requests, uploaded_bytes=sent)


def play(
    setting: Setting, stage: Stage, requests: Iterator[Requests], following: Stage | None
) -> Playing:
    """Replicas under an autoscaler, from midnight to midnight, and on until all is answered."""
    part: RealTimePart = stage.part  # type: ignore[assignment]
    env, profile, midnight = cloud.environment(), setting.profiles[stage.name], setting.midnight
    offered, gate = Counted(requests), Gate(setting, stage, following)
    spec = _spec_of(setting, part, stage.name, following)
    pool: Pool = setting.method.Pool(env, spec, offered, gate)
    policy = Scaling(part.scaling)
    replicas = cloud.replicas_of(env, pool, part, profile, policy.maximum, setting.streams)
    replicas.begin_with(policy.initial)
    if policy.idle_s is not None:
        sleep_when_empty(replicas, pool, policy)
    if policy.period_s is not None:
        replicas.process(autoscale(replicas, pool, policy))
    filling = _Filling(part.fill, setting.days) if part.fill else None
    if filling:
        replicas.process(filling.run(replicas, pool))
    yield from gate.run(pool, midnight)
    busy = pool.seen().busy
    yield from gate.run(pool, midnight + ticks(DRAIN_S))
    filled = pool.seen()
    if following is None:
        work_off(setting, pool)
    else:
        yield from gate.run(pool, setting.until)
    end = end_of_work(setting) if following is None else max(gate.last, midnight)
    seen, ready = (
        pool.seen(),
        sum(till - since for _, since, till in replicas.ready_spans(midnight)),
    )
    paid = _paid(replicas.holdings(end), math.ceil(policy.fewest / part.per_node), midnight)
    downloads = (gate.done, gate.done_size) if following is None else (0, 0.0)
    return Played(
        ready=ready,
        busy=busy,
        available=ready if policy.fewest == policy.maximum else policy.maximum * midnight,
        batches=seen.batches,
        served=seen.served,
        max_replicas=replicas.peak,
        usage={
            stage.name: cloud.usage_of(
                paid, replicas, seen, profile, (offered.count, offered.size), downloads
            )
        },
        other_work=filling.done(filled) if filling else None,
        events=replicas.events,
        spans=replicas.ready_spans(end),
    )


def _spec_of(setting: Setting, part: RealTimePart, name: str, following: Stage | None) -> PoolSpec:
    service, profile = setting.service(name), setting.profiles[name]
    uplink, downlink = cloud.links(part.network, profile, setting.until, setting.streams)
    closed = setting.demand.closed
    return PoolSpec(
        rule=cloud.rule_of(part.batching, service),
        service=service,
        servers=cloud.servers_for(Scaling(part.scaling).maximum),
        routing=Routing[part.routing.upper()],
        admission=cloud.admission_of(part.admission),
        retry=part.in_flight == "retry",
        uplink=uplink,
        downlink=downlink if following is None else Link(),
        users=setting.workload.sources if closed else 0,
        away=outside([setting.workload.active], setting.midnight) if closed else Windows(),
    )


class _Filling:
    """Gives each day's work, and looks whether it is done before the next day's comes."""

    def __init__(self, fill: Fill, days: int) -> None:
        self._fill, self._days, self._overdue = fill, days, 0

    def run(self, replicas: Replicas, pool: Pool) -> Steps:
        for day in range(self._days):
            yield replicas.wait_until(ticks(day * DAY_S + self._fill.at))
            self._look(pool)
            pool.give_work(self._fill.items)
        if self._fill.at == 0 or not self._had_a_day:
            yield replicas.wait_until(ticks(self._days * DAY_S))
            self._look(pool)

    @property
    def _had_a_day(self) -> bool:
        return self._days > 1 or self._fill.at == 0

    def _look(self, pool: Pool) -> None:
        self._overdue = max(self._overdue, pool.seen().work_left)

    def done(self, seen: Seen) -> OtherWork:
        return OtherWork(
            done=seen.work_done,
            left=seen.work_left,
            ended_s=to_seconds(seen.work_ended),
            asked=self._fill.items,
            overdue=self._overdue,
            had_a_day=self._had_a_day,
            optional=self._fill.optional,
        )


def _paid(held: Sequence[tuple[int, int]], lasting: int, midnight: int) -> list[tuple[int, int]]:
    """From when to when each node is paid for.

    As many as are there day and night, the oldest, end with the accounting days: from then on they
    belong to the next. What the scaling holds beside them after the last midnight, it holds for
    these days' requests.

    Args:
        held: from when to when each node was, at the latest until the last answer.
        lasting: nodes that the scaling never goes without.
    """
    older: list[int] = []  # of the nodes before, the latest ends
    paid = []
    for start, end in sorted(held):
        one_of_them = FOREVER if not lasting else older[0] if len(older) == lasting else 0
        until = min(end, max(one_of_them, midnight))
        if until > start:
            paid.append((start, until))
        heapq.heappush(older, end)
        if len(older) > lasting:
            heapq.heappop(older)
    return paid
