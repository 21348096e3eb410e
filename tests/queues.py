"""Queues whose results are known exactly, simulated: helpers of the tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import simpy

from bench.batching import Rule, constant
from bench.record import Estimate
from bench.requests import Answers, Floats, Requests
from bench.scenario import Objective, ResponseLimit
from bench.simulate import fast
from bench.simulate.plane import PoolSpec
from bench.simulate.service import ServiceTimes
from bench.simulate.tally import Tally
from bench.sizes import Distribution
from bench.stats import mean_interval
from bench.ticks import PER_SECOND, tick_array, ticks

CHUNK = 1 << 15
NO_BATCHES = constant(1, 0)
SLO = Objective(response=ResponseLimit(limit=1.0))
Control = Callable[[simpy.Environment, Any], None]


def exponential(mean: float = 1.0, points: int = 100_000) -> list[float]:
    """Values that are, drawn with equal chance, exponential as closely as so many can be."""
    values = -np.log1p(-(np.arange(points) + 0.5) / points)
    return (values * mean / values.mean()).tolist()  # type: ignore[no-any-return]


def poisson(
    rate: float, count: int, rng: np.random.Generator, sizes: Distribution | None = None
) -> Iterator[Requests]:
    """``count`` requests in chunks; network delays are none."""
    now, number = 0.0, 0
    while number < count:
        size = min(CHUNK, count - number)
        times = now + np.cumsum(rng.standard_exponential(size)) / rate
        now = float(times[-1])
        chunk = plain(times, rng, number)
        yield chunk if sizes is None else replace(chunk, size=sizes.draw(size, rng))
        number += size


def plain(times: Floats, rng: np.random.Generator, first: int = 0) -> Requests:
    size, none = len(times), np.zeros(len(times), np.int64)
    time = tick_array(times)
    return Requests(
        np.arange(first, first + size), time, time, np.zeros(size, np.int32), rng.random(size),
        rng.random(size), none, none,
    )  # fmt: skip


@dataclass
class Observed:
    """One replication."""

    tally: Tally
    pool: Any
    late: dict[float, float]
    """By time: the share of requests that waited longer."""
    response_s: dict[float, float]
    """By size: the mean response time of such requests."""

    @property
    def requests(self) -> int:
        return sum(self.tally[name] for name in ("done", "shed", "timed_out", "lost"))


def replicate(
    rate: float,
    service_s: Mapping[int, Sequence[float]] | ServiceTimes,
    servers: int = 1,
    rule: Rule = NO_BATCHES,
    requests: int = 1_000_000,
    replications: int = 10,
    seed: int = 1,
    waits: Sequence[float] = (),
    control: Control | None = None,
    method: Any = fast,
    sizes: Distribution | None = None,
    **spec: Any,
) -> list[Observed]:
    """So many independent replications of a Poisson queue that starts empty."""
    service = service_s if isinstance(service_s, ServiceTimes) else ServiceTimes.of(service_s)
    seen = []
    for replication in range(replications):
        rng = np.random.default_rng([seed, replication])
        late = np.zeros(len(waits))

        by_size: dict[float, list[float]] = {}

        def watch(
            answers: Answers, late: Floats = late, by_size: dict[float, list[float]] = by_size
        ) -> None:
            wait = answers["start"] - answers["reach"]
            late += [(wait > ticks(t)).sum() for t in waits]
            response = answers["finished"] - answers["arrival"]
            for size in np.unique(answers["size"]) if sizes else ():
                own = response[answers["size"] == size]
                sums = by_size.setdefault(float(size), [0.0, 0.0])
                sums[0] += float(own.sum())
                sums[1] += len(own)

        until = ticks(requests / rate * 3 + 1e4)
        tally = Tally(SLO, until, watch=watch if waits or sizes else None)
        env = simpy.Environment(0)
        settings = PoolSpec(rule, service, servers, **spec)
        pool = method.Pool(env, settings, poisson(rate, requests, rng, sizes), tally)
        if control is None:
            for server in range(servers):
                pool.add(server)
        else:
            control(env, pool)
        pool.run(until)
        shares = dict(zip(waits, (late / max(tally["done"], 1)).tolist(), strict=True))
        means = {size: total / n / PER_SECOND for size, (total, n) in by_size.items()}
        seen.append(Observed(tally, pool, shares, means))
    return seen


def interval(values: Sequence[float]) -> Estimate:
    return mean_interval(values, confidence=0.99)


def agrees(values: Sequence[float], exact: float, within: float = 0.005) -> None:
    """The run's own 99 % interval covers the exact value, and the mean is within 0.5 % of it."""
    found = interval(values)
    assert found.value is not None
    assert found.low is not None
    assert found.high is not None
    said = f"{found.value:.6g} [{found.low:.6g}, {found.high:.6g}], exactly {exact:.6g}"
    assert found.low <= exact <= found.high, said
    assert abs(found.value / exact - 1) < within, said
