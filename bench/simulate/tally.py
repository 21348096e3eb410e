"""What became of the requests, counted as they come: memory does not grow with their number."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.requests import Answers, OnAnswers, Outcome
from bench.scenario import DueTime, Objective
from bench.simulate.compiled import compiled
from bench.ticks import FOREVER, PER_SECOND, Ticks, ticks
from bench.units import DAY_S

EXACT = 1_000_000
"""Quantiles come from all response times up to so many, and from a histogram beyond."""
_BITS = 10
RELATIVE_ERROR = 2.0 ** -(_BITS + 1)
"""Of a quantile read from the histogram: half a bin, 0.05 %."""
_BINS = 63 << _BITS

_SUMS = np.dtype(
    [
        (name, "i8")
        for name in (
            "done", "shed", "timed_out", "lost", "late", "within", "kept", "last_finish",
            "ended", "last_end", "returned", "carried",
            "response_high", "response_low", "wait_high", "wait_low",
        )
    ]
)  # fmt: skip
_DONE, _SHED, _TIMED_OUT = int(Outcome.DONE), int(Outcome.SHED), int(Outcome.TIMED_OUT)
SERIES = ("arrived", "reached", "began", "ended", "answered", "failed")
_DAY = int(DAY_S * PER_SECOND)


class Tally:
    """Counts answers; call it with each chunk of them.

    Args:
        objective: what "within the SLO" means.
        until: answers that come later are still in flight.
        since: requests that arrived earlier belong to the warm-up and are not counted.
        step_s: width of the bins of the time series; ``None`` for no series.
        sequence: keep the response times in the order of the answers, in means of a few.
        next_day: when the work of the day after the last would begin.
        watch: sees every chunk of answers too.
    """

    def __init__(
        self,
        objective: Objective,
        until: int,
        since: int = 0,
        step_s: float | None = None,
        sequence: bool = False,
        watch: OnAnswers | None = None,
        next_day: int = FOREVER,
    ) -> None:
        self._watch, self._next_day = watch, next_day
        self._until, self._since = until, since
        self._limit = ticks(objective.response.limit) if objective.response else FOREVER
        self._due = ticks(objective.due.by) if isinstance(objective.due, DueTime) else FOREVER
        self._sums = np.zeros(1, _SUMS)
        self._values = np.zeros(EXACT, np.int64)
        self._histogram = np.zeros(_BINS, np.int64)
        self._step = ticks(step_s) if step_s else 0
        bins = -(-until // self._step) if self._step else 0
        self.series = np.zeros((len(SERIES), bins), np.int64)
        """By :data:`SERIES` and bin, how many requests did that in the bin."""
        self.sequence = _Sequence() if sequence else None

    def __call__(self, answers: Answers) -> None:
        if self._watch is not None:
            self._watch(answers)
        if self.sequence is not None:
            done = answers[(answers["outcome"] == _DONE) & (answers["finished"] < self._until)]
            self.sequence.add(done)
        _count(
            answers, self._until, self._since, self._limit, self._due, self._sums,
            self._values, self._histogram, self.series, self._step, self._next_day,
        )  # fmt: skip

    def __getitem__(self, name: str) -> int:
        """``done``, ``shed``, ``timed_out``, ``lost``, ``within``, ``last_finish`` (ticks).

        Of all requests, those of the warm-up too: ``ended``, ``last_end`` (ticks), and ``returned``:
        answered, and not shed, timed out or lost. Of those that
        count, ``carried``: ended when the next day's work had begun.
        """
        return int(self._sums[name][0])

    @property
    def mean_s(self) -> float:
        """Of the response times of answered requests."""
        return self._mean_s("response")

    @property
    def mean_wait_s(self) -> float:
        """From reaching the queue to the start of service, of answered requests."""
        return self._mean_s("wait")

    def _mean_s(self, what: str) -> float:
        total = (self[f"{what}_high"] << 32) + self[f"{what}_low"]
        return total / max(self["done"], 1) / PER_SECOND

    def quantiles_s(self, shares: list[float], requests: int) -> list[float | None]:
        """Response times that these shares of ``requests`` do not exceed.

        A request that has no answer, for whatever reason, counts as endless: ``None``.
        """
        ranks = [max(math.ceil(share * requests - 1e-9), 1) for share in shares]
        done = self["done"]
        if done <= EXACT:
            ordered = np.sort(self._values[:done])
            return [
                float(ordered[rank - 1]) / PER_SECOND if rank <= done else None for rank in ranks
            ]
        cumulated = np.cumsum(self._histogram)
        places = np.searchsorted(cumulated, ranks)
        return [
            _middle(int(place)) / PER_SECOND if rank <= done else None
            for rank, place in zip(ranks, places.tolist(), strict=True)
        ]


class _Sequence:
    """Means of consecutive response times: of five, then of ten, … so that they stay few."""

    MOST = 1 << 15

    def __init__(self) -> None:
        self.size = 5
        self.means: list[float] = []
        self.arrivals: list[int] = []
        """Arrival of the first request of each mean."""
        self._response = np.zeros(0)
        self._arrival = np.zeros(0, np.int64)

    def add(self, done: Answers) -> None:
        self._response = np.concatenate([self._response, done["finished"] - done["arrival"]])
        self._arrival = np.concatenate([self._arrival, done["arrival"]])
        whole = len(self._response) // self.size * self.size
        blocks = self._response[:whole].reshape(-1, self.size)
        self.means += blocks.mean(axis=1).tolist()
        self.arrivals += self._arrival[: whole : self.size].tolist()
        self._response, self._arrival = self._response[whole:], self._arrival[whole:]
        while len(self.means) > self.MOST:
            even = len(self.means) // 2 * 2
            self.means = [
                (a + b) / 2 for a, b in zip(self.means[:even:2], self.means[1:even:2], strict=True)
            ]
            self.arrivals = self.arrivals[:even:2]
            self.size *= 2


def _middle(place: int) -> float:
    """The middle of a bin of the histogram, in ticks."""
    low, high = (np.array([place, place + 1], np.int64) + (1023 << _BITS)) << (52 - _BITS)
    return float((low.view(np.float64) + high.view(np.float64)) / 2)


@compiled
def _enter(series: npt.NDArray[np.int64], answer, step: int) -> None:  # type: ignore[no-untyped-def]
    """One answer in the bins of :data:`SERIES`; one that was not served leaves the queue only."""
    series[0, answer.arrival // step] += 1
    series[1, answer.reach // step] += 1
    series[2, (answer.start if answer.batch else answer.served) // step] += 1
    series[3, answer.served // step] += 1
    series[4 if answer.outcome == _DONE else 5, answer.finished // step] += 1


@compiled
def _count(
    answers: Answers, until: int, since: int, limit: int, due: int, sums: npt.NDArray[Any],
    values: Ticks, histogram: Ticks, series: npt.NDArray[np.int64], step: int,
    next_day: int,
) -> None:  # fmt: skip
    s = sums[0]
    # What every answer adds to is kept in registers: to write it to memory each time is slower.
    done = returned = carried = within = 0
    response_high = response_low = wait_high = wait_low = 0
    kept, last_end, last_finish = s.kept, s.last_end, s.last_finish
    for place in range(len(answers)):
        answer = answers[place]
        last_end = max(last_end, answer.finished)
        returned += answer.outcome == _DONE
        if answer.arrival < since:
            continue
        if answer.finished >= until:
            s.late += 1
            continue
        carried += answer.finished >= next_day
        if step:
            _enter(series, answer, step)
        if answer.outcome == _DONE:
            response = answer.finished - answer.arrival
            if kept < len(values):
                values[kept] = response
                kept += 1
            bits = np.float64(max(response, 1)).view(np.int64)
            histogram[(bits >> (52 - _BITS)) - (1023 << _BITS)] += 1
            done += 1
            wait = answer.start - answer.reach
            # In two parts, so that sums are exact and do not overflow.
            response_high += response >> 32
            response_low += response & 0xFFFFFFFF
            wait_high += wait >> 32
            wait_low += wait & 0xFFFFFFFF
            last_finish = max(last_finish, answer.finished)
            if due == FOREVER:
                within += response <= limit
            else:
                within += answer.finished <= (answer.arrival // _DAY + 1) * _DAY + due
        elif answer.outcome == _SHED:
            s.shed += 1
        elif answer.outcome == _TIMED_OUT:
            s.timed_out += 1
        else:
            s.lost += 1
    s.ended += len(answers)
    s.kept, s.last_end, s.last_finish = kept, last_end, last_finish
    s.done, s.returned = s.done + done, s.returned + returned
    s.carried, s.within = s.carried + carried, s.within + within
    s.response_high, s.response_low = s.response_high + response_high, s.response_low + response_low
    s.wait_high, s.wait_low = s.wait_high + wait_high, s.wait_low + wait_low
