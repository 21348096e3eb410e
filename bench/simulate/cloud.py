"""Records of a scenario → specifications of the data plane and the control plane of a cloud pool."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import simpy

from bench.admission import Admission
from bench.batching import Rule
from bench.batching import rule_of as batching_rule
from bench.profile import Profile
from bench.scenario import (
    AdmissionOptions,
    BatchPart,
    Choice,
    MeanTimes,
    Network,
    Part,
    RealTimePart,
)
from bench.simulate.control import Breakdowns, Replicas, StartTimes
from bench.simulate.durations import breakdowns, one_by_one, shortest
from bench.simulate.limits import Limit
from bench.simulate.plane import Link, Pool, Seen, WindowsOfEach
from bench.simulate.results import Holding, Usage
from bench.simulate.service import ServiceTimes
from bench.streams import Streams
from bench.ticks import FOREVER, PER_SECOND, ticks, to_seconds
from bench.units import DAY_S

BITS_PER_BYTE = 8
Volume = tuple[int, float]
"""So many requests, and their sizes added up."""
FARTHEST = 4.0
"""No projection is taken to be further from the truth than so many of its standard deviations."""


def rule_of(batching: Choice, service: ServiceTimes) -> Rule:
    """The table of a batching policy."""
    return batching_rule(batching.name, batching.options, service.mean)


def largest_batch(batching: Choice) -> int:
    """The largest batch a policy can form."""
    return batching_rule(batching.name, batching.options).full


def best_rate(part: Part, profile: Profile) -> float:
    """Requests/s of one server that always finds the batch it likes best."""
    overhead = profile.loop_overhead_s or 0.0
    sizes = range(1, largest_batch(part.batching) + 1)
    return math.exp(FARTHEST * profile.log_error) * max(
        size / (profile.mean_service_s(size) + overhead) for size in sizes
    )


def shortest_service_s(part: Part, profile: Profile) -> float:
    sizes = range(1, largest_batch(part.batching) + 1)
    quickest = min(profile.shortest_s(size) for size in sizes)
    return math.exp(-FARTHEST * profile.log_error) * quickest


def shortest_way_s(network: Network, profile: Profile) -> float:
    """Up and down an idle link, with the shortest round trip of a constant one."""
    rtt = 0.0 if not isinstance(network.rtt, float) else network.rtt
    up = BITS_PER_BYTE * profile.least_input_bytes / network.uplink
    down = BITS_PER_BYTE * profile.least_output_bytes / network.downlink
    return rtt + up + down


def link_limits(network: Network, profile: Profile, sources: int, waits: bool) -> list[Limit]:
    """What the sites' links carry in a day: the uplink, whose queue has no end, and the downlink.

    ``waits``: whether all that gets past the uplink is answered in the end.
    """
    sites = min(network.sites, sources)
    each = f" of each of {sites} sites" if sites > 1 else ""
    return [
        Limit(
            per_day=DAY_S * sites * bandwidth / (BITS_PER_BYTE * size),
            what=f"the {name}{each} ({bandwidth / 1e6:g} Mbit/s) carries",
            waits=waiting,
        )
        for name, bandwidth, size, waiting in (
            ("uplink", network.uplink, profile.input_bytes, True),
            ("downlink", network.downlink, profile.output_bytes, waits),
        )
    ]


def all_wait(part: Part) -> bool:
    """Whether a request that cannot be served yet waits, however long."""
    limits = part.admission
    patient = limits.queue_limit is None and limits.timeout is None and limits.shed is None
    fails = part.failures is not None or part.spot is not None
    fails |= getattr(part, "battery", None) is not None
    return patient and (part.in_flight == "retry" or not fails)


def links(network: Network, profile: Profile, until: int, streams: Streams) -> tuple[Link, Link]:
    """Up and down; an outage takes both, and one site only."""
    outages = breakdowns(
        network.outages, network.sites, until, streams.get("outages"), "network.outages"
    )
    came, went = of_bytes(profile)
    up = link_of(came, network.uplink, network.sites, outages)
    return up, link_of(went, network.downlink, network.sites, outages)


@dataclass(frozen=True)
class Message:
    """Bytes of one request or answer: some of each, and some for each unit of its size."""

    fixed: float
    per_unit: float = 0.0

    def total(self, count: int, sizes: float) -> float:
        """Of so many, whose sizes add up to ``sizes``."""
        return self.fixed * count + self.per_unit * sizes


def of_bytes(profile: Profile) -> tuple[Message, Message]:
    """What a request sends, and what it is sent."""
    sizes = profile.sizes
    if sizes is None:
        return Message(profile.input_bytes), Message(profile.output_bytes)
    lines = (
        (profile.input_bytes, sizes.input_bytes), (profile.output_bytes, sizes.output_bytes),
    )  # fmt: skip
    came, went = (Message(mean * line.factor(0.0), mean * line.rate) for mean, line in lines)
    return came, went


def link_of(message: Message, bandwidth: float, sites: int, outages: WindowsOfEach | None) -> Link:
    each = BITS_PER_BYTE / bandwidth
    return Link(ticks(each * message.fixed), sites, outages, PER_SECOND * each * message.per_unit)


def admission_of(options: AdmissionOptions) -> Admission:
    return Admission(
        queue_limit=FOREVER if options.queue_limit is None else options.queue_limit,
        shed_from=options.shed.begin if options.shed else FOREVER,
        shed_to=options.shed.end if options.shed else FOREVER,
        timeout=FOREVER if options.timeout is None else ticks(options.timeout),
    )


def servers_for(most: int) -> int:
    """Numbers for servers: those that end, or are being replaced, overlap with the others."""
    return 2 * most + 16


def replicas_of(
    env: simpy.Environment,
    pool: Pool,
    part: RealTimePart | BatchPart,
    profile: Profile,
    most: int,
    streams: Streams,
) -> Replicas:
    """The control plane's hands: with start times and breakdowns as the part says."""
    rng, start = streams.get("start-up"), part.start_up
    load = profile.load_s if start.model_load is None else start.model_load
    failures: MeanTimes | None = part.failures
    return Replicas(
        env,
        pool,
        servers_for(most),
        StartTimes(
            one_by_one(start.node, rng), one_by_one(start.image_pull, rng), one_by_one(load, rng)
        ),
        Breakdowns(
            mtbf_s=failures.mtbf if failures else float("inf"),
            mttr_s=failures.mttr if failures else 0.0,
            spot_life_s=part.spot.mean_life if part.spot else float("inf"),
            notice_s=part.spot.notice if part.spot else 0.0,
        ),
        streams.get("breakdowns"),
        part.per_node,
    )


def shortest_start_s(part: RealTimePart | BatchPart, profile: Profile) -> float:
    """No replica on a new node is ready sooner."""
    start = part.start_up
    load = profile.load_s if start.model_load is None else shortest(start.model_load)
    return shortest(start.node) + shortest(start.image_pull) + load


def usage_of(
    paid: Sequence[tuple[int, int]], replicas: Replicas, seen: Seen, profile: Profile,
    uploads: Volume, downloads: Volume,
) -> Usage:  # fmt: skip
    """What the pool used; ``paid``: from when to when each node."""
    came, went = of_bytes(profile)
    last = max((end for _, end in paid), default=0)
    return Usage(
        holdings=[Holding(start_s=to_seconds(start), end_s=to_seconds(end)) for start, end in paid],
        devices=replicas.peak_nodes,
        served=seen.served,
        busy_s=to_seconds(seen.busy),
        uploaded_bytes=came.total(*uploads),
        downloaded_bytes=went.total(*downloads),
        stored_byte_s=0.0,
        replacing_s=to_seconds(replicas.replacing(last)),
    )


def environment() -> simpy.Environment:
    return simpy.Environment(0)
