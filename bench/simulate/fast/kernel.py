"""The data plane of a pool of servers, compiled: every request between two control events.

At one moment, services end first (lowest server first), then requests come, then queues ask their
batching rule again; control acts last. :mod:`bench.simulate.reference.pool` is the same in words
that are easier to read.
"""

from __future__ import annotations

from bench.admission import turned_away
from bench.batching import decide
from bench.requests import Outcome
from bench.simulate.compiled import compiled
from bench.simulate.fast.heap import put, remove, take, top_key
from bench.simulate.fast.link import message, site_of, transmit
from bench.simulate.fast.state import (
    BUSY,
    IDLE,
    OFF,
    Input,
    PoolData,
    PoolFixed,
    Slots,
    State,
    Structured,
)
from bench.simulate.fast.windows import after_window
from bench.simulate.plane import Routing
from bench.simulate.service import cooled, draw, joined_work
from bench.ticks import FOREVER

REACHED, NEEDS_INPUT, NEEDS_OUTPUT, NEEDS_SLOTS = 0, 1, 2, 3

_DONE, _SHED = int(Outcome.DONE), int(Outcome.SHED)
_TIMED_OUT, _LOST = int(Outcome.TIMED_OUT), int(Outcome.LOST)
_CENTRAL, _ROUND_ROBIN = int(Routing.CENTRAL), int(Routing.ROUND_ROBIN)
_SHORTEST, _TWO, _STICKY = (
    int(Routing.SHORTEST_QUEUE), int(Routing.TWO_CHOICES), int(Routing.STICKY),
)  # fmt: skip
_GOLDEN = 0.6180339887498949
"""Steps of the golden ratio cover the measured times evenly (work has no luck of its own)."""

_decide = compiled(decide)
_refused = compiled(turned_away)
_cooled = compiled(cooled)
_draw = compiled(draw)
_joined_work = compiled(joined_work)


@compiled
def advance(pool: PoolData, until: int, last: bool) -> int:
    """Go on through the moment ``until``, or to where something is needed.

    Who gives up in that moment does so after control has acted in it, and so in the next advance; or
    in this one, if it is the ``last``.

    A trigger that is being watched for ends the advance with the moment it happens in, and so does a look
    that finds the pool no longer calm. When ``until``
    is reached, ``registers.next`` is when something happens next, unless control acts before.
    """
    state, settings, rows, out = pool.state, pool.settings, pool.rows, pool.out
    r = state.registers[0]
    while True:
        if r.woken or r.emptied or r.stirred:
            until, last = r.now, False
        if settings.closed:
            if r.rows - r.cursor <= r.used and not r.last:
                return NEEDS_INPUT
            comes = min(top_key(state.sends), top_key(state.transit))
        else:
            if r.cursor == r.rows and not r.last:
                return NEEDS_INPUT
            comes = rows.time[r.cursor] if r.cursor < r.rows else FOREVER
        if len(out) - r.written <= r.used + 1:
            return NEEDS_OUTPUT
        if r.free == 0 and not settings.closed:
            return NEEDS_SLOTS
        ends, asks = top_key(state.finishes), top_key(state.alarms)
        next_time = min(ends, comes, asks)
        gives_up = top_key(state.leaves)
        if r.look <= until and r.look < next_time and r.look <= gives_up:
            _look(state)
            continue
        if gives_up < next_time and gives_up < until + last:
            r.now = gives_up
            _give_up(pool, state.leaves.order[0], gives_up)
            continue
        if next_time > until:
            r.now, r.next = until, min(next_time, gives_up)
            return REACHED
        r.now = next_time
        if ends == next_time:
            _end_service(pool, take(state.finishes), next_time)
        elif comes == next_time:
            before = min(ends, asks, until + 1, r.look + 1)
            if not (settings.plain and _join_freely(pool, before)):
                _next_request(pool, next_time)
        else:
            _dispatch(pool, take(state.alarms), next_time)


@compiled
def _look(state: State) -> None:
    """As an autoscaler would, whom nothing has to be told while the pool is calm."""
    r = state.registers[0]
    batches, _ = remaining(state.servers, r.look)
    busy = r.busy - batches
    if r.low <= busy - r.looked <= r.high:
        r.looked, r.look = busy, r.look + r.period
    else:
        r.now, r.stirred, r.look = r.look, 1, FOREVER


@compiled
def remaining(servers: Structured, now: int) -> tuple[int, int]:
    """Server-ticks that the batches and the other work under way still take."""
    batches = other = 0
    for server in servers:
        if server.state == BUSY:
            if server.work:
                other += server.finish - now
            else:
                batches += server.finish - now
    return batches, other


@compiled
def start_users(pool: PoolData, users: int) -> None:
    """Closed loop: every user begins to think."""
    for user in range(users):
        _think(pool, user, 0)


@compiled
def add_server(pool: PoolData, server: int, now: int) -> None:
    """The server is ready from now on."""
    state, slots, settings = pool.state, pool.slots, pool.settings
    r = state.registers[0]
    one = state.servers[server]
    one.state, one.draining, one.left = IDLE, 0, FOREVER
    one.saved_at = one.finish = now
    one.block_left = 0
    place = r.ready
    while place > 0 and state.ready[place - 1] > server:
        state.ready[place] = state.ready[place - 1]
        place -= 1
    state.ready[place] = server
    r.ready += 1
    if settings.routing == _CENTRAL:
        put(state.idle, server, 0)
        _dispatch(pool, 0, now)
        return
    door = state.queues[0]
    slot = door.head if door.length else -1
    _empty(state, 0)
    _head_changed(pool, 0)
    while slot >= 0:
        following = slots.row[slot].next
        queue = _route(pool, slot)
        _join(pool, queue, slot)
        _dispatch(pool, queue, now)
        slot = following
    _dispatch(pool, server + 1, now)


@compiled
def retire_server(pool: PoolData, server: int, now: int) -> None:
    """The server takes no more; it is off once it has done what it has."""
    state, settings = pool.state, pool.settings
    one = state.servers[server]
    _not_ready(state, server)
    one.draining = 1
    remove(state.idle, server)
    if settings.routing != _CENTRAL:
        _dispatch(pool, server + 1, now)
    if one.state == IDLE:
        _off(pool, server, now)


@compiled
def fail_server(pool: PoolData, server: int, now: int) -> None:
    """The server stops at once; what it had in hand is tried again, or lost."""
    state, slots, settings = pool.state, pool.slots, pool.settings
    r = state.registers[0]
    one = state.servers[server]
    _not_ready(state, server)
    remove(state.idle, server)
    remove(state.finishes, server)
    remove(state.alarms, server + 1)
    was_busy, had_work = one.state == BUSY, one.work
    one.state, one.draining, one.left = OFF, 0, now
    if was_busy and had_work:
        r.filling -= one.finish - now
        r.work += one.taken
    elif was_busy:
        r.busy -= one.finish - now
        r.in_service -= one.taken
    one.work = 0
    in_hand = (
        one.unsaved,
        one.batch if was_busy and not had_work else -1,
        _own(state, settings, server),
    )
    one.unsaved = one.batch = -1
    for first in in_hand:
        slot = first
        while slot >= 0:
            following = slots.row[slot].next
            if settings.retry:
                _try_again(pool, slot, now)
            else:
                _leave(pool, slot, _LOST, now, -1, 0)
            slot = following
    _note_empty(state)


@compiled
def give_work(pool: PoolData, items: int, now: int) -> None:
    """Other work for servers that would be idle."""
    state, settings = pool.state, pool.settings
    r = state.registers[0]
    r.work += items
    if settings.routing == _CENTRAL:
        _dispatch(pool, 0, now)
    else:
        for place in range(r.ready):
            _dispatch(pool, state.ready[place] + 1, now)


@compiled
def _next_request(pool: PoolData, now: int) -> None:
    """Of an open loop, the next of the chunk joins a queue; of a closed one, a user's sets out or
    reaches it."""
    state, slots, settings, rows = pool.state, pool.slots, pool.settings, pool.rows
    r = state.registers[0]
    if settings.closed:
        if top_key(state.sends) == now:
            user = take(state.sends)
            one = slots.row[user]
            site = site_of(one.source, len(state.up_free))
            leaves = transmit(
                state.up_free, site, now,
                message(settings.up_transmit, settings.up_per_unit, one.size),
                settings.up_first, settings.up_starts, settings.up_ends,
            )  # fmt: skip
            put(state.transit, user, leaves + one.up)
            return
        slot = take(state.transit)
    else:
        r.free -= 1
        slot = slots.free[r.free]
        _fill(slots, rows, slot, r.cursor)
        slots.row[slot].arrival = rows.arrival[r.cursor]
        slots.row[slot].source = rows.source[r.cursor]
        r.cursor += 1
        r.used += 1
    slots.row[slot].reach = now
    queue = _route(pool, slot)
    if _turned_away(pool, queue, slot):
        _leave(pool, slot, _SHED, now, -1, 0)
        return
    _join(pool, queue, slot)
    _dispatch(pool, queue, now)
    if r.watch_wake and r.ready == 0 and r.waiting > 0:
        r.triggers += 1
        r.woken, r.watch_wake = r.triggers, 0


@compiled
def _join_freely(pool: PoolData, before: int) -> bool:
    """Requests that come earlier than ``before`` and change nothing but the queue's length.

    A short cut: while no server is idle, or an idle one waits for company that is still missing,
    nothing is decided. Only with one queue, no limits and a constant patience.
    """
    state, slots, settings, rows, out = pool.state, pool.slots, pool.settings, pool.rows, pool.out
    r, q = state.registers[0], state.queues[0]
    if q.length == 0 or r.watch_wake:
        return False
    most = FOREVER if state.idle.size[0] == 0 else settings.full - 1
    most = min(most, q.length + r.free, q.length + len(out) - r.written - r.used - 2)
    first = r.cursor
    while r.cursor < r.rows and q.length < most and rows.time[r.cursor] < before:
        r.free -= 1
        slot = slots.free[r.free]
        _fill(slots, rows, slot, r.cursor)
        one = slots.row[slot]
        one.arrival, one.source = rows.arrival[r.cursor], rows.source[r.cursor]
        one.reach, one.next = rows.time[r.cursor], -1
        slots.row[q.tail].next = slot
        q.tail = slot
        q.length += 1
        r.cursor += 1
    joined = r.cursor - first
    r.used += joined
    r.waiting += joined
    return joined > 0


@compiled
def _fill(slots: Slots, rows: Input, slot: int, row: int) -> None:
    """A request's luck and size, from the chunk to its slot."""
    one = slots.row[slot]
    one.number = rows.number[row]
    one.service = rows.service[row]
    if len(rows.choice):
        one.choice = rows.choice[row]
    if len(rows.size):
        one.size = rows.size[row]
    one.down = rows.down[row]


@compiled
def _think(pool: PoolData, user: int, now: int) -> None:
    """A user draws the next request, and sets out when the thinking is over: not while users are away."""
    state, slots, settings, rows = pool.state, pool.slots, pool.settings, pool.rows
    r = state.registers[0]
    if r.cursor == r.rows:  # the users' last requests have been made
        return
    thinks = rows.time[r.cursor]
    _fill(slots, rows, user, r.cursor)
    slots.row[user].up = rows.up[r.cursor]
    r.cursor += 1
    sends = now + thinks
    back = after_window(settings.away_start, settings.away_end, sends)
    if back == FOREVER:
        return
    if back > sends:
        sends = back + thinks
    slots.row[user].arrival, slots.row[user].source = sends, user
    r.used += 1
    put(state.sends, user, sends)


@compiled
def _route(pool: PoolData, slot: int) -> int:
    """The queue a request joins: 0 where all share one, or none is ready."""
    state, slots, settings = pool.state, pool.slots, pool.settings
    r = state.registers[0]
    ready = r.ready
    if settings.routing == _CENTRAL or ready == 0:
        return 0
    if settings.routing == _ROUND_ROBIN:
        r.turn += 1
        return state.ready[(r.turn - 1) % ready] + 1
    if settings.routing == _STICKY:
        return state.ready[slots.row[slot].source % ready] + 1
    if settings.routing == _TWO:
        scaled = slots.row[slot].choice * ready
        a = min(int(scaled), ready - 1)
        if ready == 1:
            return state.ready[0] + 1
        b = min(int((scaled - a) * (ready - 1)), ready - 2)
        b += b >= a
        low, high = min(a, b), max(a, b)
        shorter = low if _load(state, low) <= _load(state, high) else high
        return state.ready[shorter] + 1
    best, least = 0, _load(state, 0)
    for place in range(1, ready):
        load = _load(state, place)
        if load < least:
            best, least = place, load
    return state.ready[best] + 1


@compiled
def _load(state: State, place: int) -> int:
    """Requests that a ready server has waiting and in service."""
    server = state.ready[place]
    one = state.servers[server]
    in_service = one.taken if one.state == BUSY and not one.work else 0
    return state.queues[server + 1].length + in_service


@compiled
def _turned_away(pool: PoolData, queue: int, slot: int) -> bool:
    """Whether admission refuses the request."""
    state, slots, settings = pool.state, pool.slots, pool.settings
    if settings.queue_limit == FOREVER and settings.shed_from == FOREVER:
        return False
    return _refused(
        settings.queue_limit, settings.shed_from, settings.shed_to, state.queues[queue].length,
        _has_idle(state, settings, queue), slots.row[slot].choice,
    )  # fmt: skip


@compiled
def _has_idle(state: State, settings: PoolFixed, queue: int) -> bool:
    """Whether a server that this queue feeds has nothing to do."""
    if settings.routing == _CENTRAL:
        return state.idle.size[0] > 0
    return queue > 0 and state.servers[queue - 1].state == IDLE


@compiled
def _join(pool: PoolData, queue: int, slot: int) -> None:
    """At the end of the queue."""
    state, slots = pool.state, pool.slots
    q = state.queues[queue]
    slots.row[slot].next = -1
    if q.length == 0:
        q.head = slot
    else:
        slots.row[q.tail].next = slot
    q.tail = slot
    q.length += 1
    state.registers[0].waiting += 1
    if q.length == 1:
        _head_changed(pool, queue)


@compiled
def _try_again(pool: PoolData, slot: int, now: int) -> None:
    """Back into a queue, at the place its age gives it; batches that wait there are formed anew."""
    state, slots = pool.state, pool.slots
    queue = _route(pool, slot)
    q, one = state.queues[queue], slots.row[slot]
    q.formed = 0
    before, place = -1, q.head
    while place >= 0 and (
        slots.row[place].reach < one.reach
        or (slots.row[place].reach == one.reach and slots.row[place].number < one.number)
    ):
        before, place = place, slots.row[place].next
    one.next = place
    if before < 0:
        q.head = slot
    else:
        slots.row[before].next = slot
    if place < 0:
        q.tail = slot
    q.length += 1
    state.registers[0].waiting += 1
    _head_changed(pool, queue)
    _dispatch(pool, queue, now)


@compiled
def _give_up(pool: PoolData, queue: int, now: int) -> None:
    """The oldest of a queue has waited as long as it is allowed to."""
    state, slots = pool.state, pool.slots
    q = state.queues[queue]
    slot = q.head
    q.head = slots.row[slot].next
    q.length -= 1
    if q.formed:
        q.formed -= 1
        if slots.row[slot].together > 1:
            slots.row[q.head].together = slots.row[slot].together - 1
    state.registers[0].waiting -= 1
    _head_changed(pool, queue)
    _leave(pool, slot, _TIMED_OUT, now, -1, 0)
    _dispatch(pool, queue, now)
    _note_empty(state)


@compiled
def _head_changed(pool: PoolData, queue: int) -> None:
    """Keep in mind when the oldest of a queue gives up."""
    state, slots, settings = pool.state, pool.slots, pool.settings
    if settings.timeout == FOREVER:
        return
    q = state.queues[queue]
    if q.length == 0:
        remove(state.leaves, queue)
    else:
        at = slots.row[q.head].reach + settings.timeout
        put(state.leaves, queue, max(at, state.registers[0].now))


@compiled
def _dispatch(pool: PoolData, queue: int, now: int) -> None:
    """Start the batches that can start, and set the alarm for the next one."""
    state, slots, settings = pool.state, pool.slots, pool.settings
    q = state.queues[queue]
    alarm = FOREVER
    while q.length > q.formed and (settings.at_door or _has_idle(state, settings, queue)):
        first = slots.row[q.formed_last].next if q.formed else q.head
        size, ask = _size_now(pool, queue, first, now)
        if size == 0:
            alarm = ask
            break
        if settings.at_door:
            _form(slots, q, first, size)
        else:
            _start_batch(pool, queue, _idle_server(state, settings, queue), size, now)
    while q.formed and _has_idle(state, settings, queue):
        size = slots.row[q.head].together
        q.formed -= size
        _start_batch(pool, queue, _idle_server(state, settings, queue), size, now)
    if alarm < FOREVER:
        put(state.alarms, queue, alarm)
    else:
        remove(state.alarms, queue)
    if state.registers[0].work > 0 and q.length == 0:
        while state.registers[0].work > 0 and _has_idle(state, settings, queue):
            if queue > 0 and state.servers[queue - 1].draining:
                return
            _start_work(state, settings, _idle_server(state, settings, queue), now)


@compiled
def _size_now(pool: PoolData, queue: int, first: int, now: int) -> tuple[int, int]:
    """How many of those in no batch, the oldest of whom is ``first``, become one now; if none, when to
    ask again."""
    state, settings = pool.state, pool.settings
    waiting = state.queues[queue].length - state.queues[queue].formed
    if queue > 0 and state.servers[queue - 1].draining:
        return min(waiting, settings.full), FOREVER
    return _decide(settings.full, settings.patience, waiting, pool.slots.row[first].reach, now)


@compiled
def _form(slots: Slots, q, first: int, size: int) -> None:  # type: ignore[no-untyped-def]
    """A batch of those in none, which waits for a server as it is."""
    slots.row[first].together = size
    last = first
    for _ in range(size - 1):
        last = slots.row[last].next
    q.formed += size
    q.formed_last = last


@compiled
def _idle_server(state: State, settings: PoolFixed, queue: int) -> int:
    """The first of this queue that has nothing to do, which there is."""
    return take(state.idle) if settings.routing == _CENTRAL else queue - 1


@compiled
def _start_batch(pool: PoolData, queue: int, server: int, size: int, now: int) -> None:
    """The oldest requests of the queue, as many as were decided, go into service together."""
    state, slots, settings = pool.state, pool.slots, pool.settings
    r, q, one = state.registers[0], state.queues[queue], state.servers[server]
    first = q.head
    slot, last, work = first, first, 0.0
    for _ in range(size):
        one_slot = slots.row[slot]
        one_slot.start, one_slot.batch = now, size
        work = _joined_work(settings.service.padded, work, one_slot.size)
        last = slot
        slot = one_slot.next
    slots.row[last].next = -1
    q.head = slot
    q.length -= size
    r.waiting -= size
    _head_changed(pool, queue)
    cold = _cooled(now - one.finish, settings.service.rest)
    length = _draw(one, settings.service, size, slots.row[first].service, work, cold)
    one.saving = 0
    if now + length - one.saved_at >= settings.save_every:
        one.saving = 1
        length += settings.save_cost
    one.state, one.work, one.batch, one.taken = BUSY, 0, first, size
    one.start, one.finish = now, now + length
    r.busy += length
    r.batches += 1
    r.served += size
    r.in_service += size
    put(state.finishes, server, now + length)


@compiled
def _start_work(state: State, settings: PoolFixed, server: int, now: int) -> None:
    """Work that has no requests goes into service, with luck of its own."""
    r, one = state.registers[0], state.servers[server]
    size = min(r.work, settings.full)
    luck = (r.work_serial * _GOLDEN) % 1.0
    cold = _cooled(now - one.finish, settings.service.rest)
    length = _draw(one, settings.service, size, luck, settings.service.work[size], cold)
    r.work -= size
    r.work_serial += 1
    r.filling += length
    one.state, one.work, one.taken, one.start, one.finish = BUSY, 1, size, now, now + length
    put(state.finishes, server, now + length)


@compiled
def _end_service(pool: PoolData, server: int, now: int) -> None:
    """What was served is answered, or kept until it is saved; the server takes what waits."""
    state, slots, settings = pool.state, pool.slots, pool.settings
    r, one = state.registers[0], state.servers[server]
    one.state = IDLE
    if one.work:
        r.work_done += one.taken
        r.work_ended = now
        one.work = 0
    else:
        r.in_service -= one.taken
        if settings.save_every == FOREVER:
            _answer_all(pool, one.batch, server, now)
        else:
            _keep_unsaved(state, slots, one)
            if one.saving:
                _save(pool, server, now)
        one.batch = -1
    if settings.routing == _CENTRAL:
        if one.draining:
            _off(pool, server, now)
        else:
            put(state.idle, server, 0)
            _dispatch(pool, 0, now)
    else:
        _dispatch(pool, server + 1, now)
        if one.draining and one.state == IDLE:
            _off(pool, server, now)
    if one.state == IDLE and one.unsaved >= 0:  # nothing to do: what it has is written at once
        _save(pool, server, now)
    _note_empty(state)


@compiled
def _keep_unsaved(state: State, slots: Slots, one) -> None:  # type: ignore[no-untyped-def]
    """Append the batch to what the server has done and not yet saved."""
    last = one.batch
    while slots.row[last].next >= 0:
        last = slots.row[last].next
    if one.unsaved < 0:
        one.unsaved = one.batch
    else:
        slots.row[one.unsaved_last].next = one.batch
    one.unsaved_last = last


@compiled
def _save(pool: PoolData, server: int, now: int) -> None:
    """All that the server has done is safe, and is answered."""
    state = pool.state
    one = state.servers[server]
    first, one.unsaved, one.saved_at = one.unsaved, -1, now
    _answer_all(pool, first, server, now)


@compiled
def _off(pool: PoolData, server: int, now: int) -> None:
    """A server that was retired is done."""
    state = pool.state
    one = state.servers[server]
    if one.unsaved >= 0:
        _save(pool, server, now)
    one.state, one.draining, one.left = OFF, 0, now


@compiled
def _answer_all(pool: PoolData, first: int, server: int, now: int) -> None:
    """Answer a chain of requests, from its first slot on."""
    slots = pool.slots
    slot = first
    while slot >= 0:
        following = slots.row[slot].next
        _leave(pool, slot, _DONE, now, server, slots.row[slot].batch)
        slot = following


@compiled
def _leave(pool: PoolData, slot: int, outcome: int, at: int, server: int, batch: int) -> None:
    """Write what became of a request, and let its place go."""
    state, slots, settings, out = pool.state, pool.slots, pool.settings, pool.out
    r, one, answer = state.registers[0], slots.row[slot], out[state.registers[0].written]
    finished = at
    if outcome == _DONE:
        site = site_of(one.source, len(state.down_free))
        finished = one.down + transmit(
            state.down_free, site, at,
            message(settings.down_transmit, settings.down_per_unit, one.size),
            settings.down_first, settings.down_starts, settings.down_ends,
        )  # fmt: skip
    answer.number, answer.arrival, answer.reach = one.number, one.arrival, one.reach
    answer.start = one.start if batch else at
    answer.served, answer.finished = at, finished
    answer.source, answer.server, answer.batch = one.source, server, batch
    answer.outcome, answer.size = outcome, one.size
    r.written += 1
    r.used -= 1
    if settings.closed:
        _think(pool, slot, finished)
    else:
        slots.free[r.free] = slot
        r.free += 1


@compiled
def _note_empty(state: State) -> None:
    """Remember that the last request has left, if that is watched for."""
    r = state.registers[0]
    if r.watch_empty and r.waiting == 0 and r.in_service == 0:
        r.triggers += 1
        r.emptied, r.watch_empty = r.triggers, 0


@compiled
def _not_ready(state: State, server: int) -> None:
    """Take a server out of those that take requests."""
    r = state.registers[0]
    place = 0
    while place < r.ready and state.ready[place] != server:
        place += 1
    if place == r.ready:
        return
    r.ready -= 1
    for later in range(place, r.ready):
        state.ready[later] = state.ready[later + 1]


@compiled
def _own(state: State, settings: PoolFixed, server: int) -> int:
    """The requests in a server's own queue, which is empty afterwards."""
    if settings.routing == _CENTRAL:
        return -1
    q = state.queues[server + 1]
    first = q.head if q.length else -1
    _empty(state, server + 1)
    remove(state.leaves, server + 1)
    return first


@compiled
def _empty(state: State, queue: int) -> None:
    """Nobody waits there any more."""
    q = state.queues[queue]
    state.registers[0].waiting -= q.length
    q.head = q.tail = -1
    q.length = q.formed = 0
    remove(state.alarms, queue)
