"""Edge: every device answers its own sources, first come first served, on the spot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import pairwise

from bench.errors import InputError
from bench.profile import Profile
from bench.scenario import EdgeDeployment, EdgePart, Workload
from bench.simulate import cloud
from bench.simulate.demand import sites_of
from bench.simulate.durations import breakdowns, daily, outside
from bench.simulate.kinds import Played, Setting
from bench.simulate.limits import Limit, counted
from bench.simulate.plane import Battery, FleetPlan, Pool, PoolPlan, Routing, Spill
from bench.simulate.results import Usage
from bench.ticks import ticks, to_seconds
from bench.units import DAY_S


def capacity(
    deployment: EdgeDeployment, profiles: Mapping[str, Profile], workload: Workload
) -> list[Limit]:
    return limits_of(deployment, profiles[deployment.name], workload)


def quickest(deployment: EdgeDeployment, profiles: Mapping[str, Profile]) -> float:
    return shortest_of(deployment, profiles[deployment.name])


def least_usage(
    deployment: EdgeDeployment, profiles: Mapping[str, Profile], days: int, requests: int
) -> dict[str, Usage]:
    return {deployment.name: usage_of(deployment, requests, 0)}


def shortest_of(part: EdgePart, profile: Profile) -> float:
    return cloud.shortest_service_s(part, profile) * part.power_mode.slowdown


def limits_of(part: EdgePart, profile: Profile, workload: Workload) -> list[Limit]:
    """Where sources cannot be shared evenly, some devices have more of them than others."""
    served, sources = device_per_day(part, profile), workload.sources
    loads, waits, share = sources_of_each(workload, part.fleet), cloud.all_wait(part), 0.0
    devices = counted(part.fleet, "device", "serve")
    found = []
    for each in sorted(loads, reverse=True):
        share += each * loads[each] / sources
        busiest = f", {each} of {sources} sources on one," if len(loads) > 1 else ""
        steady = not part.awake and part.duty_cycle is None
        found.append(Limit(served * sources / each, devices + busiest, waits, share, steady))
    return found


def sources_of_each(workload: Workload, fleet: int) -> Counter[int]:
    """By a number of sources: how many devices have so many. No device serves two sites."""
    sources, sites = workload.sources, sites_of(workload)
    devices = min(fleet, sources)
    found: Counter[int] = Counter()
    # What a site has changes where the remainders end; between, all sites are alike.
    edges = sorted({0, sources % sites, devices % sites, sites})
    for site, end in pairwise(edges):
        own = devices // sites + (site < devices % sites)
        each, more = divmod(sources // sites + (site < sources % sites), own)
        found[each + 1] += more * (end - site)
        found[each] += (own - more) * (end - site)
    return +found


def device_per_day(part: EdgePart, profile: Profile) -> float:
    """Requests a day of one device that always has work; a batch that has begun is ended."""
    rate, full = cloud.best_rate(part, profile), cloud.largest_batch(part.batching)
    rate /= part.power_mode.slowdown
    duty = part.duty_cycle
    if duty:
        rate = min(rate, (rate * duty.on + full) / duty.period)
    if not part.awake:
        return rate * DAY_S
    return sum(rate * hours.length_s + full for hours in part.awake)


def device_rate(part: EdgePart, profile: Profile, workload: Workload) -> float:
    """Requests/s of one device that always has work, over the active hours."""
    rate = cloud.best_rate(part, profile) / part.power_mode.slowdown
    if part.duty_cycle:
        rate *= part.duty_cycle.on / part.duty_cycle.period
    if part.awake:
        rate *= sum(hours.length_s for hours in part.awake) / DAY_S
        rate *= DAY_S / workload.active.length_s
    return rate


def play(setting: Setting) -> Played:
    deployment: EdgeDeployment = setting.deployment
    if setting.demand.closed:
        return _play_users(setting, deployment)
    plan = plan_of(setting, deployment, deployment.name)
    requests = setting.demand.requests(choice=plan.draws_choice)
    fleet = setting.method.Fleet(plan, requests, setting.tally, setting.until)
    for _ in fleet.spilled():
        pass
    seen = fleet.seen()
    return Played(
        ready=deployment.fleet * setting.midnight,
        available=deployment.fleet * setting.midnight,
        busy=seen.busy - seen.overtime,
        batches=seen.batches,
        served=seen.served,
        max_replicas=deployment.fleet,
        usage={deployment.name: usage_of(deployment, seen.served, seen.busy)},
    )


def usage_of(part: EdgePart, served: int, busy: int) -> Usage:
    """Devices are there, used or not; over a cellular connection they report each answer."""
    return Usage(
        holdings=[],
        devices=part.fleet,
        served=served,
        busy_s=to_seconds(busy),
        uploaded_bytes=served * part.cellular.report if part.cellular else 0.0,
        downloaded_bytes=0.0,
        stored_byte_s=0.0,
    )


def plan_of(setting: Setting, part: EdgePart, name: str, spill: Spill | None = None) -> FleetPlan:
    used, until = min(part.fleet, setting.workload.sources), setting.until
    service = setting.service(name).slowed(part.power_mode.slowdown)
    limits = cloud.admission(part.admission)
    duty = part.duty_cycle
    period = ticks(duty.period) if duty else 0
    return FleetPlan(
        devices=used,
        sites=sites_of(setting.workload),
        rule=cloud.rule_of(part.batching, service),
        service=service,
        queue_limit=limits.queue_limit,
        timeout=limits.timeout,
        retry=part.in_flight == "retry",
        failures=breakdowns(part.failures, used, until, setting.rng("breakdowns"), "failures"),
        asleep=outside(part.awake, until),
        duty_period=period,
        duty_on=ticks(duty.on) if duty else 0,
        duty_phase=setting.rng("duty").integers(0, period, used) if duty else None,
        battery=_battery(part, until),
        spill=spill or Spill(),
        midnight=setting.midnight,
    )


def _battery(part: EdgePart, until: int) -> Battery | None:
    plan = part.battery
    if plan is None:
        return None
    mode = part.power_mode
    active = mode.active if mode.active is not None else plan.active
    saver = plan.saver.active if plan.saver.active is not None else active
    return Battery(
        capacity=plan.capacity,
        idle=plan.idle,
        active=active,
        charger=plan.charger,
        charging=daily(plan.charging, until),
        restart=plan.restart * plan.capacity,
        saver_below=plan.saver_below * plan.capacity,
        saver_slowdown=plan.saver.slowdown,
        saver_active=saver,
    )


def _play_users(setting: Setting, deployment: EdgeDeployment) -> Played:
    """A closed loop: each user's answers come from one device, which is always there."""
    if deployment.duty_cycle or deployment.awake or deployment.battery or deployment.failures:
        raise InputError(
            f"{deployment.name!r} has devices that are not always there, and the users of a closed "
            "loop would all wait for them",
            where="workload.arrivals",
            allowed="closed-loop with devices that have no duty_cycle, awake, battery or failures",
            todo="Use an open arrival process",
        )
    name = deployment.name
    used, sites = min(deployment.fleet, setting.workload.sources), sites_of(setting.workload)
    if used % sites and used < setting.workload.sources:
        raise InputError(
            f"{name!r} has {used} devices at {sites} sites, and users of a closed loop need as many "
            "at each",
            where="fleet",
            allowed=f"a multiple of {sites}, or a device for each source",
        )
    service = setting.service(name).slowed(deployment.power_mode.slowdown)
    plan = PoolPlan(
        rule=cloud.rule_of(deployment.batching, service),
        service=service,
        servers=used,
        routing=Routing.STICKY,
        admission=cloud.admission(deployment.admission),
        users=setting.workload.sources,
        away=outside([setting.workload.active], setting.midnight),
    )
    requests = setting.demand.requests(choice=plan.draws_choice)
    pool: Pool = setting.method.Pool(cloud.environment(), plan, requests, setting.tally)
    for device in range(used):
        pool.add(device)
    pool.run(setting.midnight)
    busy = pool.seen().busy
    pool.run(setting.until)
    seen = pool.seen()
    return Played(
        ready=deployment.fleet * setting.midnight,
        available=deployment.fleet * setting.midnight,
        busy=busy,
        batches=seen.batches,
        served=seen.served,
        max_replicas=deployment.fleet,
        usage={name: usage_of(deployment, seen.served, seen.busy)},
    )
