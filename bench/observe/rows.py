"""What a client saw of each request, at one stage or several, and the answers that these are to a tally."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.requests import ANSWER, Answers, Outcome

OBSERVED = np.dtype(
    [
        ("arrival", "i8"),
        ("sent", "i8"),
        ("finished", "i8"),
        ("queue", "i8"),
        ("service", "i8"),
        ("in_batch", "i8"),
        ("batch", "i4"),
        ("server", "i4"),
        ("status", "i4"),
        ("sample", "i4"),
        ("size", "f8"),
    ]
)
"""One request. Nanoseconds: when it was due, when it was sent and when its answer was there, by the
client's clock; how long it waited and was served, as the server says. ``in_batch`` is the number of its
batch, ``batch`` how many were in it, ``server`` the replica. -1, and a ``batch`` of 0: not said. ``status``
is that of HTTP, or 0 where there was no answer; ``sample`` which of the inputs it was; ``size`` how large,
0 where the task has no sizes."""
Observed = npt.NDArray[Any]
Places = Sequence[int] | npt.NDArray[np.intp]
OF_A_STAGE = ("queue", "service", "in_batch", "batch", "server", "size")
"""What a line has of each stage: of the second, the columns are called ``queue_2`` and so on."""

DONE = 200
_OUTCOMES = {DONE: Outcome.DONE, 503: Outcome.SHED, 504: Outcome.TIMED_OUT}
_STATUSES = {outcome: status for status, outcome in _OUTCOMES.items()}
LOST = 500


def columns_of(stages: int, of_device: bool = False) -> np.dtype[Any]:
    """The columns of a line of so many stages; of one, :data:`OBSERVED`.

    Args:
        of_device: whether the first stage is a device: ``handed`` is when it had answered.
    """
    more = [
        (column(name, stage), OBSERVED[name].str)
        for stage in range(2, stages + 1)
        for name in OF_A_STAGE
    ]
    handed = [("handed", "i8")] if of_device else []
    return np.dtype([*OBSERVED.descr, *more, *handed])


def column(name: str, stage: int) -> str:
    """What is called so of a stage, which counts from 1."""
    return name if stage == 1 else f"{name}_{stage}"


def at_stage(rows: Observed, stage: int) -> Observed:
    """The same requests, as if there were that stage only: sent by the one before it, and seen by the next."""
    found = _stage_only(rows, stage)
    other = 1
    while column("batch", other) in (rows.dtype.names or ()):
        came = rows[column("batch", other)] > 0
        inside = sum(rows[column(name, other)] for name in ("queue", "service"))
        if other < stage:
            found["sent"] += np.where(came, inside, 0)
        elif other > stage:
            found["finished"] -= np.where(came, inside, 0)
        other += 1
    return found


def _stage_only(rows: Observed, stage: int) -> Observed:
    found = np.zeros(len(rows), OBSERVED)
    for name in OBSERVED.names or ():
        found[name] = rows[column(name, stage) if name in OF_A_STAGE else name]
    return found


def whole(rows: Observed, stages: int) -> Observed:
    """The same requests, as if the line were one service: waits and services together, and the batch of
    the last stage that each came to."""
    found = _stage_only(rows, 1)
    found["in_batch"] *= stages  # numbered at each stage: batches of others must be others
    for stage in range(2, stages + 1):
        own = _stage_only(rows, stage)
        came = own["batch"] > 0
        for name in ("queue", "service"):
            found[name][came] += own[name][came]
        for name in ("batch", "server"):
            found[name][came] = own[name][came]
        found["in_batch"][came] = own["in_batch"][came] * stages + stage - 1
    return found


def beyond(rows: Observed, stages: int) -> Observed:
    """The same requests to the line after a device, which come when that has answered."""
    found = np.zeros(len(rows), columns_of(stages - 1))
    for name in ("finished", "status", "sample"):
        found[name] = rows[name]
    found["arrival"] = found["sent"] = rows["handed"]
    for stage, name in product(range(1, stages), OF_A_STAGE):
        found[column(name, stage)] = rows[column(name, stage + 1)]
    return found


def note_beyond(rows: Observed, places: Places, later: Observed, stages: int) -> None:
    """What those at these places met at the line after a device; sizes are known before."""
    for name in ("finished", "status"):
        rows[name][places] = later[name]
    for stage, name in product(range(1, stages), OF_A_STAGE[:-1]):
        rows[column(name, stage + 1)][places] = later[column(name, stage)]


def answers_of(rows: Observed) -> Answers:
    """The same as rows of a simulation; their times count from the first that was due.

    What of a request's time was neither waiting nor service was on its way there and back, and is taken
    to be half of each; all of it, where the server says nothing.
    """
    found = np.zeros(len(rows), ANSWER)
    began = int(rows["arrival"].min()) if len(rows) else 0
    queue, service = (np.maximum(rows[name], 0) for name in ("queue", "service"))
    way = np.maximum(rows["finished"] - rows["sent"] - queue - service, 0)
    found["number"] = np.arange(len(rows))
    found["arrival"] = rows["arrival"] - began
    found["reach"] = rows["sent"] - began + way // 2
    found["start"] = found["reach"] + queue
    found["served"] = found["start"] + service
    found["finished"] = rows["finished"] - began
    for name in ("server", "batch", "size"):
        found[name] = rows[name]
    found["outcome"] = [_OUTCOMES.get(status, Outcome.LOST) for status in rows["status"].tolist()]
    return found


def statuses_of(answers: Answers) -> list[int]:
    """What a client would have seen of a simulation's."""
    return [_STATUSES.get(outcome, LOST) for outcome in answers["outcome"].tolist()]
