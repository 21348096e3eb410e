"""Hybrid: devices answer what they can; the rest crosses the network to replicas in the cloud."""

from __future__ import annotations

from collections.abc import Mapping

from bench.errors import InputError
from bench.profile import Profile
from bench.scenario import HybridDeployment, SpillPlan, Workload
from bench.simulate.durations import outside
from bench.simulate.kinds import Played, Setting, edge, real_time, until_of
from bench.simulate.plane import Link, Spill
from bench.simulate.results import Usage
from bench.ticks import FOREVER


def capacity(
    deployment: HybridDeployment, profiles: Mapping[str, Profile], workload: Workload
) -> float:
    """Both together where a queue spills; otherwise each must do its own share."""
    at_edge, in_cloud = deployment.parts
    devices = edge.capacity_of(deployment.edge, profiles[at_edge], workload)
    replicas = real_time.capacity_of(deployment.cloud, profiles[in_cloud])
    if deployment.spill.queue is not None:
        return devices + replicas
    return min(devices, replicas / deployment.spill.unsure)


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
    until = until_of("hybrid", deployment, setting.days)
    pool_plan = real_time.plan_of(setting, deployment.cloud, in_cloud, until)
    spill = _spill(deployment.spill, pool_plan.uplink, until)
    fleet_plan = edge.plan_of(setting, deployment.edge, at_edge, until, spill)
    requests = setting.demand.requests(
        deployment.cloud.network, fleet_plan.draws_choice or pool_plan.draws_choice
    )
    fleet = setting.method.Fleet(fleet_plan, requests, setting.tally, until)
    cloud = real_time.play_pool(
        setting, deployment.cloud, in_cloud, pool_plan, fleet.spilled(), until
    )
    seen = fleet.seen()
    return Played(
        ready=cloud.ready + deployment.edge.fleet * setting.midnight,
        busy=cloud.busy + seen.busy,
        batches=cloud.batches + seen.batches,
        served=cloud.served + seen.served,
        max_replicas=cloud.max_replicas,
        usage={at_edge: edge.usage_of(deployment.edge, seen.served, seen.busy), **cloud.usage},
        other_work=cloud.other_work,
        events=cloud.events,
        spans=cloud.spans,
    )


def _spill(plan: SpillPlan, uplink: Link, until: int) -> Spill:
    return Spill(
        queue=FOREVER if plan.queue is None else plan.queue,
        share=plan.unsure,
        off_line=outside(plan.on_line, until),
        outages=uplink.outages,
    )
