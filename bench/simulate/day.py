"""A simulated day to look at: what waited, what ran and what it drew, bin by bin; and every event.

The first replication, played again: simulations repeat exactly, so that nothing of this has to be
kept while thousands of others run.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from bench.profile import Profile
from bench.requests import Answers, Floats, Outcome
from bench.simulate.control import Event
from bench.simulate.kinds import Played, until_of
from bench.simulate.results import Usage
from bench.simulate.run import Job, play
from bench.simulate.tally import SERIES
from bench.ticks import ticks, to_seconds

BINS = 288
"""In the simulated days: five minutes each, of one day."""
MOST_EVENTS = 100_000


def day_table(job: Job) -> pd.DataFrame:
    """The time series of one deployment.

    Columns: ``deployment``; ``time_s`` (start of the bin); ``arrived_per_s``, ``answered_per_s``,
    ``failed_per_s``; ``waiting``, ``in_service`` (requests, at the end of the bin); ``ready``
    (servers that could work) and ``held`` (machines), both averages; ``power_w``, ``NaN`` where
    no sensor has measured the idle and the working machine.
    """
    step_s = job.plan.days * 86_400.0 / BINS
    played, tally, _ = play(job, step_s=step_s)
    counts = dict(zip(SERIES, tally.series.astype(float), strict=True))
    bins = len(counts["arrived"])
    edges: Floats = np.linspace(0.0, bins * step_s, bins + 1)
    waiting = np.cumsum(counts["reached"] - counts["began"])
    in_service = np.cumsum(counts["began"] - counts["ended"])
    ready, held = _machines(played, edges)
    # Nothing happens after the last day but late answers: the table ends with them.
    stirs = np.flatnonzero(tally.series.any(axis=0))
    kept = max(BINS, int(stirs[-1]) + 1 if len(stirs) else 0)
    busy = in_service / max(played.served / max(played.batches, 1), 1.0)
    table = pd.DataFrame(
        {
            "deployment": job.deployment.name,
            "time_s": edges[:-1],
            "arrived_per_s": counts["arrived"] / step_s,
            "answered_per_s": counts["answered"] / step_s,
            "failed_per_s": counts["failed"] / step_s,
            "waiting": waiting.astype(np.int64),
            "in_service": in_service.astype(np.int64),
            "ready": ready,
            "held": held,
            "power_w": _power(list(job.profiles.values()), ready, busy),
        }
    )
    return table.iloc[:kept]


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


def _power(profiles: list[Profile], ready: Floats, busy: Floats) -> Floats:
    """Idle power of what is ready, and what work adds to it; of one kind of machine only."""
    if len(profiles) == 1:
        for reading in profiles[0].power:
            idle, mean = reading.idle_w.value, reading.mean_w.value
            if idle is not None and mean is not None:
                drawn: Floats = ready * idle + np.minimum(busy, ready) * max(mean - idle, 0.0)
                return drawn
    return np.full(len(ready), np.nan)


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
    until = until_of(job.workload, job.objective, job.plan.days)
    rows = np.concatenate(seen) if seen else np.zeros(0, [("number", "i8")])
    events = [
        *_names(played),
        *_batches(rows),
        *(event for row in rows[:MOST_EVENTS].tolist() for event in _way(row)),
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
    done = {
        (server, start): (served, size)
        for _, _, _, start, served, _, _, server, size, _ in rows.tolist()
        if size
    }
    for (server, start), (served, size) in sorted(done.items()):
        yield {
            "ph": "X", "pid": 1, "tid": server, "name": f"batch of {size}",
            "ts": start / 1e3, "dur": (served - start) / 1e3,
        }  # fmt: skip


def _way(row: tuple[int, ...]) -> Iterator[dict[str, Any]]:
    number, arrival, reach, start, served, finished, source, _, _, outcome = row
    steps = [("to the queue", arrival, reach), ("queue", reach, start), ("service", start, served)]
    if outcome == Outcome.DONE:
        steps.append(("back", served, finished))
    else:
        steps[2] = (Outcome(outcome).name.lower().replace("_", " "), served, served)
    common = {"cat": "request", "id": number, "pid": 2, "tid": source}
    for name, begin, end in [(f"request {number}", arrival, finished), *steps]:
        yield {"ph": "b", "name": name, "ts": begin / 1e3, **common}
        yield {"ph": "e", "name": name, "ts": end / 1e3, **common}


def _instant(event: Event) -> dict[str, Any]:
    return {
        "ph": "i", "s": "g", "pid": 3, "tid": event.node, "name": f"{event.what} (node {event.node})",
        "ts": event.time / 1e3,
    }  # fmt: skip
