"""A live service that is up: it is asked what a scenario's sources would ask, and every request is kept."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pandas as pd

from bench.errors import InputError, WorkerLost
from bench.measure import LiveArm, LiveInput, describe_environment
from bench.observe.asker import Schedule, Waves
from bench.observe.asks import Ask, asks_of
from bench.observe.driver import Driver
from bench.observe.observed_run import Asking, ObservedRun, is_answered
from bench.observe.rows import Observed
from bench.observe.schedule import schedule
from bench.scenario import ResolvedScenario
from bench.streams import Streams
from bench.units import format_seconds

READY_S = 10.0
OnStep = Callable[[int, int, str], None]
FIRST = 8
"""Requests that open connections, one after the other, and are not kept."""


@dataclass(frozen=True)
class Target:
    """Who is asked, and what."""

    url: str
    """Where requests are posted."""
    asks: Sequence[Ask]


def observe_server(
    scenario: ResolvedScenario, asked: Asking, seed: int, on_step: OnStep
) -> tuple[ObservedRun, pd.DataFrame]:
    """Ask a server of this project's.

    Returns:
        What came of it, and a row for each request.

    Raises:
        InputError: the inputs cannot be made here, or the server does not answer.
        KeyboardInterrupt: it came before the first answer.
    """
    on_step(0, 1, "making the inputs")
    target = Target(asked.infer, asks_of(_inputs(scenario)))
    rng = Streams(seed, 0).get("observation")
    what = schedule(scenario.scenario.workload, asked.rate, asked.length_s, len(target.asks), rng)
    started = datetime.now(UTC).isoformat(timespec="seconds")
    on_step(0, 1, f"{len(what.sample):,} requests in {format_seconds(asked.length_s)}")
    rows, interrupted = visit(target, what)
    if not len(rows):
        raise KeyboardInterrupt
    on_step(1, 1, "")
    record = ObservedRun.of(asked, rows, interrupted, started, describe_environment())
    return record, pd.DataFrame(rows)


def require_ready(asked: Asking) -> None:
    """Before anything is made or written: whether the server says that it has the model.

    Raises:
        InputError: it does not.
    """
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{asked.url}/v2/models/{asked.model}/ready", timeout=READY_S):
            return
    except urllib.error.HTTPError as error:
        said = f"says that the model {asked.model!r} is not there, or not ready (HTTP {error.code})"
    except (OSError, http.client.HTTPException, ValueError) as error:
        said = f"does not answer ({getattr(error, 'reason', error)})"
    raise InputError(
        f"the server {said}", where=asked.url,
        todo="Name one that is up, as `bench serve` says it, and with --model the model it has",
    )  # fmt: skip


def visit(target: Target, what: Schedule) -> tuple[Observed, bool]:
    """Ask all of it, or what is done by the time that Ctrl-C comes.

    Returns:
        The rows of what was answered, or failed; and whether it was interrupted.

    Raises:
        InputError: the server does not answer.
    """
    with Driver(target.url, target.asks) as driver:
        _require_answers(driver, target)
        try:
            return driver.ask(what), False
        except KeyboardInterrupt:
            try:
                return driver.stop(), True
            except WorkerLost:
                raise KeyboardInterrupt from None


def _require_answers(driver: Driver, target: Target) -> None:
    """Ask it a little, one by one: this opens the first connection, and fills caches."""
    number = min(FIRST, len(target.asks))
    rows = driver.ask(Waves([1] * number, np.zeros(number, np.int64), np.arange(number)))
    if is_answered(rows).any():
        return
    statuses = sorted({status for status in rows["status"].tolist() if status})
    said = f"answers with HTTP {', '.join(map(str, statuses))}" if statuses else "does not answer"
    raise InputError(
        f"the server {said}", where=target.url, todo="Ask one that takes inputs of this task"
    )


def _inputs(scenario: ResolvedScenario) -> list[LiveInput]:
    """The task's own samples, as a client would send them; some tasks make them with a model's help."""
    arm = next((arm for arm in scenario.distinct_arms if arm.device.here), None)
    if arm is None:
        raise InputError(
            "no deployment of the scenario runs on this machine, and the inputs are made with one",
            where="--scenario", allowed="a scenario with a deployment whose device is this machine",
        )  # fmt: skip
    live = LiveArm(arm, scenario.scenario.task)
    try:
        return live.inputs()
    finally:
        live.close()
