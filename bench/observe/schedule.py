"""When a scenario's sources would ask a live service, and for which of the inputs."""

from __future__ import annotations

import numpy as np

from bench import extensions
from bench.arrivals import Span, draw, is_closed
from bench.errors import InputError
from bench.observe.asker import Schedule
from bench.scenario import Workload
from bench.simulate import mean_rate

ARRIVALS = "bench.arrivals"
MOST = 1_000_000
"""Requests, each of which is a task of the client's."""


def schedule(
    workload: Workload, rate: float | None, length_s: float, inputs: int, rng: np.random.Generator
) -> Schedule:
    """Requests of the scenario's arrival process.

    Args:
        rate: per second, of all sources; on the time scale that makes them so many, how unevenly they
            come stays as it is. ``None``: the process' own.

    Raises:
        InputError: the process waits for answers, or there is not one request, or far too many.
    """
    module = extensions.load(ARRIVALS, workload.arrivals.name)
    options = module.Options.model_validate(workload.arrivals.options)
    if is_closed(module):
        raise InputError(
            "a closed loop cannot be driven in open loop", where="workload.arrivals",
            allowed="an arrival process that does not wait for answers",
        )  # fmt: skip
    own = mean_rate(workload)
    rate = own if rate is None else rate
    if rate * length_s > MOST:
        raise InputError(
            f"{rate:.3g}/s for {length_s:g} s are {rate * length_s:,.0f} requests",
            where="--rate, --seconds", allowed=f"up to {MOST:,}",
        )  # fmt: skip
    times = draw(module, options, Span(workload.sources, length_s * rate / own), rng).times
    if not len(times):
        raise InputError(
            f"the arrivals bring no request in {length_s:g} s at {rate:.3g}/s",
            where="workload.arrivals", todo="Give more time, or a higher rate",
        )  # fmt: skip
    due = np.rint(times * own / rate * 1e9).astype(np.int64)
    return Schedule(due, rng.integers(0, inputs, len(due)))
