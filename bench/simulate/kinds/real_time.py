"""Real time: requests cross a shared uplink to autoscaled replicas with a batching queue."""

from __future__ import annotations

from typing import Any

import numpy as np
import simpy

from bench import extensions
from bench.profile import Profile
from bench.scenario import Part, RealTimeDeployment, Workload
from bench.simulate.kinds import Outcome, Setting
from bench.simulate.link import deliver, one_way_delays
from bench.simulate.results import Holding, Usage
from bench.simulate.scaling import Observed
from bench.simulate.station import Policy, ServiceTimes, Station
from bench.units import DAY_S

SCALING = "bench.simulate.scaling"
DRAIN_S = 600.0
"""After midnight, requests under way are answered for this long; held machines count to midnight."""


def capacity(deployment: RealTimeDeployment, profile: Profile, workload: Workload) -> float:
    """Requests/s of the most replicas the scaling allows, or of the uplink, whichever is less."""
    sizes = range(1, Policy(deployment.batching).largest + 1)
    one_replica = max(size / profile.mean_service_s(size) for size in sizes)
    uplink = deployment.network.uplink / (8 * profile.input_bytes)
    return min(_Scaling(deployment.scaling).maximum * one_replica, uplink)


def play(setting: Setting) -> Outcome:
    deployment: RealTimeDeployment = setting.deployment
    demand, profile, network = setting.demand, setting.profile, setting.deployment.network
    env, rng = simpy.Environment(), setting.streams.get("network")
    served = np.full(len(demand), np.inf)

    def done(request: int) -> None:
        served[request] = env.now

    up_delay = one_way_delays(network, len(demand), rng)
    reaches = deliver(demand.arrival_s, profile.input_bytes, network.uplink, up_delay)
    service = ServiceTimes(profile, setting.streams.get("service"))
    station = Station(env, Policy(deployment.batching), service, done)
    pool = _ReplicaPool(env, station, deployment, profile)
    order = np.argsort(reaches, kind="stable")

    def door() -> simpy.events.ProcessGenerator:
        for request, time_s in zip(order.tolist(), reaches[order].tolist(), strict=True):
            yield env.timeout(max(time_s - env.now, 0.0))
            station.arrive(request)

    env.process(door())
    env.run(until=DAY_S)
    holdings, ready_s = pool.holdings(), pool.ready_s()
    env.run(until=DAY_S + DRAIN_S)
    down_delay = one_way_delays(network, len(demand), rng)
    finished = _answer(served, profile.output_bytes, network.downlink, down_delay)
    return Outcome(
        finished_s=finished,
        ready_s=ready_s,
        busy_s=station.busy_s,
        mean_batch=station.served / max(station.batches, 1),
        max_replicas=pool.peak,
        usage=Usage(
            holdings=holdings,
            devices=pool.peak,
            busy_s=station.busy_s,
            uploaded_bytes=profile.input_bytes * len(demand),
            downloaded_bytes=profile.output_bytes * int(np.isfinite(finished).sum()),
            stored_byte_s=0.0,
        ),
    )


def _answer(served: Any, payload_bytes: float, bandwidth: float, delays: Any) -> Any:
    """When the answers are back at the site; unserved requests stay endless."""
    finished = np.full(len(served), np.inf)
    order = np.argsort(served, kind="stable")[: int(np.isfinite(served).sum())]
    finished[order] = deliver(served[order], payload_bytes, bandwidth, delays[order])
    return finished


class _Scaling:
    """A scaling policy with its options bound."""

    def __init__(self, part: Part) -> None:
        module = extensions.load(SCALING, part.name)
        options = module.Options.model_validate(part.options)
        self.initial: int
        self.maximum: int
        self.initial, self.maximum = module.bounds(options)
        self.period_s: float | None = module.period_s(options)
        self._history: list[tuple[float, int]] = []
        self._module, self._options = module, options

    def desired(self, observed: Observed) -> int:
        wish: int = self._module.desired(self._options, observed, self._history)
        return wish


class _ReplicaPool:
    """Nodes with one replica each: held from the order on, ready after node start and model load.

    The initial replicas are ready at midnight; the service has been running before.
    """

    def __init__(
        self,
        env: simpy.Environment,
        station: Station,
        deployment: RealTimeDeployment,
        profile: Profile,
    ) -> None:
        self._env, self._station = env, station
        self._scaling = _Scaling(deployment.scaling)
        start_up = deployment.start_up
        self._start_up_s = start_up.node + start_up.image_pull + profile.load_s
        self._held_since: dict[int, float] = {}
        self._ready_since: dict[int, float] = {}
        self._draining: set[int] = set()
        self._ordered: list[float] = []
        self._past_holdings: list[Holding] = []
        self._past_ready_s = 0.0
        self.peak = self._scaling.initial
        station.on_retired = self._release
        for _ in range(self._scaling.initial):
            self._serve_from(0.0)
        if self._scaling.period_s is not None:
            env.process(self._control(self._scaling.period_s))

    def ready_s(self) -> float:
        """Server-seconds ready to work until now."""
        since_ready = (self._env.now - since for since in self._ready_since.values())
        return self._past_ready_s + sum(since_ready)

    def holdings(self) -> list[Holding]:
        """What was held until now; machines held at this moment count up to it."""
        now = self._env.now
        held = [Holding(start_s=since, end_s=now) for since in self._held_since.values()]
        starting = [Holding(start_s=since, end_s=now) for since in self._ordered]
        return [*self._past_holdings, *held, *starting]

    def _control(self, period: float) -> simpy.events.ProcessGenerator:
        busy_before = 0.0
        while True:
            yield self._env.timeout(period)
            ready = len(self._ready_since) - len(self._draining)
            busy = (self._station.busy_s - busy_before) / (period * max(ready, 1))
            busy_before = self._station.busy_s
            replicas = ready + len(self._ordered)
            wanted = self._scaling.desired(
                Observed(self._env.now, replicas, busy, self._station.waiting)
            )
            for _ in range(wanted - replicas):
                self._env.process(self._start())
            for server in self._youngest(replicas - wanted):
                self._draining.add(server)
                self._station.retire(server)

    def _start(self) -> simpy.events.ProcessGenerator:
        ordered = self._env.now
        self._ordered.append(ordered)
        self.peak = max(self.peak, len(self._ready_since) + len(self._ordered))
        yield self._env.timeout(self._start_up_s)
        self._ordered.remove(ordered)
        self._serve_from(ordered)

    def _serve_from(self, ordered_s: float) -> None:
        server = self._station.add_server()
        self._held_since[server] = ordered_s
        self._ready_since[server] = self._env.now

    def _youngest(self, count: int) -> list[int]:
        ready = sorted(set(self._ready_since) - self._draining)
        return ready[len(ready) - count :] if count > 0 else []

    def _release(self, server: int) -> None:
        self._draining.discard(server)
        now = self._env.now
        self._past_holdings.append(Holding(start_s=self._held_since.pop(server), end_s=now))
        self._past_ready_s += now - self._ready_since.pop(server)
