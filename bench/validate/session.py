"""The live side: a server, whoever asks it, and blocks one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import numpy as np
import pandas as pd

from bench.errors import MeasurementInvalid
from bench.measure import LiveArm, LiveInput, describe_environment
from bench.observe import Observed, Schedule, Waves, schedule
from bench.scenario import Arm, Choice, ResolvedScenario, Workload
from bench.simulate import largest_batch
from bench.streams import Streams
from bench.validate.asked import part_of
from bench.validate.blocks import FETCHED, WAVE, WAVE_OUTSIDE, Load, job, order_of, waves
from bench.validate.calibration import batches_of
from bench.validate.live import Live, live
from bench.validate.outside import rule_of, told
from bench.validate.validation import Block, Observation, Session

OnStep = Callable[[int, int, str], None]
CALIBRATION = 0.3
"""The share of a session that is calibration."""
RESTARTS = 3
KILL = (0.2, 0.7)
"""Of the time that a job is about to take: between these, one of its replicas is killed."""
GUESS_S = 0.01
"""A batch is thought to take so long, before anything is known of it: rests are as long."""
LOOKS = 3
"""From outside, so many rounds of waves say first whether the server batches as it is said to."""


def observe(
    scenario: ResolvedScenario, asked: Session, seed: int, on_step: OnStep
) -> tuple[Observation, pd.DataFrame]:
    """Serve a deployment here, and ask it what the session says.

    Returns:
        What was asked, and a row for each request, with the number of its block.

    Raises:
        InputError: the deployment cannot be served from here.
        MeasurementInvalid: the service does not answer.
    """
    part, arm = part_of(scenario, asked.deployment)
    started, full = datetime.now(UTC).isoformat(timespec="seconds"), largest_batch(part.batching)
    rng = Streams(seed, 0).get("validation")
    total = 2 * len(asked.levels) * asked.traffics * asked.runs + 1
    on_step(0, total, "starting the service")
    inputs = _inputs(arm, scenario.scenario.task)
    blocks: list[Block] = []
    tables: list[Observed] = []
    with live(part, arm, scenario.scenario.task, asked.replicas, inputs) as service:
        most = WAVE if service.inside else WAVE_OUTSIDE
        first = waves(full, asked.replicas, 0.0, GUESS_S, len(inputs), rng, most)
        service.ask(first)  # connections are opened, and caches filled
        batch_s = _full_batch_s(_looked(service, first, part.batching), full)
        restart_s = service.restarts_s(RESTARTS)
        capacity = asked.replicas * full / batch_s
        loads = order_of(asked.levels, asked.traffics, asked.runs, rng)
        each_s = asked.length_s / (len(loads) + 1)
        fetched = FETCHED * full * asked.replicas if service.is_job else None
        traffic = _traffic(
            scenario.scenario.workload, fetched, loads, capacity, (1 - CALIBRATION) * each_s,
            len(inputs), rng,
        )  # fmt: skip
        for load in (None, *loads):
            if load is not None:
                on_step(len(blocks), total, f"load at {load.level:g}")
                due, kill_s = traffic[load.level, load.traffic]
                rows, killed_s = service.load(due, kill_s)
                tables.append(rows)
                blocks.append(
                    Block(level=load.level, traffic=load.traffic, run=load.run, killed_s=killed_s)
                )
            on_step(len(blocks), total, "calibration")
            one = waves(full, asked.replicas, CALIBRATION * each_s, batch_s, len(inputs), rng, most)
            tables.append(service.ask(one))
            blocks.append(Block(waves=list(one.sizes)))
        on_step(total, total, "")
    record = Observation(
        arm=arm.name,
        started_utc=started,
        full=full,
        capacity=capacity,
        restart_s=restart_s,
        blocks=blocks,
        environment=describe_environment(),
        inside=service.inside,
    )
    return record, _joined(tables)


def _traffic(
    workload: Workload,
    most: int | None,
    loads: Sequence[Load],
    capacity: float,
    length_s: float,
    inputs: int,
    rng: np.random.Generator,
) -> dict[tuple[float, int], tuple[Schedule, float | None]]:
    """By level and traffic: the requests, and of a job, when a replica is killed.

    Args:
        most: of a job, so many requests are under way at once.
    """
    found: dict[tuple[float, int], tuple[Schedule, float | None]] = {}
    for key in sorted({(load.level, load.traffic) for load in loads}):
        rate, kill_s = key[0] * capacity, None
        if most is None:
            asked = schedule(workload, rate, length_s, inputs, rng)
        else:
            asked = job(rate * length_s, most, inputs, rng)
            kill_s = key[0] * length_s * rng.uniform(*KILL)
        found[key] = asked, kill_s
    return found


def _inputs(arm: Arm, task: Choice) -> list[LiveInput]:
    """The task's own samples, as a client would send them."""
    live = LiveArm(arm, task)
    try:
        return live.inputs()
    finally:
        live.close()


def _looked(service: Live, first: Waves, batching: Choice) -> Observed:
    """What became of the first waves.

    Raises:
        MeasurementInvalid: the server does not batch as it is said to.
    """
    if service.inside:
        return service.ask(first)
    seen = [service.ask(first) for _ in range(LOOKS)]
    found, _ = told([Block(waves=list(first.sizes))] * LOOKS, seen, rule_of(batching))
    return np.concatenate(found)


def _full_batch_s(rows: Observed, full: int) -> float:
    """About what the largest batch takes.

    Raises:
        MeasurementInvalid: nothing was answered.
    """
    found = batches_of(rows)
    if not found:
        statuses = sorted(set(rows["status"].tolist()))
        raise MeasurementInvalid(f"The server answered no request (HTTP {statuses}).")
    largest = max(found)
    return float(np.mean(found[largest].seconds)) * full / largest


def _joined(tables: Sequence[Observed]) -> pd.DataFrame:
    frames = [pd.DataFrame(rows).assign(block=number) for number, rows in enumerate(tables)]
    return pd.concat(frames, ignore_index=True)
