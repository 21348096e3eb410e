"""A simulated day to look at: what waited, what ran and what it drew, bin by bin; and every event.

The first replication, played again: simulations repeat exactly, so that nothing of this has to be
kept while thousands of others run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from bench.profile import Profile
from bench.record import Record
from bench.requests import ANSWER, Answers, Floats, Outcome
from bench.simulate.control import Event
from bench.simulate.places import Played, until_of
from bench.simulate.results import Usage
from bench.simulate.run import Job, play
from bench.simulate.tally import SERIES
from bench.ticks import ticks, to_seconds

BINS = 288
"""In the simulated days: five minutes each, of one day."""
MOST_EVENTS = 100_000


class Day(Record):
    """One deployment over the simulated days, bin by bin: its rows of ``day.parquet``."""

    deployment: str
    time_s: list[float]
    """Where the bins start."""
    arrived_per_s: list[float]
    answered_per_s: list[float]
    failed_per_s: list[float]
    waiting: list[int]
    """Requests at the end of the bin, …"""
    in_service: list[int]
    """… and these."""
    ready: list[float]
    """Servers that could work, on average over the bin."""
    held: list[float]
    """Machines, likewise."""
    power_w: list[float] | None
    """``None`` where no sensor has measured the idle and the working machine."""
    usd_per_hour: list[float] = Field(default=[])
    """What is held costs; empty where nobody has costed it."""


def day_of(job: Job) -> Day:
    """The first simulated days of one deployment."""
    step_s = job.options.days * 86_400.0 / BINS
    played, tally, _ = play(job, step_s=step_s)
    counts = dict(zip(SERIES, tally.series.astype(float), strict=True))
    bins = len(counts["arrived"])
    edges: Floats = np.linspace(0.0, bins * step_s, bins + 1)
    in_service = np.cumsum(counts["began"] - counts["ended"])
    ready, held = _machines(played, edges)
    # Nothing happens after the last day but late answers: the table ends with them.
    stirs = np.flatnonzero(tally.series.any(axis=0))
    kept = slice(0, max(BINS, int(stirs[-1]) + 1 if len(stirs) else 0))
    busy = in_service / max(played.served / max(played.batches, 1), 1.0)
    power = _power(list(job.profiles.values()), ready, busy)
    return Day(
        deployment=job.deployment.name,
        time_s=edges[:-1][kept].tolist(),
        arrived_per_s=(counts["arrived"] / step_s)[kept].tolist(),
        answered_per_s=(counts["answered"] / step_s)[kept].tolist(),
        failed_per_s=(counts["failed"] / step_s)[kept].tolist(),
        waiting=np.cumsum(counts["reached"] - counts["began"]).astype(np.int64)[kept].tolist(),
        in_service=in_service.astype(np.int64)[kept].tolist(),
        ready=ready[kept].tolist(),
        held=held[kept].tolist(),
        power_w=None if power is None else power[kept].tolist(),
    )


def table_of_days(days: Sequence[Day]) -> pd.DataFrame:
    """All of them, one after the other; power that nothing has measured is not a number."""
    tables = [
        pd.DataFrame({**day.model_dump(exclude={"power_w"}), "power_w": day.power_w or np.nan})
        for day in days
    ]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def days_of(table: pd.DataFrame) -> Iterator[Day]:
    """Those in such a table."""
    for name, rows in table.groupby("deployment", sort=False) if len(table) else ():
        columns = {column: rows[column].tolist() for column in Day.model_fields}
        power = None if rows["power_w"].isna().any() else columns["power_w"]
        yield Day(**{**columns, "deployment": str(name), "power_w": power})


def _machines(played: Played, edges: Floats) -> tuple[Floats, Floats]:
    """Servers ready and machines held, on average over each bin."""
    spans = [(to_seconds(since), to_seconds(end)) for _, since, end in played.spans]
    ready = _average(spans, edges)
    held = np.zeros(len(edges) - 1)
    for usage in played.usage.values():
        held += _average([(h.start_s, h.end_s) for h in usage.holdings], edges)
        if _is_owned(usage):
            held += usage.devices
            ready = ready + usage.devices
    return ready, held


def _is_owned(usage: Usage) -> bool:
    """Devices in the field: nobody holds them by the hour."""
    return not usage.holdings


def _average(spans: list[tuple[float, float]], edges: Floats) -> Floats:
    """How many spans cover each bin, on average."""
    total = np.zeros(len(edges) - 1)
    for start, end in spans:
        overlap = np.minimum(edges[1:], end) - np.maximum(edges[:-1], start)
        total += np.clip(overlap, 0.0, None)
    averaged: Floats = total / np.diff(edges)
    return averaged


def _power(profiles: list[Profile], ready: Floats, busy: Floats) -> Floats | None:
    """Idle power of what is ready, and what work adds to it; of one kind of machine only."""
    if len(profiles) == 1:
        for reading in profiles[0].power:
            idle, mean = reading.idle_w.value, reading.mean_w.value
            if idle is not None and mean is not None:
                drawn: Floats = ready * idle + np.minimum(busy, ready) * max(mean - idle, 0.0)
                return drawn
    return None


def event_trace(job: Job, start_s: float, length_s: float) -> dict[str, Any]:
    """Requests that arrive in a window, and all the control plane did, as a trace to look at.

    The Trace Event Format that Perfetto and chrome://tracing open: batches are slices on the row of
    their server, the way of a request is an asynchronous slice, control events are instants. At
    most :data:`MOST_EVENTS` requests.
    """
    low, high = ticks(start_s), ticks(start_s + length_s)
    seen: list[Answers] = []

    def watch(answers: Answers) -> None:
        inside = (answers["arrival"] >= low) & (answers["arrival"] < high)
        if inside.any() and sum(map(len, seen)) < MOST_EVENTS:
            seen.append(answers[inside].copy())

    played, _, _ = play(job, watch=watch)
    until = until_of(job.workload, job.objective, job.options.days)
    rows = np.concatenate([np.zeros(0, ANSWER), *seen])
    events = [
        *_names(played),
        *_batches(rows),
        *(event for row in rows[:MOST_EVENTS] for event in _way(row)),
        *(_instant(event) for event in played.events if event.time < until),
    ]
    return {"traceEvents": events, "displayTimeUnit": "ms"}


def _names(played: Played) -> Iterator[dict[str, Any]]:
    for process, name in ((1, "servers"), (2, "requests"), (3, "control plane")):
        yield {"ph": "M", "pid": process, "name": "process_name", "args": {"name": name}}
    for server in sorted({server for server, _, _ in played.spans}):
        yield {
            "ph": "M", "pid": 1, "tid": server, "name": "thread_name",
            "args": {"name": f"server {server}"},
        }  # fmt: skip


def _batches(rows: Answers) -> Iterator[dict[str, Any]]:
    columns = ["server", "start", "served", "batch"]
    answered = rows[rows["batch"] > 0][columns].tolist()
    done = {(server, start): (served, size) for server, start, served, size in answered}
    for (server, start), (served, size) in sorted(done.items()):
        yield {
            "ph": "X", "pid": 1, "tid": server, "name": f"batch of {size}",
            "ts": start / 1e3, "dur": (served - start) / 1e3,
        }  # fmt: skip


def _way(row: Any) -> Iterator[dict[str, Any]]:
    """``row``: one of :data:`ANSWER`."""
    moments = ("arrival", "reach", "start", "served", "finished")
    arrival, reach, start, served, finished = (row[name].item() for name in moments)
    number, outcome = row["number"].item(), row["outcome"].item()
    steps = [("to the queue", arrival, reach), ("queue", reach, start), ("service", start, served)]
    if outcome == Outcome.DONE:
        steps.append(("back", served, finished))
    else:
        steps[2] = (Outcome(outcome).name.lower().replace("_", " "), served, served)
    common = {"cat": "request", "id": number, "pid": 2, "tid": row["source"].item()}
    for name, begin, end in [(f"request {number}", arrival, finished), *steps]:
        yield {"ph": "b", "name": name, "ts": begin / 1e3, **common}
        yield {"ph": "e", "name": name, "ts": end / 1e3, **common}


def _instant(event: Event) -> dict[str, Any]:
    return {
        "ph": "i", "s": "g", "pid": 3, "tid": event.node, "name": f"{event.what} (node {event.node})",
        "ts": event.time / 1e3,
    }  # fmt: skip
