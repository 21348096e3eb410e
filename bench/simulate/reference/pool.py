"""A pool of servers in which every request is a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np
import simpy

from bench.admission import turned_away
from bench.batching import Waiting, decide
from bench.requests import ANSWER, OnAnswers, Outcome, Requests, Row
from bench.simulate.moments import (
    Steps,
    control_at,
    patience_ends,
    queue_asks,
    request_comes,
    service_end,
)
from bench.simulate.plane import Calm, PoolSpec, Routing, Seen, Trigger
from bench.simulate.reference.link import SharedLinks
from bench.simulate.service import cooled, draw, joined_work
from bench.ticks import FOREVER

GOLDEN = 0.6180339887498949


@dataclass(eq=False)
class Request:
    """One request under way."""

    row: Row
    reach: int = 0
    start: int = 0
    batch: int = 0
    waits_in: Queue | None = None
    left: Any = None
    """The event of its end in the pool: outcome, time, server."""
    next_row: Row | None = None
    """Closed loop: the luck of the request its user will make after this one."""


@dataclass(eq=False)
class Queue(Waiting[Request]):
    """One of them."""

    number: int = 0
    alarm: int = FOREVER


@dataclass(eq=False)
class Server:
    """Takes one batch at a time."""

    number: int
    queue: Queue
    state: str = "off"
    draining: bool = False
    work: int = 0
    """Items of other work in hand."""
    batch: list[Request] = field(default_factory=list)
    unsaved: list[Request] = field(default_factory=list)
    saved_at: int = 0
    saving: bool = False
    finish: int = 0
    left: int = FOREVER
    process: Any = None
    block_left: int = 0
    block_offset: int = 0
    block_phase: float = 0.0


class Pool:
    """See :class:`bench.simulate.plane.Pool`."""

    def __init__(
        self,
        env: simpy.Environment,
        spec: PoolSpec,
        requests: Iterator[Requests],
        on_answers: OnAnswers,
    ) -> None:
        self._env, self._spec, self._on_answers = env, spec, on_answers
        self._central = spec.routing is Routing.CENTRAL
        self._door = Queue(number=0)
        self._servers = [
            Server(number, self._door if self._central else Queue(number=number + 1))
            for number in range(spec.servers)
        ]
        self._uplink, self._downlink = (
            SharedLinks(env, spec.uplink),
            SharedLinks(env, spec.downlink),
        )
        self._rows = (row for chunk in requests for row in chunk.rows())
        self._ranks, self._stored_ranks = count(), count()
        self._ended: list[tuple[float, ...]] = []
        self._turn = 0
        self._busy = self._filling = self._batches = self._served = 0
        self._work = self._work_serial = self._work_done = self._work_ended = 0
        self.watch_wake = self.watch_empty = False
        self.on_trigger: Callable[[Trigger], None] = lambda trigger: None
        if spec.users:
            for user in range(spec.users):
                env.process(self._user(user, next(self._rows, None)))
        else:
            env.process(self._sources())

    def run(self, until: int) -> None:
        self._env.run(until=until)
        self._on_answers(np.array(self._ended, ANSWER))
        self._ended.clear()

    # Requests -------------------------------------------------------------------------------

    def _sources(self) -> Steps:
        """Open loop: requests set out when they are scheduled, whatever became of the others."""
        for row in self._rows:
            if row.time > self._env.now:
                yield self._env.timeout(row.time - int(self._env.now))
            self._env.process(self._life(Request(row)))

    def _user(self, user: int, row: Row | None) -> Steps:
        """Closed loop: think, ask, wait for the answer."""
        while row is not None:
            sends = self._when_back(int(self._env.now) + row.time, row.time)
            if sends >= FOREVER:
                return
            yield request_comes(self._env, sends - int(self._env.now), user)
            request = Request(row._replace(arrival=int(self._env.now), source=user))
            yield self._env.process(self._life(request))
            row = request.next_row

    def _when_back(self, sends: int, thinks: int) -> int:
        away = self._spec.away
        for start, end in zip(away.start.tolist(), away.end.tolist(), strict=True):
            if start <= sends < end:
                return int(end) + thinks
        return sends

    def _life(self, request: Request) -> Steps:
        rank = request.row.source if self._spec.users else next(self._ranks)
        yield from self._uplink.send(request.row)
        yield request_comes(self._env, request.row.up, rank)
        if self._spec.opens is not None:
            later = self._spec.opens[self._spec.opens >= self._env.now]
            if not len(later):
                return
            yield request_comes(
                self._env, int(later[0]) - int(self._env.now), next(self._stored_ranks)
            )
        request.reach = int(self._env.now)
        yield self._submit(request)
        outcome, at, server = request.left.value
        if outcome is Outcome.DONE:
            yield from self._downlink.send(request.row)
            yield self._env.timeout(request.row.down)
        start, batch = (request.start, request.batch) if outcome is Outcome.DONE else (at, 0)
        finished = int(self._env.now) if outcome is Outcome.DONE else at
        self._ended.append(
            (request.row.number, request.row.arrival, request.reach, start, at, finished,
             request.row.source, server, batch, int(outcome), request.row.size)
        )  # fmt: skip

    def _submit(self, request: Request) -> Any:
        """An event that succeeds with the outcome, its time, and the server."""
        request.left = self._env.event()
        queue = self._route(request)
        if self._turned_away(queue, request):
            self._leave(request, Outcome.SHED, -1)
        else:
            self._join(queue, request, len(queue.waiting))
            if self.watch_wake and self._waiting() and not self._ready():
                self.watch_wake = False
                self._trigger("wake")
        return request.left

    def _leave(self, request: Request, outcome: Outcome, server: int) -> None:
        if self._spec.users:  # the luck of a user's next request is drawn when this one leaves
            request.next_row = next(self._rows, None)
        request.left.succeed((outcome, int(self._env.now), server))

    # Queues ---------------------------------------------------------------------------------

    def _route(self, request: Request) -> Queue:
        ready = self._ready()
        if self._central or not ready:
            return self._door
        if self._spec.routing is Routing.ROUND_ROBIN:
            self._turn += 1
            return ready[(self._turn - 1) % len(ready)].queue
        if self._spec.routing is Routing.STICKY:
            return ready[request.row.source % len(ready)].queue
        if self._spec.routing is Routing.TWO_CHOICES and len(ready) > 1:
            ready = _two_of(ready, request.row.choice)
        return min(ready, key=lambda s: (len(s.queue) + len(s.batch), s.number)).queue

    def _turned_away(self, queue: Queue, request: Request) -> bool:
        admission = self._spec.admission
        return turned_away(
            admission.queue_limit, admission.shed_from, admission.shed_to, len(queue),
            bool(self._idle(queue)), request.row.choice,
        )  # fmt: skip

    def _join(self, queue: Queue, request: Request, place: int) -> None:
        queue.waiting.insert(place, request)
        request.waits_in = queue
        if self._spec.admission.timeout < FOREVER:
            self._env.process(self._lose_patience(request, queue))
        self._dispatch(queue)

    def _try_again(self, request: Request) -> None:
        """Back into a queue, at the place its age gives it; batches that wait there are formed anew."""
        queue, age = self._route(request), (request.reach, request.row.number)
        queue.waiting = queue.emptied()
        older = (other for other in queue.waiting if (other.reach, other.row.number) < age)
        self._join(queue, request, sum(1 for _ in older))

    def _lose_patience(self, request: Request, queue: Queue) -> Steps:
        gives_up = request.reach + self._spec.admission.timeout
        yield patience_ends(self._env, max(gives_up - int(self._env.now), 0), queue.number)
        if request.waits_in is queue:
            queue.remove(request)
            request.waits_in = None
            self._leave(request, Outcome.TIMED_OUT, -1)
            self._dispatch(queue)
            self._note_empty()

    def _dispatch(self, queue: Queue) -> None:
        """Start the batches that can start, and ask again when the next one may be due."""
        at_door = self._spec.rule.at_door
        alarm = FOREVER
        while queue.waiting and (at_door or self._idle(queue)):
            size, ask = self._decide(queue)
            if size == 0:
                alarm = ask
                break
            batch, queue.waiting = queue.waiting[:size], queue.waiting[size:]
            queue.formed.append(batch)
            if not at_door:
                self._start_oldest(queue)
        while queue.formed and self._idle(queue):
            self._start_oldest(queue)
        self._ask_again(queue, alarm)
        if not len(queue):
            for server in self._idle(queue):
                if self._work and not server.draining:
                    server.process = self._env.process(
                        self._do_work(server, self._take_work(server))
                    )

    def _decide(self, queue: Queue) -> tuple[int, int]:
        """How many of those in no batch become one now; if none, when to ask again."""
        rule, waiting = self._spec.rule, len(queue.waiting)
        if not self._central and any(s.queue is queue and s.draining for s in self._servers):
            return min(waiting, rule.full), FOREVER
        return decide(rule.full, rule.patience, waiting, queue.waiting[0].reach, int(self._env.now))

    def _start_oldest(self, queue: Queue) -> None:
        """The batch that was formed first goes into service."""
        server, batch = self._idle(queue)[0], queue.formed.pop(0)
        for request in batch:
            request.waits_in = None
        server.process = self._env.process(self._serve(server, batch, self._length(server, batch)))

    def _ask_again(self, queue: Queue, time: int) -> None:
        if time == queue.alarm:
            return
        queue.alarm = time
        if time >= FOREVER:
            return

        def ask(_: simpy.Event) -> None:
            if queue.alarm == time:
                queue.alarm = FOREVER
                self._dispatch(queue)

        alarm = queue_asks(self._env, time - int(self._env.now), queue.number)
        alarm.callbacks.append(ask)

    # Servers --------------------------------------------------------------------------------

    def _length(self, server: Server, batch: list[Request]) -> int:
        """How long the batch takes; the server is busy from now on."""
        now, size = int(self._env.now), len(batch)
        service, work = self._spec.service, 0.0
        for request in batch:
            work = joined_work(service.padded, work, request.row.size)
        cold = cooled(now - server.finish, service.rest)
        length = draw(server, service, size, batch[0].row.service, work, cold)
        server.saving = now + length - server.saved_at >= self._spec.checkpoints.every
        length += self._spec.checkpoints.cost if server.saving else 0
        server.state, server.batch, server.finish = "busy", batch, now + length
        for request in batch:
            request.start, request.batch = now, size
        self._busy += length
        self._batches += 1
        self._served += size
        return length

    def _serve(self, server: Server, batch: list[Request], length: int) -> Steps:
        try:
            yield service_end(self._env, length, server.number)
        except simpy.Interrupt:
            return
        server.state, server.batch = "idle", []
        server.unsaved += batch
        if self._spec.checkpoints.every == FOREVER or server.saving:
            self._save(server)
        self._next(server)

    def _take_work(self, server: Server) -> int:
        size = min(self._work, self._spec.rule.full)
        service = self._spec.service
        luck = self._work_serial * GOLDEN % 1
        cold = cooled(int(self._env.now) - server.finish, service.rest)
        length = draw(server, service, size, luck, service.work[size], cold)
        self._work -= size
        self._work_serial += 1
        self._filling += length
        server.state, server.work, server.finish = "busy", size, int(self._env.now) + length
        return length

    def _do_work(self, server: Server, length: int) -> Steps:
        try:
            yield service_end(self._env, length, server.number)
        except simpy.Interrupt:
            return
        self._work_done += server.work
        self._work_ended = int(self._env.now)
        server.state, server.work = "idle", 0
        self._next(server)

    def _next(self, server: Server) -> None:
        """What a server does when it has done something."""
        if not (self._central and server.draining):
            self._dispatch(server.queue)
        if server.draining and server.state == "idle":
            self._off(server)
        if server.state == "idle":  # nothing to do: what it has is written at once
            self._save(server)
        self._note_empty()

    def _save(self, server: Server) -> None:
        safe, server.unsaved = server.unsaved, []
        if safe:
            server.saved_at = int(self._env.now)
        for request in safe:
            self._leave(request, Outcome.DONE, server.number)

    def _off(self, server: Server) -> None:
        self._save(server)
        server.state, server.draining, server.left = "off", False, int(self._env.now)

    # Control --------------------------------------------------------------------------------

    def add(self, server: int) -> None:
        one = self._servers[server]
        one.state, one.draining, one.left = "idle", False, FOREVER
        one.saved_at = one.finish = int(self._env.now)
        one.block_left = 0
        if not self._central:
            for request in self._door.emptied():
                queue = self._route(request)
                self._join(queue, request, len(queue.waiting))
        self._dispatch(one.queue)

    def retire(self, server: int) -> None:
        one = self._servers[server]
        one.draining = True
        if not self._central:
            self._dispatch(one.queue)
        if one.state == "idle":
            self._off(one)

    def fail(self, server: int) -> None:
        one, now = self._servers[server], int(self._env.now)
        if one.state == "busy":
            one.process.interrupt()
            if one.work:
                self._filling -= one.finish - now
                self._work += one.work
            else:
                self._busy -= one.finish - now
        own = [] if self._central else one.queue.emptied()
        in_hand = [*one.unsaved, *one.batch, *own]
        one.state, one.draining, one.left = "off", False, now
        one.work, one.batch, one.unsaved = 0, [], []
        for request in in_hand:
            request.waits_in = None
            if self._spec.retry:
                self._try_again(request)
            else:
                self._leave(request, Outcome.LOST, -1)
        self._note_empty()

    def give_work(self, items: int) -> None:
        self._work += items
        if self._central:
            self._dispatch(self._door)
        else:
            for server in self._ready():
                self._dispatch(server.queue)

    def left(self, server: int) -> int:
        return self._servers[server].left

    def stirred(self, calm: Calm) -> None:
        """Whoever wants to know looks each time."""

    def seen(self) -> Seen:
        busy = [s for s in self._servers if s.state == "busy"]
        now = int(self._env.now)
        return Seen(
            waiting=self._waiting(),
            in_service=sum(len(s.batch) for s in busy),
            busy=self._busy - sum(s.finish - now for s in busy if not s.work),
            filling=self._filling - sum(s.finish - now for s in busy if s.work),
            batches=self._batches,
            served=self._served,
            work_left=self._work,
            work_done=self._work_done,
            work_ended=self._work_ended,
        )

    def _ready(self) -> list[Server]:
        """Servers that take requests."""
        return [s for s in self._servers if s.state != "off" and not s.draining]

    def _idle(self, queue: Queue) -> list[Server]:
        """Servers of a queue that have nothing in hand, lowest number first."""
        own = (
            self._servers if queue is self._door else self._servers[queue.number - 1 : queue.number]
        )
        may_drain = not self._central
        return [
            s
            for s in own
            if s.queue is queue and s.state == "idle" and (may_drain or not s.draining)
        ]

    def _waiting(self) -> int:
        queues = {id(s.queue): s.queue for s in self._servers} | {id(self._door): self._door}
        return sum(map(len, queues.values()))

    def _note_empty(self) -> None:
        if self.watch_empty and not self._waiting() and not any(s.batch for s in self._servers):
            self.watch_empty = False
            self._trigger("empty")

    def _trigger(self, trigger: Trigger) -> None:
        control_at(self._env, int(self._env.now), lambda: self.on_trigger(trigger))


def _two_of(ready: list[Server], luck: float) -> list[Server]:
    """Two different servers, picked by one uniform number."""
    scaled = luck * len(ready)
    a = min(int(scaled), len(ready) - 1)
    b = min(int((scaled - a) * (len(ready) - 1)), len(ready) - 2)
    return [ready[a], ready[b + (b >= a)]]
