"""What a client saw of each request, and the answers that these are to a tally."""

from __future__ import annotations

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

_OUTCOMES = {200: Outcome.DONE, 503: Outcome.SHED, 504: Outcome.TIMED_OUT}


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
