"""The live side: a server, whoever asks it, and blocks one after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from bench.errors import InputError, MeasurementInvalid
from bench.measure import LiveArm, LiveInput, describe_environment
from bench.observe import Observed, Schedule, Waves, at_stage, schedule
from bench.requests import Floats
from bench.scenario import Arm, Choice, ResolvedScenario, Workload
from bench.serve import Placed
from bench.simulate import largest_batch
from bench.streams import Streams
from bench.validate.asked import line_of, replicas_of
from bench.validate.batches import batches_of
from bench.validate.blocks import (
    CALIBRATION,
    FETCHED,
    WAVE,
    WAVE_OUTSIDE,
    Load,
    job,
    order_of,
    round_s,
    traffics,
    waves,
)
from bench.validate.live import Live, live, shares_cores
from bench.validate.outside import told, told_rule
from bench.validate.validation import Block, Observation, Session

OnStep = Callable[[int, int, str], None]
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
    line, task = line_of(scenario, asked.deployment), scenario.scenario.task
    started = datetime.now(UTC).isoformat(timespec="seconds")
    fulls = [largest_batch(one.part.batching) for one in line]
    rng = Streams(seed, 0).get("validation")
    on_step(0, 1, "starting the service")
    inputs = _inputs(line[0].arm, task)
    sizes = [_sizes(one, task, len(inputs)) for one in line[1:]]
    with live(line, task, asked.replicas, inputs, [np.nan_to_num(one) for one in sizes]) as service:
        most = WAVE if service.inside else WAVE_OUTSIDE
        draw = partial(
            _waves, sizes, max(fulls), asked.replicas, inputs=len(inputs), rng=rng, most=most
        )
        batches_s = _full_batches_s(service, draw, line, fulls)
        restart_s = service.restarts_s(RESTARTS)
        capacity = _capacity(line, asked.replicas, fulls, batches_s, sizes)
        rests_s = [1 / (level * capacity) for level in asked.levels]
        round_ = round_s(max(fulls), asked.replicas, sum(batches_s), rests_s, most)
        away_s = float(np.mean(restart_s)) if restart_s else 0.0
        many = traffics(asked.length_s, len(asked.levels), asked.runs, round_, away_s)
        loads = order_of(asked.levels, many, asked.runs, rng)
        each_s = asked.length_s / (len(loads) + 1)
        traffic = _traffic(
            scenario.scenario.workload,
            FETCHED * max(fulls) * asked.replicas if service.is_job else None,
            loads, capacity, (1 - CALIBRATION) * each_s, len(inputs), rng,
        )  # fmt: skip
        calibrate = partial(
            draw, length_s=CALIBRATION * each_s, batch_s=sum(batches_s), rests_s=rests_s
        )
        total = 2 * len(loads) + 1
        blocks, tables = _played(
            service, loads, traffic, calibrate, lambda done, what: on_step(done, total, what)
        )
        on_step(total, total, "")
    record = Observation(
        arm=", ".join(dict.fromkeys(one.arm.name for one in line)),
        started_utc=started,
        full=max(fulls),
        capacity=capacity,
        restart_s=restart_s,
        blocks=blocks,
        environment=describe_environment(),
        inside=service.inside,
        shares_cores=shares_cores(line, asked.replicas),
    )
    return record, _joined(tables)


def _played(
    service: Live,
    loads: Sequence[Load],
    traffic: Mapping[tuple[float, int], tuple[Schedule, float | None]],
    calibrate: Callable[[], Waves],
    on_step: Callable[[int, str], None],
) -> tuple[list[Block], list[Observed]]:
    """Every block of load between two of calibration, and the rows of each."""
    blocks: list[Block] = []
    tables: list[Observed] = []
    for load in (None, *loads):
        if load is not None:
            on_step(len(blocks), f"load at {load.level:g}")
            rows, killed_s = service.load(*traffic[load.level, load.traffic])
            tables.append(rows)
            blocks.append(
                Block(level=load.level, traffic=load.traffic, run=load.run, killed_s=killed_s)
            )
        on_step(len(blocks), "calibration")
        one = calibrate()
        tables.append(service.ask(one))
        blocks.append(Block(waves=list(one.sizes)))
    return blocks, tables


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


def _sizes(placed: Placed, task: Choice, inputs: int) -> Floats:
    """How large each input is to a stage after the first; not a number where it is not asked about it.

    Raises:
        InputError: the task there has other inputs.
    """
    live = LiveArm(placed.arm, task)
    try:
        found = np.array(live.sizes(), float)
    finally:
        live.close()
    if len(found) != inputs:
        raise InputError(
            f"the task of the stage {placed.name!r} has {len(found)} inputs, and that of the first {inputs}",
            where="--deployment", allowed="stages of one chain: as many inputs, with those left out",
        )  # fmt: skip
    return found


def _capacity(
    line: Sequence[Placed],
    replicas: int,
    fulls: Sequence[int],
    batches_s: Sequence[float],
    sizes: Sequence[Floats],
) -> float:
    """Requests per second of the stage that answers fewest of those that come to the line.

    Args:
        batches_s: how long a full batch takes at each stage.
        sizes: at the stages after the first; not a number where an input does not come there.
    """
    shares = [1.0]
    for placed, own in zip(line[1:], sizes, strict=True):
        shares.append(float(np.mean(~np.isnan(own))) if placed.stage.only_found else shares[-1])
    return min(
        count * full / (took_s * share)
        for count, full, took_s, share in zip(
            replicas_of(line, replicas), fulls, batches_s, shares, strict=True
        )
    )


def _waves(sizes: Sequence[Floats], *arguments: Any, **more: Any) -> Waves:
    """Waves (:func:`bench.validate.blocks.waves`) of which something comes to every stage of a line.

    Args:
        sizes: at the stages after the first; not a number where an input does not come there.
    """
    while True:
        found = waves(*arguments, **more)
        if all(np.isfinite(own[found.sample]).any() for own in sizes):
            return found


def _looked(service: Live, first: Waves, placed: Placed) -> Observed:
    """What became of waves, of a server that does not say it.

    Raises:
        MeasurementInvalid: it does not batch as it is said to.
    """
    seen = [service.ask(first) for _ in range(LOOKS)]
    blocks = [Block(waves=list(first.sizes))] * LOOKS
    found, _ = told(blocks, seen, told_rule(placed.part.batching))
    return np.concatenate(found)


def _full_batches_s(
    service: Live, draw: Callable[..., Waves], line: Sequence[Placed], fulls: Sequence[int]
) -> list[float]:
    """About what the largest batch takes at each stage: the first that is asked."""
    first = draw(length_s=0.0, batch_s=GUESS_S, rests_s=[GUESS_S])
    service.ask(first)  # connections are opened, and caches filled
    rows = service.ask(first) if service.inside else _looked(service, first, line[0])
    return [_full_batch_s(at_stage(rows, stage), full) for stage, full in enumerate(fulls, 1)]


def _full_batch_s(rows: Observed, full: int) -> float:
    """About what the largest batch takes.

    Raises:
        MeasurementInvalid: nothing was answered.
    """
    found = batches_of(rows)
    if not len(found.size):
        statuses = sorted(set(rows["status"].tolist()))
        raise MeasurementInvalid(f"The server answered no request (HTTP {statuses}).")
    largest = int(found.size.max())
    return float(found.of_size(largest).mean()) * full / largest


def _joined(tables: Sequence[Observed]) -> pd.DataFrame:
    frames = [pd.DataFrame(rows).assign(block=number) for number, rows in enumerate(tables)]
    return pd.concat(frames, ignore_index=True)
