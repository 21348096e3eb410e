"""Batch: the day's inputs are uploaded and stored; nodes start at the window and work them off."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bench.errors import InputError
from bench.profile import Profile
from bench.requests import Answers, Requests
from bench.scenario import BatchPart, Stage, Workload
from bench.simulate import cloud
from bench.simulate.control import work_through_windows
from bench.simulate.limits import Limit, counted
from bench.simulate.places import Counted, Gate, Played, Playing, Setting
from bench.simulate.plane import Checkpoints, Link, Pool, PoolSpec
from bench.simulate.results import Usage
from bench.ticks import FOREVER, PER_SECOND, Ticks, ticks, to_seconds
from bench.units import DAY_S

Options = BatchPart


def limits(part: BatchPart, profile: Profile, workload: Workload) -> list[Limit]:
    """What the nodes can work off in one window, and what the links carry."""
    nodes, waits, rate = part.nodes, cloud.all_wait(part), cloud.best_rate(part, profile)
    each = rate * DAY_S
    if part.window.closes is not None:
        open_s = part.window.length_s - cloud.shortest_start_s(part, profile)
        # Nodes end the batch that they are at when the window closes.
        each = rate * max(open_s, 0.0) + cloud.largest_batch(part.batching)
    return [
        Limit(
            per_day=nodes * each, what=counted(nodes, "node", "serve"), waits=waits, steady=False
        ),
        *cloud.link_limits(part.network, profile, workload.sources, waits),
    ]


def rate(part: BatchPart, profile: Profile, workload: Workload) -> float:
    return cloud.best_rate(part, profile)


def quickest(part: BatchPart, profile: Profile) -> float:
    return cloud.shortest_way_s(part.network, profile) + cloud.shortest_service_s(part, profile)


def least_usage(part: BatchPart, profile: Profile, days: int, requests: int) -> Usage:
    """No node: on a day without requests none is started."""
    sent = profile.least_input_bytes * requests
    return Usage.least(0, held_s=0.0, served=requests, uploaded_bytes=sent)


def opens(part: BatchPart) -> float:
    """Nothing is done before the window opens."""
    return part.window.opens


def play(
    setting: Setting, stage: Stage, requests: Iterator[Requests], following: Stage | None
) -> Playing:
    part: BatchPart = stage.part  # type: ignore[assignment]
    if setting.demand.closed:
        raise InputError(
            f"{stage.name!r} is a batch, and users of a closed loop would wait for it all day",
            where="workload.arrivals",
            allowed="any other arrival process",
        )
    env, profile, until = cloud.environment(), setting.profiles[stage.name], setting.until
    # What comes too late for the last day's window, the next one takes.
    opens_at = np.array([ticks(day * DAY_S + part.window.opens) for day in range(setting.days + 1)])
    gate = Gate(setting, stage, following)
    offered, stored = Counted(requests), _Stored(gate)
    pool: Pool = setting.method.Pool(
        env, _spec_of(setting, part, stage.name, opens_at, following), offered, stored
    )
    replicas = cloud.replicas_of(env, pool, part, profile, part.nodes, setting.streams)
    replicas.process(
        work_through_windows(replicas, pool, part.nodes, opens_at, _closings(part, opens_at))
    )
    yield from gate.run(pool, until)
    seen, spans = pool.seen(), replicas.ready_spans(until)
    downloads = (gate.done, gate.done_size) if following is None else (0, 0.0)
    usage = cloud.usage_of(
        replicas.holdings(until), replicas, seen, profile, (offered.count, offered.size), downloads
    )
    ready = sum(end - since for _, since, end in spans)
    kept = stored.byte_s(cloud.of_bytes(profile)[0])
    return Played(
        ready=ready,
        available=ready,
        busy=seen.busy,
        batches=seen.batches,
        served=seen.served,
        max_replicas=replicas.peak,
        usage={stage.name: usage.model_copy(update={"stored_byte_s": kept})},
        events=replicas.events,
        spans=spans,
    )


def _spec_of(
    setting: Setting, part: BatchPart, name: str, opens_at: Ticks, following: Stage | None
) -> PoolSpec:
    service, saves = setting.service(name), part.checkpoint
    uplink, downlink = cloud.links(
        part.network, setting.profiles[name], setting.until, setting.streams
    )
    return PoolSpec(
        rule=cloud.rule_of(part.batching, service),
        service=service,
        servers=cloud.servers_for(part.nodes),
        admission=cloud.admission_of(part.admission),
        retry=part.in_flight == "retry",
        checkpoints=Checkpoints(ticks(saves.every), ticks(saves.cost)) if saves else Checkpoints(),
        uplink=uplink,
        downlink=downlink if following is None else Link(),
        opens=opens_at,
    )


def _closings(part: BatchPart, opens_at: Ticks) -> Ticks:
    if part.window.closes is None:
        return np.full(len(opens_at), FOREVER)
    closes: Ticks = opens_at + ticks(part.window.length_s)
    return closes


class _Stored:
    """Counts answers, and how long their inputs lay in storage."""

    def __init__(self, gate: Gate) -> None:
        self._gate, self._kept, self._kept_sizes = gate, 0, 0.0

    def __call__(self, answers: Answers) -> None:
        kept = answers["served"] - answers["arrival"]
        self._kept += int(kept.sum())
        self._kept_sizes += float(kept @ answers["size"])
        self._gate(answers)

    def byte_s(self, message: cloud.Message) -> float:
        """Bytes × seconds of inputs that weigh so much each."""
        by_size = message.per_unit * self._kept_sizes / PER_SECOND
        return message.fixed * to_seconds(self._kept) + by_size
