"""The way of a request through a live server: door, queue, batch, replica, answer.

The decisions are those of a simulation, by the same functions: who is turned away
(:func:`bench.admission.turned_away`) and when a batch starts (:func:`bench.batching.decide`); which queue
takes a request is as in :mod:`bench.simulate.reference.pool`. What is left to this file is real time.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bench.admission import Admission, turned_away
from bench.batching import Rule, Waiting, decide
from bench.measure import LiveAnswer
from bench.requests import Outcome
from bench.simulate import Routing
from bench.ticks import FOREVER, PER_SECOND

Clock = Callable[[], int]
"""Nanoseconds, of a clock that never goes back."""


NOTHING = LiveAnswer(b"")
MOST_TRIES = 3
"""A request that has been in hand of so many replicas that were lost may be the reason: it is lost too."""


@dataclass(eq=False)
class Request:
    """One input on its way. Times are of the pool's clock; 0 until they have come."""

    payload: bytes
    source: int
    choice: float
    reach: int
    left: asyncio.Future[Outcome]
    start: int = 0
    served: int = 0
    batch: int = 0
    in_batch: int = -1
    """The number of its batch."""
    server: int = -1
    tries: int = 0
    """Replicas that were lost with it in hand."""
    answer: LiveAnswer = NOTHING
    """As far as it was served."""
    waits_in: _Queue | None = None
    gives_up: asyncio.TimerHandle | None = None


class Replica(Protocol):
    """Whoever answers batches, one at a time."""

    def start(self, payloads: Sequence[bytes]) -> None:
        """Begin with a batch; :meth:`Pool.done` or :meth:`Pool.lost` will be told."""
        ...


@dataclass(eq=False)
class _Queue(Waiting[Request]):
    servers: list[_Server] = field(default_factory=list)
    alarm: asyncio.TimerHandle | None = None


@dataclass(eq=False)
class _Server:
    number: int
    replica: Replica
    queue: _Queue
    batch: list[Request] = field(default_factory=list)
    is_ready: bool = False

    @property
    def is_idle(self) -> bool:
        return self.is_ready and not self.batch


class Pool:
    """Replicas behind one queue, or each behind its own.

    Args:
        retry: what was in hand of a replica that is lost is tried again, up to :data:`MOST_TRIES`;
            else it is lost as well.
        on_end: sees every request that has ended, whatever became of it.
    """

    def __init__(
        self,
        rule: Rule,
        routing: Routing,
        admission: Admission,
        retry: bool,
        on_end: Callable[[Request, Outcome], None],
        clock: Clock = time.perf_counter_ns,
    ) -> None:
        self._rule, self._routing, self._admission, self._retry = rule, routing, admission, retry
        self._on_end, self._clock = on_end, clock
        self._door = _Queue()
        self._servers: list[_Server] = []
        self._turn = self._batches = 0
        self._luck = random.Random(0)  # noqa: S311 - who is shed is no secret
        self._inside = 0
        self._emptied = asyncio.Event()
        self._emptied.set()

    # What is asked of it ----------------------------------------------------------------------

    @property
    def inside(self) -> int:
        """Requests that have not ended."""
        return self._inside

    @property
    def waiting(self) -> int:
        return sum(map(len, self._queues()))

    @property
    def ready(self) -> int:
        """Replicas that take requests."""
        return sum(server.is_ready for server in self._servers)

    def ask(self, payload: bytes, source: int = 0) -> Request:
        """A request comes; ``left`` of it will say how it ends."""
        left: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        request = Request(payload, source, self._luck.random(), self._clock(), left)
        self._inside += 1
        self._emptied.clear()
        queue = self._queue_for(request)
        idle, limits = self._idle(queue) is not None, self._admission
        if turned_away(
            limits.queue_limit, limits.shed_from, limits.shed_to, len(queue), idle,
            request.choice,
        ):  # fmt: skip
            self._end(request, Outcome.SHED)
            return request
        self._join(queue, request, len(queue.waiting))
        self._dispatch(queue)
        return request

    def add(self, replica: Replica) -> int:
        """One more replica, which is not ready yet; its number."""
        number = len(self._servers)
        queue = self._door if self._routing is Routing.CENTRAL else _Queue()
        server = _Server(number, replica, queue)
        queue.servers.append(server)
        self._servers.append(server)
        return number

    def replace(self, number: int, replica: Replica) -> None:
        """Another replica in the place of one that was lost, ready."""
        self._servers[number].replica = replica
        self.set_ready(number)

    def set_ready(self, number: int) -> None:
        """The replica takes requests from now on; so do those that waited for any to be ready."""
        server = self._servers[number]
        server.is_ready = True
        if server.queue is not self._door:
            for request in self._door.emptied():
                queue = self._queue_for(request)
                self._join(queue, request, len(queue.waiting))
        for queue in self._queues():
            self._dispatch(queue)

    def done(self, number: int, answers: Sequence[LiveAnswer]) -> None:
        """The replica has answered its batch, in its order."""
        server, now = self._servers[number], self._clock()
        batch, server.batch = server.batch, []
        for request, answer in zip(batch, answers, strict=True):
            request.served, request.answer = now, answer
            self._end(request, Outcome.LOST if answer.error else Outcome.DONE)
        self._dispatch(server.queue)

    def lost(self, number: int) -> None:
        """The replica is gone, and takes nothing until it is ready again."""
        server = self._servers[number]
        server.is_ready = False
        in_hand, server.batch = server.batch, []
        for request in in_hand:
            request.tries += 1
        if server.queue is not self._door:
            in_hand += server.queue.emptied()
        for request in in_hand:
            if self._retry and request.tries < MOST_TRIES:
                self._try_again(request)
            else:
                self._lose(request, "the replica that had it was lost")
        for queue in self._queues():
            self._dispatch(queue)

    async def empty(self) -> None:
        """Until every request has ended."""
        await self._emptied.wait()

    def give_all_up(self, why: str) -> None:
        """Whatever has not ended is lost."""
        for queue in self._queues():
            for request in queue.emptied():
                self._lose(request, why)
        for server in self._servers:
            batch, server.batch, server.is_ready = server.batch, [], False
            for request in batch:
                self._lose(request, why)

    # How it goes on ---------------------------------------------------------------------------

    def _queues(self) -> Iterable[_Queue]:
        """All of them, each once."""
        return dict.fromkeys([self._door, *(server.queue for server in self._servers)])

    def _queue_for(self, request: Request) -> _Queue:
        ready = [server for server in self._servers if server.is_ready]
        if self._routing is Routing.CENTRAL or not ready:
            return self._door
        if self._routing is Routing.ROUND_ROBIN:
            self._turn += 1
            return ready[(self._turn - 1) % len(ready)].queue
        if self._routing is Routing.STICKY:
            return ready[request.source % len(ready)].queue
        if self._routing is Routing.TWO_CHOICES and len(ready) > 1:
            ready = self._luck.sample(ready, 2)
        return min(ready, key=lambda s: (len(s.queue) + len(s.batch), s.number)).queue

    def _idle(self, queue: _Queue) -> _Server | None:
        """The first server of this queue that has nothing to do."""
        return next((server for server in queue.servers if server.is_idle), None)

    def _join(self, queue: _Queue, request: Request, place: int) -> None:
        """Wait there, and no longer than it may."""
        self._no_alarm(request)
        queue.waiting.insert(place, request)
        request.waits_in = queue
        if self._admission.timeout < FOREVER:
            left = request.reach + self._admission.timeout - self._clock()
            request.gives_up = asyncio.get_running_loop().call_later(
                max(left, 0) / PER_SECOND, self._give_up, request
            )

    def _no_alarm(self, request: Request) -> None:
        """It waits no more: an alarm that is left would keep what the request holds until then."""
        request.waits_in = None
        if request.gives_up is not None:
            request.gives_up.cancel()
            request.gives_up = None

    def _try_again(self, request: Request) -> None:
        """Back into a queue, at the place that its age gives it; batches that wait there are formed anew."""
        request.start = request.batch = 0
        request.server = -1
        queue = self._queue_for(request)
        queue.waiting = queue.emptied()
        older = sum(other.reach <= request.reach for other in queue.waiting)
        self._join(queue, request, older)

    def _dispatch(self, queue: _Queue) -> None:
        """Start the batches that can start, and ask again when the next one may be due."""
        if queue.alarm is not None:
            queue.alarm.cancel()
            queue.alarm = None
        while queue.waiting and (self._rule.at_door or self._idle(queue) is not None):
            if not self._form(queue):
                break
            if not self._rule.at_door:
                self._start_oldest(queue)
        while queue.formed and self._idle(queue) is not None:
            self._start_oldest(queue)

    def _form(self, queue: _Queue) -> bool:
        """Whether those in no batch can be one now; if not, ask again when they may be."""
        now, rule = self._clock(), self._rule
        size, ask = decide(
            rule.full, rule.patience, len(queue.waiting), queue.waiting[0].reach, now
        )
        if size:
            queue.formed.append(queue.waiting[:size])
            del queue.waiting[:size]
        elif ask < FOREVER:
            loop = asyncio.get_running_loop()
            queue.alarm = loop.call_later((ask - now) / PER_SECOND, self._dispatch, queue)
        return size > 0

    def _start_oldest(self, queue: _Queue) -> None:
        """The batch that was formed first goes into service."""
        server, batch, now = self._idle(queue), queue.formed.pop(0), self._clock()
        assert server is not None  # noqa: S101
        for request in batch:
            self._no_alarm(request)
            request.start, request.batch, request.server = now, len(batch), server.number
            request.in_batch = self._batches
        self._batches += 1
        server.batch = batch
        server.replica.start([request.payload for request in batch])

    def _give_up(self, request: Request) -> None:
        """It has waited as long as it may."""
        queue = request.waits_in
        if queue is not None:
            queue.remove(request)
            self._end(request, Outcome.TIMED_OUT)
            self._dispatch(queue)

    def _lose(self, request: Request, why: str) -> None:
        request.answer = LiveAnswer(b"", why)
        self._end(request, Outcome.LOST)

    def _end(self, request: Request, outcome: Outcome) -> None:
        self._no_alarm(request)
        if not request.left.done():  # whoever asked may have hung up
            request.left.set_result(outcome)
        self._inside -= 1
        if not self._inside:
            self._emptied.set()
        self._on_end(request, outcome)
