"""Batch: the day's inputs are uploaded and stored; nodes start at the window and work them off."""

from __future__ import annotations

import numpy as np
import simpy

from bench.profile import Profile
from bench.scenario import BatchDeployment, Workload
from bench.simulate.kinds import Outcome, Setting
from bench.simulate.link import deliver, one_way_delays
from bench.simulate.results import Holding, Usage
from bench.simulate.station import Policy, ServiceTimes, Station
from bench.units import DAY_S


def capacity(deployment: BatchDeployment, profile: Profile, workload: Workload) -> float:
    """Requests/s over the day that the nodes can work off before the next window opens."""
    sizes = range(1, Policy(deployment.batching).largest + 1)
    one_node = max(size / profile.mean_service_s(size) for size in sizes)
    return deployment.nodes * one_node * DAY_S / workload.active.length_s


def play(setting: Setting) -> Outcome:
    deployment: BatchDeployment = setting.deployment
    profile, demand, network = setting.profile, setting.demand, setting.deployment.network
    env = simpy.Environment()
    finished = np.full(len(demand), np.inf)
    delays = one_way_delays(network, len(demand), setting.streams.get("network"))
    stored = deliver(demand.arrival_s, profile.input_bytes, network.uplink, delays)

    def done(request: int) -> None:
        finished[request] = env.now

    opens = deployment.window.opens
    service = ServiceTimes(profile, setting.streams.get("service"))
    station = Station(env, Policy(deployment.batching), service, done)
    on_time = np.flatnonzero(stored <= opens)
    start_up = deployment.start_up.node + deployment.start_up.image_pull + profile.load_s

    def night() -> simpy.events.ProcessGenerator:
        yield env.timeout(opens)
        for request in on_time[np.argsort(stored[on_time], kind="stable")].tolist():
            station.arrive(request)
        yield env.timeout(start_up)
        for _ in range(deployment.nodes):
            station.add_server()

    env.process(night())
    env.run(until=opens + DAY_S)
    answered = np.isfinite(finished)
    ends = float(finished[answered].max()) if answered.any() else opens + start_up
    return Outcome(
        finished_s=finished,
        ready_s=deployment.nodes * max(ends - opens - start_up, 1e-9),
        busy_s=station.busy_s,
        mean_batch=station.served / max(station.batches, 1),
        max_replicas=deployment.nodes,
        usage=Usage(
            holdings=[Holding(start_s=opens, end_s=ends)] * deployment.nodes,
            devices=deployment.nodes,
            busy_s=station.busy_s,
            uploaded_bytes=profile.input_bytes * len(demand),
            downloaded_bytes=profile.output_bytes * int(answered.sum()),
            stored_byte_s=profile.input_bytes
            * float((np.minimum(finished, ends) - stored).clip(min=0).sum()),
        ),
    )
