"""A line of stages: the forecast of its requests, stage by stage."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bench.errors import MeasurementInvalid
from bench.observe import DONE, Observed, at_stage, beyond, column, note_beyond, statuses_of, whole
from bench.requests import Answers, Outcome, Requests
from bench.scenario import Part
from bench.simulate import ServiceTimes, replay
from bench.validate.forecast import forecast
from bench.validate.way import Way, way_of

Modelled = tuple[Part, ServiceTimes]
"""A stage, and how long it is thought to take."""
Which = npt.NDArray[np.bool_]


def forecast_line(
    rows: Observed,
    stages: Sequence[Modelled],
    replicas: int,
    way: Way,
    comes: Sequence[Which],
    rng: np.random.Generator,
) -> Observed:
    """One draw of what would have become of these requests, as they would have been seen.

    What a request would have met on its way back from the first stage, it meets on that from the last one
    that it comes to.

    Args:
        comes: to each stage, which of the requests, if they are answered before.
    """
    first, *later = stages
    found = _none_answered(rows)
    answers = forecast(at_stage(rows, 1), *first, replicas, way, [], rng)
    _note(found, answers, 1)
    for stage, (part, service) in enumerate(later, 2):
        goes_on = comes[stage - 1][answers["number"]] & (answers["outcome"] == Outcome.DONE)
        asked = _handed_on(answers[goes_on], at_stage(rows, stage), round(way.down), rng)
        answers = replay(part, service, replicas, asked, 0, round(way.down))
        _note(found, answers, stage)
    return found


def forecast_behind_device(
    rows: Observed,
    stages: Sequence[Modelled],
    replicas: int,
    ways: tuple[Way, Way],
    comes: Sequence[Which],
    rng: np.random.Generator,
) -> Observed:
    """The same of a line whose first stage is a device: when that has answered, it asks the rest of them.

    Args:
        replicas: of each stage but the device.
        ways: that of the device, which may be late, and that of the rest.
    """
    device, *later = stages
    found = _none_answered(rows)
    answers = forecast(at_stage(rows, 1), *device, 1, ways[0], [], rng)
    _note(found, answers, 1)
    found["handed"] = answers["finished"]
    goes_on = np.flatnonzero(comes[1] & (answers["outcome"] == Outcome.DONE))
    if len(goes_on):
        goes_on = goes_on[np.argsort(answers["finished"][goes_on], kind="stable")]
        asked = beyond(found, len(stages))[goes_on]
        seen = forecast_line(
            asked, later, replicas, ways[1], [one[goes_on] for one in comes[1:]], rng
        )
        seen["finished"] += asked["arrival"].min()
        note_beyond(found, goes_on, seen, len(stages))
    return found


def _none_answered(rows: Observed) -> Observed:
    """The same requests, counted from the first, before anything has become of them."""
    found = np.zeros(len(rows), rows.dtype)
    found["arrival"] = found["sent"] = rows["arrival"] - rows["arrival"].min()
    for name in rows.dtype.names or ():
        if name.startswith(("size", "sample")):
            found[name] = rows[name]
    return found


def _handed_on(answers: Answers, rows: Observed, down: int, rng: np.random.Generator) -> Requests:
    """What a stage has answered, as requests to the next one, by the time they come.

    Args:
        down: what of the way back an answer spends on the link, which is that stage's.
    """
    answers = answers[np.argsort(answers["served"], kind="stable")]
    count = len(answers)
    return Requests(
        number=answers["number"],
        arrival=answers["served"],
        time=answers["served"],
        source=np.zeros(count, np.int32),
        service=rng.random(count),
        choice=rng.random(count),
        up=np.zeros(count, np.int64),
        down=np.maximum(answers["finished"] - answers["served"] - down, 0),
        size=rows["size"][answers["number"]],
    )


def _note(found: Observed, answers: Answers, stage: int) -> None:
    """What became of requests at a stage."""
    number = answers["number"]
    found["finished"][number], found["status"][number] = answers["finished"], statuses_of(answers)
    found[column("queue", stage)][number] = answers["start"] - answers["reach"]
    found[column("service", stage)][number] = answers["served"] - answers["start"]
    found[column("batch", stage)][number] = answers["batch"]


def ways_of(blocks: Sequence[tuple[Sequence[int], Observed]], stages: int) -> tuple[Way, Way]:
    """From calibration: the way of a device, and that of the stages after it.

    Args:
        blocks: how many came together, wave by wave, and the rows.

    Raises:
        MeasurementInvalid: hardly anything was handed on.
    """
    device: list[Observed] = []
    rest: list[Observed] = []
    for waves, rows in blocks:
        first = at_stage(rows, 1)
        first["finished"] = rows["handed"]
        device += answered(np.split(first, np.cumsum(waves)[:-1]))
        went = rows[rows[column("batch", 2)] > 0]
        _, starts = np.unique(went["in_batch"], return_index=True)
        later = whole(beyond(went, stages), stages - 1)
        rest += answered(np.split(later, starts[1:]))  # what a batch of the device hands on
    if not any(len(wave) == 1 for wave in rest):
        raise MeasurementInvalid("The device handed on hardly anything in calibration.")
    return way_of(device), way_of(rest)


def answered(waves: Sequence[Observed]) -> list[Observed]:
    """Those in which every request was, in a batch that is known."""
    return [
        wave
        for wave in waves
        if len(wave) and ((wave["status"] == DONE) & (wave["batch"] > 0)).all()
    ]


def comes_to(rows: Observed, seen: Observed, stage: int) -> Which:
    """Which requests would come to a stage, if they are answered before: a matter of the input.

    Of one that was answered, this is known; of others, what became of those with the same input.

    Args:
        seen: all rows of the session.
    """
    batch, known = column("batch", stage), seen[seen["status"] == DONE]
    inputs = int(max(seen["sample"].max(), rows["sample"].max())) + 1
    came = np.bincount(known["sample"], known[batch] > 0, inputs)
    count = np.bincount(known["sample"], minlength=inputs)
    likely = 2 * came >= count
    found: Which = np.where(rows["status"] == DONE, rows[batch] > 0, likely[rows["sample"]])
    return found
