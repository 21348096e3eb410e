"""Edge: every device answers its own sources, first come first served, on the spot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np

from bench.errors import InputError
from bench.profile import Profile
from bench.requests import Requests
from bench.scenario import EdgePart, Stage, Workload
from bench.simulate import cloud
from bench.simulate.demand import sites_of
from bench.simulate.durations import breakdowns, daily, outside
from bench.simulate.limits import Limit, counted
from bench.simulate.places import Played, Playing, Setting
from bench.simulate.plane import Battery, FleetSpec, Pool, PoolSpec, Routing, Spill
from bench.simulate.results import Usage
from bench.ticks import FOREVER, ticks, to_seconds
from bench.units import DAY_S

Options = EdgePart


def quickest(part: EdgePart, profile: Profile) -> float:
    return cloud.shortest_service_s(part, profile) * part.power_mode.slowdown


def least_usage(part: EdgePart, profile: Profile, days: int, requests: int) -> Usage:
    return usage_of(part, requests, 0)


def opens(part: EdgePart) -> None:
    """Devices work when requests come."""


def limits(part: EdgePart, profile: Profile, workload: Workload) -> list[Limit]:
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


def together(part: EdgePart, profile: Profile, workload: Workload) -> Limit:
    """What all devices do, were the requests spread over them as they can take them."""
    used = min(part.fleet, workload.sources)
    return Limit(
        per_day=used * device_per_day(part, profile),
        what=counted(used, "device", "serve"),
        waits=cloud.all_wait(part),
        steady=not part.awake and part.duty_cycle is None,
    )


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


def rate(part: EdgePart, profile: Profile, workload: Workload) -> float:
    """Requests/s of one device that always has work, over the active hours."""
    found = cloud.best_rate(part, profile) / part.power_mode.slowdown
    if part.duty_cycle:
        found *= part.duty_cycle.on / part.duty_cycle.period
    if part.awake:
        found *= sum(hours.length_s for hours in part.awake) / DAY_S
        found *= DAY_S / workload.active.length_s
    return found


def play(
    setting: Setting, stage: Stage, requests: Iterator[Requests], following: Stage | None
) -> Playing:
    part: EdgePart = stage.part  # type: ignore[assignment]
    if setting.demand.closed:
        return _play_users(setting, part, stage.name, requests)
    if following is not None and following.only_found:
        requests = _chosen_by_what_is_found(setting, stage, following, requests)
    spec = _spec_of(setting, part, stage.name, _spill(setting, following))
    fleet = setting.method.Fleet(spec, requests, setting.tally, setting.until)
    yield from fleet.spilled()
    seen = fleet.seen()
    return Played(
        ready=part.fleet * setting.midnight,
        available=part.fleet * setting.midnight,
        busy=seen.busy - seen.overtime,
        batches=seen.batches,
        served=seen.served,
        max_replicas=part.fleet,
        usage={stage.name: usage_of(part, seen.served, seen.busy)},
        devices=True,
    )


def _spill(setting: Setting, following: Stage | None) -> Spill:
    """What devices pass on: nothing, all that they answer, or what the following stage takes."""
    if following is None:
        return Spill()
    takes = following.spill
    if takes is None:
        return Spill(share=0.5 if following.only_found else 1.0)
    outages, network = None, following.part.network
    if network is not None:
        profile = setting.profiles[following.name]
        outages = cloud.links(network, profile, setting.until, setting.streams)[0].outages
    return Spill(
        queue=FOREVER if takes.queue is None else takes.queue,
        share=takes.unsure,
        off_line=outside(takes.on_line, setting.until),
        outages=outages,
    )


def _chosen_by_what_is_found(
    setting: Setting, stage: Stage, following: Stage, requests: Iterator[Requests]
) -> Iterator[Requests]:
    """A fleet passes on the share with the lowest numbers: here one of two, by what is found."""
    for chunk in requests:
        passed = setting.goes_on(stage, following, chunk.number)
        yield replace(chunk, choice=np.where(passed, 0.25, 0.75))


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


def _spec_of(setting: Setting, part: EdgePart, name: str, spill: Spill) -> FleetSpec:
    used, until = min(part.fleet, setting.workload.sources), setting.until
    service = setting.service(name).slowed(part.power_mode.slowdown)
    limits = cloud.admission_of(part.admission)
    duty = part.duty_cycle
    period = ticks(duty.period) if duty else 0
    return FleetSpec(
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
        spill=spill,
        midnight=setting.midnight,
    )


def _battery(part: EdgePart, until: int) -> Battery | None:
    options = part.battery
    if options is None:
        return None
    mode = part.power_mode
    active = mode.active if mode.active is not None else options.active
    saver = options.saver.active if options.saver.active is not None else active
    return Battery(
        capacity=options.capacity,
        idle=options.idle,
        active=active,
        charger=options.charger,
        charging=daily(options.charging, until),
        restart=options.restart * options.capacity,
        saver_below=options.saver_below * options.capacity,
        saver_slowdown=options.saver.slowdown,
        saver_active=saver,
    )


def _play_users(
    setting: Setting, part: EdgePart, name: str, requests: Iterator[Requests]
) -> Played:
    """A closed loop: each user's answers come from one device, which is always there."""
    if part.duty_cycle or part.awake or part.battery or part.failures:
        raise InputError(
            f"{name!r} has devices that are not always there, and the users of a closed "
            "loop would all wait for them",
            where="workload.arrivals",
            allowed="closed-loop with devices that have no duty_cycle, awake, battery or failures",
            todo="Use an open arrival process",
        )
    used, sites = min(part.fleet, setting.workload.sources), sites_of(setting.workload)
    if used % sites and used < setting.workload.sources:
        raise InputError(
            f"{name!r} has {used} devices at {sites} sites, and users of a closed loop need as many "
            "at each",
            where="fleet",
            allowed=f"a multiple of {sites}, or a device for each source",
        )
    service = setting.service(name).slowed(part.power_mode.slowdown)
    spec = PoolSpec(
        rule=cloud.rule_of(part.batching, service),
        service=service,
        servers=used,
        routing=Routing.STICKY,
        admission=cloud.admission_of(part.admission),
        users=setting.workload.sources,
        away=outside([setting.workload.active], setting.midnight),
    )
    pool: Pool = setting.method.Pool(cloud.environment(), spec, requests, setting.tally)
    for device in range(used):
        pool.add(device)
    pool.run(setting.midnight)
    busy = pool.seen().busy
    pool.run(setting.until)
    seen = pool.seen()
    return Played(
        ready=part.fleet * setting.midnight,
        available=part.fleet * setting.midnight,
        busy=busy,
        batches=seen.batches,
        served=seen.served,
        max_replicas=part.fleet,
        usage={name: usage_of(part, seen.served, seen.busy)},
        devices=True,
    )
