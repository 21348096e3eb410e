"""What a server that says nothing of itself did with waves: which requests it served together, and for how long.

From outside, only moments are seen at which answers come. But a wave finds nobody there, and how the
server forms batches is known: so it is known which answers come together, and when each batch could begin.
Of a wave of several batches, each begins when the one before it ends, and what lies between two is the service
time of the second alone; what a wave of one batch takes beyond it is the way there and back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.batching import FOREVER, Rule, rule_of
from bench.errors import InputError, MeasurementInvalid
from bench.observe import Observed
from bench.scenario import Choice
from bench.units import format_seconds
from bench.validate.validation import Block, Outside

DONE = 200
ROUNDS, FAR, EXACT_NS = 8, 4.0, 1.0
"""What is beyond so many times the median miss is left out of the next round."""
LEAST_FIT = 0.5
"""Of waves of several batches, so many must be answered as the rule says."""
DOUBT = 0.1
"""Of a full batch: waiting that differs by more from what the rule says is said."""
Floats = npt.NDArray[np.float64]


def told_rule(batching: Choice) -> Rule:
    """What a server is said to do.

    Raises:
        InputError: from outside, that cannot be told.
    """
    quick = rule_of(batching.name, batching.options, lambda size: 1e6)
    slow = rule_of(batching.name, batching.options, lambda size: 1e9)
    if quick != slow or FOREVER in quick.patience:
        raise InputError(
            f"how long requests wait by {batching.name!r} "
            + ("has no bound" if FOREVER in quick.patience else "depends on their service times"),
            where="batching", allowed="of a server of others, one whose waits are fixed times",
            todo="Say what the server does: none, greedy, dynamic or adaptive",
        )  # fmt: skip
    return quick


def split(rule: Rule, count: int) -> list[int]:
    """The batches of a wave of so many requests that finds nobody there."""
    first = 1 if rule.full == 1 or not rule.patience[0] else min(count, rule.full)
    left = count - first
    return [first] + [rule.full] * (left // rule.full) + [left % rule.full] * (left % rule.full > 0)


def told(
    blocks: Sequence[Block], rows: Sequence[Observed], rule: Rule
) -> tuple[list[Observed], Outside]:
    """The same rows, and those of calibration also with what must have become of them inside.

    Raises:
        MeasurementInvalid: the server does not batch as it is said to.
    """
    found, waves, left_out, number = [own.copy() for own in rows], [], 0, 0
    several: list[bool] = []
    for block, own in zip(blocks, found, strict=True):
        for wave in np.split(own, np.cumsum(block.waves)[:-1]) if block.waves else []:
            if not (wave["status"] == DONE).all():
                continue
            one = _Wave.of(wave, split(rule, len(wave)), number)
            number += len(one.sizes)
            if len(one.sizes) > 1:
                several.append(one.fits)
            if one.fits:
                waves.append(one)
            else:
                left_out += 1
    _require_fit(several, rule)
    fit = _Fit(waves, rule)
    for one in waves:
        fit.fill(one)
    return found, Outside(waves=len(waves), left_out=left_out, doubts=fit.doubts())


def _require_fit(several: Sequence[bool], rule: Rule) -> None:
    if several and np.mean(several) < LEAST_FIT:
        raise MeasurementInvalid(
            f"The server does not batch as the scenario says: of {len(several)} waves of more requests than "
            f"one batch, {sum(several)} were answered in batches of up to {rule.full}. Say in `batching` "
            "what the server does; `none`, if it serves one request at a time."
        )


@dataclass(frozen=True)
class _Wave:
    """Requests that were sent together, and the batches of their answers."""

    rows: Observed
    """Part of the table: what is written here stands there."""
    batches: list[npt.NDArray[np.intp]]
    """The places in the wave, by the order of the answers."""
    first: Floats
    """When the first answer of each batch came, in nanoseconds after the wave was due."""
    fits: bool
    """Whether what lies between batches is longer than anything within."""
    number: int
    """Of its first batch."""

    @property
    def sizes(self) -> list[int]:
        return [len(batch) for batch in self.batches]

    def is_told(self, place: int) -> bool:
        """Whether it is known when the batch began."""
        return place > 0 or len(self.batches) == 1

    @classmethod
    def of(cls, rows: Observed, sizes: Sequence[int], number: int) -> _Wave:
        order = np.argsort(rows["finished"], kind="stable")
        ends = np.cumsum(sizes)[:-1]
        moments = (rows["finished"] - rows["arrival"])[order].astype(float)
        between = np.zeros(len(rows) - 1, bool)
        between[ends - 1] = True
        gaps = np.diff(moments)
        fits = gaps[between].min(initial=np.inf) > gaps[~between].max(initial=-np.inf)
        batches = np.split(order, ends)
        return cls(rows, batches, moments[[0, *ends]], bool(fits), number)


class _Fit:
    """The way there and back, what each request holds up those behind it, and what batches take on average.

    A batch begins when it is formed, or when the one before it ends. It is formed when its last request
    comes, if it is full, or else when its oldest has waited. When the first of several began is not known: a
    server may read all that has come before it serves any.
    """

    def __init__(self, waves: Sequence[_Wave], rule: Rule) -> None:
        self._rule = rule
        self.alone = self.up = 0.0
        """Nanoseconds: of a request alone, and more for each that was sent before it."""
        self.service = np.zeros(rule.full)
        """By batch size, from 1."""
        flat = [(wave, place) for wave in waves for place in range(len(wave.batches))]
        flat = [(wave, place) for wave, place in flat if wave.is_told(place)]
        self.alone = self._guessed(flat)
        follows = [self._follows(*one) for one in flat]
        kept = np.ones(len(flat), bool)
        for _ in range(ROUNDS):
            equations = [self._equation(*one, f) for one, f in zip(flat, follows, strict=True)]
            columns = np.array([left for left, _ in equations])
            values = np.array([right for _, right in equations])
            answer, *_ = np.linalg.lstsq(columns[kept], values[kept], rcond=None)
            self.alone, self.up, self.service = float(answer[0]), float(answer[1]), answer[2:]
            misses = np.abs(values - columns @ answer)
            kept = misses <= FAR * np.median(misses) + EXACT_NS
            follows = [self._follows(*one) for one in flat]

    def fill(self, wave: _Wave) -> None:
        """What must have become of its requests: all that differs from wave to wave is service; and where
        waiting and service cannot be told apart, all of it is waiting, and service is -1."""
        rows, up = wave.rows, max(self.up, 0.0)
        for place, batch in enumerate(wave.batches):
            formed = self._formed(wave, place)
            start = wave.first[place - 1] - self.alone if self._follows(wave, place) else formed
            ended = wave.first[place] - self.alone
            took = max(round(ended - start), 1) if wave.is_told(place) else -1
            rows["queue"][batch] = np.maximum(np.rint(ended - took - up * batch), 0)
            rows["service"][batch] = took
            rows["in_batch"][batch], rows["batch"][batch] = wave.number + place, len(batch)
            rows["server"][batch] = 0

    def doubts(self) -> list[str]:
        """What does not go with what the server is said to do."""
        longer = -self.up * (self._rule.full - 1)
        shorter = -self.alone
        enough = DOUBT * self.service[-1]
        return [
            f"smaller batches seem to wait about {format_seconds(by / 1e9)} {how} than the scenario says"
            for by, how in ((longer, "longer"), (shorter, "less long"))
            if by > enough
        ]

    def _guessed(self, flat: Sequence[tuple[_Wave, int]]) -> float:
        """The way, from full batches alone: they wait for nothing but the one before them."""
        full = [(w, k) for w, k in flat if w.sizes[k] == self._rule.full]
        took = [w.first[k] - w.first[k - 1] for w, k in full if k]
        came = [w.first[0] for w, k in full if not k]
        return float(np.median(came) - np.median(took)) if took and came else 0.0

    def _equation(self, wave: _Wave, place: int, follows: bool) -> tuple[list[float], float]:
        """The first answer of a batch, or what lies between it and that of the batch before."""
        size = len(wave.batches[place])
        of_size = [float(size == one) for one in range(1, self._rule.full + 1)]
        if follows:
            return [0.0, 0.0, *of_size], wave.first[place] - wave.first[place - 1]
        behind, waits = self._forming(wave, place)
        return [1.0, behind, *of_size], wave.first[place] - waits

    def _follows(self, wave: _Wave, place: int) -> bool:
        """Whether it was formed before the batch before it ended."""
        return place > 0 and wave.first[place - 1] - self.alone >= self._formed(wave, place)

    def _formed(self, wave: _Wave, place: int) -> float:
        """When it was, in nanoseconds after the first request of the wave reached the server."""
        behind, waits = self._forming(wave, place)
        return max(self.up, 0.0) * behind + waits

    def _forming(self, wave: _Wave, place: int) -> tuple[float, float]:
        """Requests before the one by which it is formed, and how long that one waits."""
        oldest, size = sum(wave.sizes[:place]), len(wave.batches[place])
        if size == self._rule.full:
            return float(oldest + size - 1), 0.0
        return float(oldest), float(self._rule.patience[size - 1])
