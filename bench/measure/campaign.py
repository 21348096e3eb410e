"""All arms of a scenario: the reference first, then one fresh process per arm and replicate.

A process that crashes, hangs or refuses its model costs its own arm and no other. What is
measured is kept at once, so that a killed run goes on where it stopped.
"""

from __future__ import annotations

import re
import shutil
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from bench import extensions
from bench.errors import BenchError
from bench.executor import Report
from bench.measure.arm_requests import ArmRequest, arm_requests
from bench.measure.loader import BACKENDS, build_task, own_faults
from bench.measure.measurement import (
    BATCH_COLUMNS,
    REQUEST_COLUMNS,
    ArmMeasurement,
    FailedArm,
    Measurement,
    Replicate,
)
from bench.measure.procedure import measure_replicate
from bench.measure.reference import make_reference
from bench.measure.summary import summarise
from bench.scenario import STAGE, Campaign, Choice
from bench.store import Run

FOLDER = "replicates"
REFERENCE = f"{FOLDER}/reference.json"

Notify = Callable[[int, int, str], None]
"""Called with processes done, processes in all, and what the one at hand is doing."""


class Isolate(Protocol):
    """Runs a function in a process of its own; see :func:`bench.executor.isolated`."""

    def __call__(
        self,
        function: Callable[[Any, Any], Any],
        item: Any,
        stall_limit_s: float,
        on_report: Report,
    ) -> Any: ...


def measure_all(
    campaign: Campaign, run: Run, seed: int, isolate: Isolate, notify: Notify
) -> Measurement:
    """Measure every arm; write the raw tables and ``measurement.json`` into the run.

    Raises:
        BenchError: no arm gave a measurement; the error of the first.
    """
    (run.path / FOLDER).mkdir(exist_ok=True)
    requests = arm_requests(campaign.task, campaign.arms, campaign.options, seed)
    failed: dict[str, BenchError] = {}
    report = partial(_report, notify, 0, len(requests), "reference")
    stages = dict.fromkeys(request.task.options.get(STAGE) for request in requests)
    known = {stage: _reference(campaign, stage, run, isolate, report) for stage in stages}
    requests = [
        request.model_copy(update=known[request.task.options.get(STAGE)]) for request in requests
    ]
    for done, request in enumerate(requests):
        if request.arm.name in failed or run.has(_file(request, "json")):
            continue
        report = partial(_report, notify, done, len(requests), request.arm.name)
        try:
            measured = isolate(measure_replicate, request, campaign.options.stall_limit, report)
        except BenchError as error:
            failed[request.arm.name] = error
            continue
        _keep(run, request, *measured)
        notify(done + 1, len(requests), request.arm.name)
    measurement = _gather(run, [r for r in requests if r.arm.name not in failed], failed)
    if not measurement.arms:
        raise next(iter(failed.values()))
    run.save("measurement.json", measurement)
    shutil.rmtree(run.path / FOLDER)
    return measurement


def missing_backends(campaign: Campaign) -> dict[str, str]:
    """Arms whose backend cannot run here, and what it needs."""
    reasons = {}
    for arm in campaign.arms:
        if reason := extensions.load(BACKENDS, arm.backend.name).missing():
            reasons[arm.name] = (
                f"The backend {arm.backend.name!r} cannot run here: it needs {reason}."
            )
    return reasons


def _reference(
    campaign: Campaign, stage: str | None, run: Run, isolate: Isolate, report: Report
) -> dict[str, str]:
    """The fp32 answers that every arm is held against, or why there are none.

    ``stage``: which task of a chain, whose answers are of a kind of their own.
    """
    path = run.path / (
        REFERENCE if stage is None else f"{FOLDER}/reference-{plain_name(stage)}.json"
    )
    own = {} if stage is None else {STAGE: stage}
    task = Choice.model_validate({"name": campaign.task.name, **campaign.task.options, **own})
    try:
        if not path.is_file():
            isolate(_make_reference, (task, path), campaign.options.stall_limit, report)
    except BenchError as error:
        return {"no_reference": str(error)}
    return {"reference": str(path.resolve())}


def _make_reference(item: tuple[Choice, Path], report: Report) -> None:
    part, path = item
    task = build_task(part.name, part.options)
    with own_faults(part.name):
        make_reference(task, path, report)


def _keep(run: Run, request: ArmRequest, replicate: Replicate, batches: Any, requests: Any) -> None:
    """Keep what one process measured; the record last, since it says that the tables are there."""
    run.save_table(_file(request, "batches.parquet"), pd.DataFrame(batches))
    run.save_table(_file(request, "requests.parquet"), pd.DataFrame(requests))
    run.save(_file(request, "json"), replicate)


def _gather(run: Run, wanted: Sequence[ArmRequest], failed: dict[str, BenchError]) -> Measurement:
    ordered = sorted(wanted, key=lambda r: (r.arm.name, r.replicate))
    batches = _table(run, ordered, "batches.parquet", BATCH_COLUMNS)
    requests = _table(run, ordered, "requests.parquet", REQUEST_COLUMNS)
    arms: list[ArmMeasurement] = []
    for name in dict.fromkeys(r.arm.name for r in wanted):
        own = [r for r in ordered if r.arm.name == name]
        replicates = [run.load(_file(r, "json"), Replicate) for r in own]
        rows = batches[batches["arm"] == name], requests[requests["arm"] == name]
        arms.append(summarise(own[0], replicates, *rows))
    run.save_table("batches.parquet", batches)
    run.save_table("requests.parquet", requests)
    return Measurement(
        arms=sorted(arms, key=lambda a: a.arm),
        failed=[
            FailedArm(arm=name, error=str(error), exit_code=error.exit_code)
            for name, error in failed.items()
        ],
    )


def _table(
    run: Run, requests: Sequence[ArmRequest], suffix: str, columns: Sequence[str]
) -> pd.DataFrame:
    parts = [run.table(_file(request, suffix)) for request in requests]
    if not parts:
        return pd.DataFrame(columns=list(columns))
    return pd.concat(parts, ignore_index=True)


def _file(request: ArmRequest, suffix: str) -> str:
    return f"{FOLDER}/{plain_name(request.arm.name)}-{request.replicate}.{suffix}"


def plain_name(arm: str) -> str:
    """A file name for an arm: no two arms share one."""
    plain = re.sub(r"[^A-Za-z0-9._=@,-]+", "_", arm)[:100]
    return plain if plain == arm else f"{plain}-{zlib.crc32(arm.encode()):08x}"


def _report(notify: Notify, done: int, total: int, arm: str, phase: str, share: float) -> None:
    notify(done, total, f"{arm}: {phase} {share:.0%}")
