"""Hybrid: devices answer what they can; the rest crosses the network to replicas in the cloud."""

from __future__ import annotations

from collections.abc import Mapping

from bench.errors import InputError
from bench.profile import Profile
from bench.scenario import HybridDeployment, SpillPlan, Workload
from bench.simulate import cloud
from bench.simulate.durations import outside
from bench.simulate.kinds import Played, Setting, edge, real_time
from bench.simulate.limits import Limit, counted
from bench.simulate.plane import Link, Spill
from bench.simulate.results import Usage
from bench.ticks import FOREVER
from bench.units import format_percent


def capacity(
    deployment: HybridDeployment, profiles: Mapping[str, Profile], workload: Workload
) -> list[Limit]:
    """Both together where a queue spills; otherwise each must do its own share."""
    part, spill = deployment.edge, deployment.spill
    at_edge, in_cloud = (profiles[name] for name in deployment.parts)
    beyond = real_time.limits_of(deployment.cloud, in_cloud, workload)
    waits = cloud.all_wait(part)
    if spill.queue is not None:
        used = min(part.fleet, workload.sources)
        devices = used * edge.device_per_day(part, at_edge)
        return [
            Limit(
                per_day=devices + limit.per_day,
                what=f"{counted(used, 'device', 'serve')} and {limit.what}",
                waits=waits and limit.waits,
                steady=not part.awake and part.duty_cycle is None,
            )
            for limit in beyond
        ]
    own = edge.limits_of(part, at_edge, workload)
    if spill.on_line or deployment.cloud.network.outages:
        return own  # how many are passed on, depends on when they come
    return [
        *own,
        *(
            Limit(
                per_day=limit.per_day / spill.unsure,
                what=f"of these, {format_percent(spill.unsure)} of which are passed on, {limit.what}",
                waits=waits and limit.waits,
            )
            for limit in beyond
        ),
    ]


def quickest(deployment: HybridDeployment, profiles: Mapping[str, Profile]) -> float:
    at_edge, _ = deployment.parts
    return edge.shortest_of(deployment.edge, profiles[at_edge])


def least_usage(
    deployment: HybridDeployment, profiles: Mapping[str, Profile], days: int, requests: int
) -> dict[str, Usage]:
    """Either part may have to answer none."""
    at_edge, in_cloud = deployment.parts
    return {
        at_edge: edge.usage_of(deployment.edge, 0, 0),
        in_cloud: real_time.least_of(deployment.cloud, profiles[in_cloud], days, 0),
    }


def play(setting: Setting) -> Played:
    deployment: HybridDeployment = setting.deployment
    if setting.demand.closed:
        raise InputError(
            f"{deployment.name!r} is a hybrid, whose devices and replicas would both have to hold "
            "the users of a closed loop",
            where="workload.arrivals",
            allowed="an open arrival process with hybrid deployments",
        )
    at_edge, in_cloud = deployment.parts
    pool_plan = real_time.plan_of(setting, deployment.cloud, in_cloud)
    spill = _spill(deployment.spill, pool_plan.uplink, setting.until)
    fleet_plan = edge.plan_of(setting, deployment.edge, at_edge, spill)
    requests = setting.demand.requests(
        deployment.cloud.network, fleet_plan.draws_choice or pool_plan.draws_choice
    )
    fleet = setting.method.Fleet(fleet_plan, requests, setting.tally, setting.until)
    played = real_time.play_pool(setting, deployment.cloud, in_cloud, pool_plan, fleet.spilled())
    seen = fleet.seen()
    return Played(
        ready=played.ready + deployment.edge.fleet * setting.midnight,
        available=played.available + deployment.edge.fleet * setting.midnight,
        busy=played.busy + seen.busy - seen.overtime,
        batches=played.batches + seen.batches,
        served=played.served + seen.served,
        max_replicas=played.max_replicas,
        usage={at_edge: edge.usage_of(deployment.edge, seen.served, seen.busy), **played.usage},
        other_work=played.other_work,
        events=played.events,
        spans=played.spans,
    )


def _spill(plan: SpillPlan, uplink: Link, until: int) -> Spill:
    return Spill(
        queue=FOREVER if plan.queue is None else plan.queue,
        share=plan.unsure,
        off_line=outside(plan.on_line, until),
        outages=uplink.outages,
    )
