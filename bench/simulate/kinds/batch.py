"""Batch: the day's inputs are uploaded and stored; nodes start at the window and work them off."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bench.errors import InputError
from bench.profile import Profile
from bench.requests import Answers
from bench.scenario import BatchDeployment, Workload
from bench.simulate import cloud
from bench.simulate.control import work_through_windows
from bench.simulate.kinds import Played, Setting
from bench.simulate.limits import Limit, counted
from bench.simulate.plane import Checkpoints, Pool, PoolPlan
from bench.simulate.results import Usage
from bench.ticks import FOREVER, PER_SECOND, ticks, to_seconds
from bench.units import DAY_S


def capacity(
    deployment: BatchDeployment, profiles: Mapping[str, Profile], workload: Workload
) -> list[Limit]:
    """What the nodes can work off in one window, and what the links carry."""
    profile, nodes = profiles[deployment.name], deployment.nodes
    waits, rate = cloud.all_wait(deployment), cloud.best_rate(deployment, profile)
    each = rate * DAY_S
    if deployment.window.closes is not None:
        open_s = deployment.window.length_s - cloud.shortest_start_s(deployment, profile)
        # Nodes end the batch that they are at when the window closes.
        each = rate * max(open_s, 0.0) + cloud.largest_batch(deployment.batching)
    return [
        Limit(
            per_day=nodes * each, what=counted(nodes, "node", "serve"), waits=waits, steady=False
        ),
        *cloud.link_limits(deployment.network, profile, workload.sources, waits),
    ]


def quickest(deployment: BatchDeployment, profiles: Mapping[str, Profile]) -> float:
    profile = profiles[deployment.name]
    way = cloud.shortest_way_s(deployment.network, profile)
    return way + cloud.shortest_service_s(deployment, profile)


def least_usage(
    deployment: BatchDeployment, profiles: Mapping[str, Profile], days: int, requests: int
) -> dict[str, Usage]:
    """No node: on a day without requests none is started."""
    sent = profiles[deployment.name].least_input_bytes * requests
    return {deployment.name: Usage.least(0, held_s=0.0, served=requests, uploaded_bytes=sent)}


def play(setting: Setting) -> Played:
    deployment: BatchDeployment = setting.deployment
    if setting.demand.closed:
        raise InputError(
            f"{deployment.name!r} is a batch, and users of a closed loop would wait for it all day",
            where="workload.arrivals",
            allowed="any other arrival process",
        )
    name, env = deployment.name, cloud.environment()
    profile, service = setting.profiles[name], setting.service(name)
    until = setting.until
    uplink, downlink = cloud.links(deployment.network, profile, until, setting.streams)
    # What comes too late for the last day's window, the next one takes.
    opens = np.array(
        [ticks(day * DAY_S + deployment.window.opens) for day in range(setting.days + 1)]
    )
    plan = PoolPlan(
        rule=cloud.rule_of(deployment.batching, service),
        service=service,
        servers=cloud.servers_for(deployment.nodes),
        admission=cloud.admission(deployment.admission),
        retry=deployment.in_flight == "retry",
        checkpoints=Checkpoints(
            ticks(deployment.checkpoint.every), ticks(deployment.checkpoint.cost)
        )
        if deployment.checkpoint
        else Checkpoints(),
        uplink=uplink,
        downlink=downlink,
        opens=opens,
    )
    stored = _Stored(setting)
    requests = setting.demand.requests(deployment.network, plan.draws_choice)
    pool: Pool = setting.method.Pool(env, plan, requests, stored)
    replicas = cloud.replicas_of(env, pool, deployment, profile, deployment.nodes, setting.streams)
    replicas.process(
        work_through_windows(replicas, pool, deployment.nodes, opens, _closings(deployment, opens))
    )
    pool.run(until)
    seen, spans = pool.seen(), replicas.ready_spans(until)
    usage = cloud.usage_of(
        replicas.holdings(until), replicas, seen, profile,
        (setting.demand.offered, setting.demand.offered_size), setting.tally.done,
    )  # fmt: skip
    ready = sum(end - since for _, since, end in spans)
    return Played(
        ready=ready,
        available=ready,
        busy=seen.busy,
        batches=seen.batches,
        served=seen.served,
        max_replicas=replicas.peak,
        usage={
            name: usage.model_copy(
                update={"stored_byte_s": stored.byte_s(cloud.of_bytes(profile)[0])}
            )
        },
        events=replicas.events,
        spans=spans,
    )


def _closings(deployment: BatchDeployment, opens: np.ndarray) -> np.ndarray:
    if deployment.window.closes is None:
        return np.full(len(opens), FOREVER)
    return opens + ticks(deployment.window.length_s)


class _Stored:
    """Counts answers, and how long their inputs lay in storage."""

    def __init__(self, setting: Setting) -> None:
        self._tally, self._kept, self._kept_sizes = setting.tally, 0, 0.0

    def __call__(self, answers: Answers) -> None:
        kept = answers["served"] - answers["arrival"]
        self._kept += int(kept.sum())
        self._kept_sizes += float(kept @ answers["size"])
        self._tally(answers)

    def byte_s(self, message: cloud.Message) -> float:
        """Bytes × seconds of inputs that weigh so much each."""
        by_size = message.per_unit * self._kept_sizes / PER_SECOND
        return message.fixed * to_seconds(self._kept) + by_size
