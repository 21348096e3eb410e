"""Real time: requests cross a shared uplink to autoscaled replicas with a batching queue."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Mapping, Sequence

from bench.profile import Profile
from bench.requests import Requests
from bench.scenario import Fill, RealTimeDeployment, RealTimePart, Workload
from bench.simulate import cloud
from bench.simulate.control import Replicas, autoscale, sleep_when_empty
from bench.simulate.durations import outside
from bench.simulate.kinds import DRAIN_S, Played, Setting, end_of_work, work_off
from bench.simulate.limits import Limit, counted
from bench.simulate.moments import Steps
from bench.simulate.plane import Pool, PoolPlan, Routing, Seen, Windows
from bench.simulate.results import OtherWork, Usage
from bench.simulate.scaling import Scaling
from bench.ticks import FOREVER, ticks, to_seconds
from bench.units import DAY_S


def capacity(
    deployment: RealTimeDeployment, profiles: Mapping[str, Profile], workload: Workload
) -> list[Limit]:
    return limits_of(deployment, profiles[deployment.name], workload)


def quickest(deployment: RealTimeDeployment, profiles: Mapping[str, Profile]) -> float:
    profile = profiles[deployment.name]
    way = cloud.shortest_way_s(deployment.network, profile)
    return way + cloud.shortest_service_s(deployment, profile)


def limits_of(part: RealTimePart, profile: Profile, workload: Workload) -> list[Limit]:
    """Those of the most replicas the scaling allows, and of the links."""
    most, waits = Scaling(part.scaling).maximum, cloud.all_wait(part)
    replicas = Limit(
        per_day=DAY_S * most * cloud.best_rate(part, profile),
        what=counted(most, "replica", "serve"),
        waits=waits,
    )
    return [replicas, *cloud.link_limits(part.network, profile, workload.sources, waits)]


def least_usage(
    deployment: RealTimeDeployment, profiles: Mapping[str, Profile], days: int, requests: int
) -> dict[str, Usage]:
    return {deployment.name: least_of(deployment, profiles[deployment.name], days, requests)}


def least_of(part: RealTimePart, profile: Profile, days: int, requests: int) -> Usage:
    """The fewest replicas the scaling keeps, day and night: an evicted node is replaced at once."""
    nodes = math.ceil(Scaling(part.scaling).fewest / part.per_node)
    sent = profile.least_input_bytes * requests
    return Usage.least(nodes, held_s=days * DAY_S, served=requests, uploaded_bytes=sent)


def play(setting: Setting) -> Played:
    deployment: RealTimeDeployment = setting.deployment
    name = deployment.name
    plan = plan_of(setting, deployment, name)
    requests = setting.demand.requests(deployment.network, plan.draws_choice)
    return play_pool(setting, deployment, name, plan, requests)


def plan_of(setting: Setting, part: RealTimePart, name: str) -> PoolPlan:
    service, profile = setting.service(name), setting.profiles[name]
    uplink, downlink = cloud.links(part.network, profile, setting.until, setting.streams)
    return PoolPlan(
        rule=cloud.rule_of(part.batching, service),
        service=service,
        servers=cloud.servers_for(Scaling(part.scaling).maximum),
        routing=Routing[part.routing.upper()],
        admission=cloud.admission(part.admission),
        retry=part.in_flight == "retry",
        uplink=uplink,
        downlink=downlink,
        users=setting.workload.sources if setting.demand.closed else 0,
        away=outside([setting.workload.active], setting.midnight)
        if setting.demand.closed
        else Windows(),
    )


def play_pool(
    setting: Setting, part: RealTimePart, name: str, plan: PoolPlan,
    requests: Iterator[Requests],
) -> Played:  # fmt: skip
    """Replicas under an autoscaler, from midnight to midnight, and on until all is answered."""
    env, profile, midnight = cloud.environment(), setting.profiles[name], setting.midnight
    offered = _Counted(requests)
    pool: Pool = setting.method.Pool(env, plan, offered, setting.tally)
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
    done_before, size_before = setting.tally.done
    pool.run(midnight)
    busy = pool.seen().busy
    pool.run(midnight + ticks(DRAIN_S))
    filled = pool.seen()
    work_off(setting, pool)
    seen, end = pool.seen(), end_of_work(setting)
    done, size = setting.tally.done
    ready = sum(till - since for _, since, till in replicas.ready_spans(midnight))
    return Played(
        ready=ready,
        busy=busy,
        available=ready if policy.fewest == policy.maximum else policy.maximum * midnight,
        batches=seen.batches,
        served=seen.served,
        max_replicas=replicas.peak,
        usage={
            name: cloud.usage_of(
                _paid(replicas.holdings(end), math.ceil(policy.fewest / part.per_node), midnight),
                replicas, seen, profile,
                (offered.count, offered.size), (done - done_before, size - size_before),
            )
        },
        other_work=filling.done(filled) if filling else None,
        events=replicas.events,
        spans=replicas.ready_spans(end),
    )  # fmt: skip


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


class _Counted:
    """Passes requests on, counts them, and adds up their sizes."""

    def __init__(self, requests: Iterator[Requests]) -> None:
        self._requests, self.count, self.size = requests, 0, 0.0

    def __iter__(self) -> Iterator[Requests]:
        return self

    def __next__(self) -> Requests:
        chunk = next(self._requests)
        self.count += len(chunk)
        self.size += float(chunk.size.sum())
        return chunk
