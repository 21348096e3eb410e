"""The way of a request through the stages of a live line: from one pool to the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from bench.requests import Outcome
from bench.serve.pool import Pool, Request


@dataclass(frozen=True)
class Stop:
    """A pool, and which requests go on to it."""

    pool: Pool
    only_found: bool = False
    """Those in which the stage before has found something; else all that it has answered."""


@dataclass(frozen=True)
class Passed:
    """What became of an input."""

    stops: Sequence[Request]
    """At each stage that it came to."""
    outcome: Outcome
    """At the last of them."""

    @property
    def last(self) -> Request:
        return self.stops[-1]

    @property
    def answer(self) -> bytes:
        """For whoever asked: of a stage that might have handed on, only what it says."""
        answer = self.last.answer
        return answer.output if answer.said is None else answer.said


class Line:
    """Stages that a request passes one after the other; the first one takes all."""

    def __init__(self, stops: Sequence[Stop]) -> None:
        self._stops = stops

    @property
    def inside(self) -> int:
        """Requests that have not ended."""
        return sum(stop.pool.inside for stop in self._stops)

    @property
    def is_ready(self) -> bool:
        """Whether there is a replica at every stage that takes requests."""
        return all(stop.pool.ready for stop in self._stops)

    async def take(self, payload: bytes, source: int) -> Passed:
        """From the door to the last answer.

        Whoever hangs up is served where it waits, and goes no further.
        """
        request = self._stops[0].pool.ask(payload, source)
        stops, outcome = [request], await request.left
        for _, stop in pairwise(self._stops):
            answer = request.answer
            if outcome is not Outcome.DONE or (stop.only_found and not answer.found):
                break
            request = stop.pool.ask(answer.output, source)
            stops.append(request)
            outcome = await request.left
        return Passed(stops, outcome)

    async def empty(self) -> None:
        """Until every request has ended. What leaves a stage is at the next one before this goes on."""
        for stop in self._stops:
            await stop.pool.empty()

    def give_all_up(self, why: str) -> None:
        """Whatever has not ended is lost."""
        for stop in self._stops:
            stop.pool.give_all_up(why)
