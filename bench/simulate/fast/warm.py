"""Compile everything once, on a pool and a fleet of toys."""

from __future__ import annotations

import numpy as np
import simpy

from bench.batching import constant
from bench.requests import Requests
from bench.scenario import Objective, ResponseLimit
from bench.simulate.fast.fleet import Fleet
from bench.simulate.fast.pool import Pool
from bench.simulate.plane import FleetSpec, Link, PoolSpec
from bench.simulate.service import ServiceTimes
from bench.simulate.tally import Tally


def warm() -> None:
    """Takes up to a minute where nothing is compiled yet, and a second where it is."""
    service, rule = ServiceTimes.of({1: [1e-8]}), constant(1, 0)
    tally = Tally(Objective(response=ResponseLimit(limit=1.0)), until=100)
    env = simpy.Environment(0)
    pool = Pool(env, PoolSpec(rule, service, servers=2, uplink=Link(1)), iter([_three()]), tally)
    for server in (0, 1):
        pool.add(server)
    pool.run(20)
    pool.give_work(1)
    pool.retire(0)
    pool.fail(1)
    pool.run(50)
    pool.seen()
    users = Pool(simpy.Environment(0), PoolSpec(rule, service, 1, users=1), iter([_three()]), tally)
    users.run(50)
    for _ in Fleet(FleetSpec(1, rule, service), iter([_three()]), tally, 100).spilled():
        pass


def _three() -> Requests:
    """Three requests, two of which overtake each other on the way."""
    time, zeros = np.array([1, 2, 3]), np.zeros(3)
    return Requests(
        np.arange(3), time, time, np.zeros(3, np.int32), zeros, np.zeros(0), np.array([0, 9, 0]),
        np.zeros(3, np.int64),
    )  # fmt: skip
