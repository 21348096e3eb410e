"""Real time: requests cross a shared uplink to autoscaled replicas with a batching queue."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from bench.profile import Profile
from bench.scenario import Fill, RealTimeDeployment, RealTimePart, Workload
from bench.simulate import cloud
from bench.simulate.control import Replicas, autoscale, sleep_when_empty
from bench.simulate.durations import outside
from bench.simulate.kinds import Played, Setting, until_of
from bench.simulate.moments import Steps
from bench.simulate.plane import Pool, PoolPlan, Requests, Routing, Seen, Windows
from bench.simulate.results import OtherWork, Usage
from bench.simulate.scaling import Scaling
from bench.ticks import ticks, to_seconds
from bench.units import DAY_S


def capacity(
    deployment: RealTimeDeployment, profiles: Mapping[str, Profile], workload: Workload
) -> float:
    return capacity_of(deployment, profiles[deployment.name])


def quickest(deployment: RealTimeDeployment, profiles: Mapping[str, Profile]) -> float:
    profile = profiles[deployment.name]
    way = cloud.shortest_way_s(deployment.network, profile)
    return way + cloud.shortest_service_s(deployment, profile)


def capacity_of(part: RealTimePart, profile: Profile) -> float:
    """Requests/s of the most replicas the scaling allows, or of the uplinks, whichever is less."""
    uplinks = part.network.sites * part.network.uplink / (8 * profile.input_bytes)
    return min(Scaling(part.scaling).maximum * cloud.best_rate(part, profile), uplinks)


def least_usage(
    deployment: RealTimeDeployment, profiles: Mapping[str, Profile], days: int, requests: int
) -> dict[str, Usage]:
    return {deployment.name: least_of(deployment, profiles[deployment.name], days, requests)}


def least_of(part: RealTimePart, profile: Profile, days: int, requests: int) -> Usage:
    """The fewest replicas the scaling keeps, day and night: an evicted node is replaced at once."""
    nodes = math.ceil(Scaling(part.scaling).fewest / part.per_node)
    sent = profile.input_bytes * requests
    return Usage.least(nodes, held_s=days * DAY_S, served=requests, uploaded_bytes=sent)


def play(setting: Setting) -> Played:
    deployment: RealTimeDeployment = setting.deployment
    until, name = until_of("real_time", deployment, setting.days), deployment.name
    plan = plan_of(setting, deployment, name, until)
    requests = setting.demand.requests(deployment.network, plan.draws_choice)
    return play_pool(setting, deployment, name, plan, requests, until)


def plan_of(setting: Setting, part: RealTimePart, name: str, until: int) -> PoolPlan:
    service, profile = setting.service(name), setting.profiles[name]
    uplink, downlink = cloud.links(part.network, profile, until, setting.streams)
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
        away=outside([setting.workload.active], until) if setting.demand.closed else Windows(),
    )


def play_pool(
    setting: Setting, part: RealTimePart, name: str, plan: PoolPlan,
    requests: Iterator[Requests], until: int,
) -> Played:  # fmt: skip
    """Replicas under an autoscaler, from midnight to midnight."""
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
    done_before = setting.tally["done"]
    pool.run(until)
    seen = pool.seen()
    spans = replicas.ready_spans(midnight)
    return Played(
        ready=sum(end - since for _, since, end in spans),
        busy=seen.busy,
        batches=seen.batches,
        served=seen.served,
        max_replicas=replicas.peak,
        usage={
            name: cloud.usage_of(
                replicas, midnight, seen, profile,
                offered.count, setting.tally["done"] - done_before,
            )
        },
        other_work=filling.done(seen) if filling else None,
        events=replicas.events,
        spans=spans,
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


class _Counted:
    """Passes requests on, and counts them."""

    def __init__(self, requests: Iterator[Requests]) -> None:
        self._requests, self.count = requests, 0

    def __iter__(self) -> Iterator[Requests]:
        return self

    def __next__(self) -> Requests:
        chunk = next(self._requests)
        self.count += len(chunk)
        return chunk
