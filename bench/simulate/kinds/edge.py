"""Edge: every device answers its own sources, first come first served, on the spot."""

from __future__ import annotations

import numpy as np
import simpy

from bench.profile import Profile
from bench.scenario import EdgeDeployment, Workload
from bench.simulate.kinds import Outcome, Setting
from bench.simulate.results import Usage
from bench.simulate.station import Policy, ServiceTimes, Station
from bench.units import DAY_S


def capacity(deployment: EdgeDeployment, profile: Profile, workload: Workload) -> float:
    """Requests/s: the busiest device, with ``ceil(sources / fleet)`` sources, sets the limit."""
    sizes = range(1, Policy(deployment.batching).largest + 1)
    one_device = max(size / profile.mean_service_s(size) for size in sizes)
    return one_device * workload.sources / -(-workload.sources // deployment.fleet)


def play(setting: Setting) -> Outcome:
    deployment: EdgeDeployment = setting.deployment
    demand, env = setting.demand, simpy.Environment()
    finished = np.full(len(demand), np.inf)

    def done(request: int) -> None:
        finished[request] = env.now

    service = ServiceTimes(setting.profile, setting.streams.get("service"))
    used = min(deployment.fleet, setting.workload.sources)
    stations = [Station(env, Policy(deployment.batching), service, done) for _ in range(used)]
    for station in stations:
        station.add_server()

    def sources() -> simpy.events.ProcessGenerator:
        for request, (time_s, source) in enumerate(
            zip(demand.arrival_s.tolist(), demand.source.tolist(), strict=True)
        ):
            yield env.timeout(max(time_s - env.now, 0.0))
            stations[source % used].arrive(request)

    env.process(sources())
    env.run(until=2 * DAY_S)
    busy = sum(station.busy_s for station in stations)
    batches = sum(station.batches for station in stations)
    return Outcome(
        finished_s=finished,
        ready_s=deployment.fleet * setting.workload.active.length_s,
        busy_s=busy,
        mean_batch=sum(s.served for s in stations) / max(batches, 1),
        max_replicas=deployment.fleet,
        usage=Usage(
            holdings=[],
            devices=deployment.fleet,
            busy_s=busy,
            uploaded_bytes=0.0,
            downloaded_bytes=0.0,
            stored_byte_s=0.0,
        ),
    )
