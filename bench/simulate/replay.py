"""Exactly these requests, through replicas that are all there from the first moment."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.requests import ANSWER, Answers, Requests
from bench.scenario import BatchPart, EdgePart, Part, RealTimePart
from bench.simulate import cloud
from bench.simulate.plane import FleetSpec, Link, PoolSpec, Routing
from bench.simulate.run import method_of
from bench.simulate.service import ServiceTimes
from bench.ticks import ticks

LONGEST_S = 3600.0
"""What is not answered so long after the last request came, is not."""


def replay(
    part: Part,
    service: ServiceTimes,
    replicas: int,
    requests: Requests,
    up: int = 0,
    down: int = 0,
    away: Sequence[tuple[int, int]] = (),
    method: str = "fast",
) -> Answers:
    """The answers, by the number of the request.

    Args:
        replicas: of an edge part, devices.
        up: ticks that each request keeps the way in busy; those behind it wait.
        down: likewise each answer, on the way out.
        away: from when to when the first replica is not there; in order, and apart.
    """
    found = [np.zeros(0, ANSWER)]

    def keep(answers: Answers) -> None:
        found.append(answers.copy())

    until = int(requests.arrival.max(initial=0)) + ticks(LONGEST_S)
    if isinstance(part, EdgePart):
        devices = FleetSpec(replicas, cloud.rule_of(part.batching, service), service)
        woken = iter([_in_order(requests.at(requests.time + requests.up))])
        for _ in method_of(method).Fleet(devices, woken, keep, until).spilled():
            raise AssertionError("there is nowhere to go on to")
    else:
        spec = _spec_of(part, service, replicas, up, down)
        pool = method_of(method).Pool(cloud.environment(), spec, iter([requests]), keep)
        for server in range(replicas):
            pool.add(server)
        for failed, back in away:
            pool.run(failed)
            pool.fail(0)
            pool.run(back)
            pool.add(0)
        pool.run(until)
    rows = np.concatenate(found)
    return rows[np.argsort(rows["number"], kind="stable")]


def _in_order(requests: Requests) -> Requests:
    """By the time at which they reach a device, which has no link before it."""
    return requests.take(np.argsort(requests.time, kind="stable"))


def _spec_of(
    part: RealTimePart | BatchPart, service: ServiceTimes, replicas: int, up: int, down: int
) -> PoolSpec:
    return PoolSpec(
        rule=cloud.rule_of(part.batching, service),
        service=service,
        servers=replicas,
        routing=Routing[part.routing.upper()],
        admission=cloud.admission_of(part.admission),
        retry=part.in_flight == "retry",
        uplink=Link(up),
        downlink=Link(down),
    )
