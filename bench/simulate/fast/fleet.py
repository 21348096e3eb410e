"""A fleet of devices, compiled: device by device, chunk by chunk of requests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from bench.batching import decide
from bench.requests import ANSWER, Answers, OnAnswers, Outcome, Requests
from bench.simulate import battery
from bench.simulate.compiled import compiled, compiled_with_arrays
from bench.simulate.fast.state import Input, Structured, as_input
from bench.simulate.fast.windows import after_window
from bench.simulate.plane import FleetSeen, FleetSpec, device_of
from bench.simulate.service import ServiceTimes, cooled, draw, joined_work
from bench.ticks import FOREVER, Ticks

_DONE, _SHED = int(Outcome.DONE), int(Outcome.SHED)
_TIMED_OUT, _LOST = int(Outcome.TIMED_OUT), int(Outcome.LOST)
_WAITING, _SPILLED = -1, -2

_DEVICE = np.dtype(
    [
        (name, "i8")
        for name in (
            "free_at", "dead_until", "admitted", "alarm", "block_left", "block_offset",
            "seen_at", "due_up",
        )
    ]
    + [("block_phase", "f8"), ("level", "f8")]
)  # fmt: skip
_SUMS = np.dtype(
    [(name, "i8") for name in ("written", "busy", "batches", "served", "flat", "overtime")]
)


class FleetFixed(NamedTuple):
    """The spec as numbers that compiled code can read."""

    full: int
    patience: Ticks
    service: ServiceTimes
    queue_limit: int
    timeout: int
    retry: bool
    failure_first: Ticks
    failure_start: Ticks
    failure_end: Ticks
    sleep_start: Ticks
    sleep_end: Ticks
    duty_period: int
    duty_on: int
    duty_phase: Ticks
    has_battery: bool
    capacity: float
    idle: float
    active: float
    charger: float
    charge_start: Ticks
    charge_end: Ticks
    restart: float
    saver_below: float
    saver_slowdown: float
    saver_active: float
    spill_queue: int
    spill_share: float
    off_start: Ticks
    off_end: Ticks
    out_first: Ticks
    out_start: Ticks
    out_end: Ticks
    midnight: int


_decide = compiled(decide)
_cooled = compiled(cooled)
_draw = compiled(draw)
_joined_work = compiled(joined_work)
_device_of = compiled(device_of)
_level_after = compiled(battery.level_after)
_charged_at = compiled(battery.charged_at)


class Fleet:
    """Iterating over :meth:`spilled` plays the fleet; answers go where they are asked for."""

    def __init__(
        self, spec: FleetSpec, requests: Iterator[Requests], on_answers: OnAnswers, until: int
    ) -> None:
        self._spec, self._requests, self._on_answers = spec, requests, on_answers
        self._until = until
        self._settings = _settings_of(spec)
        self._devices = np.zeros(spec.devices, _DEVICE)
        self._devices["alarm"] = FOREVER
        self._devices["level"] = spec.battery.capacity if spec.battery else 0.0
        self._sums = np.zeros(1, _SUMS)
        self._out = np.zeros(0, ANSWER)

    def spilled(self) -> Iterator[Requests]:
        """Requests that go on to the cloud, by the time at which they do."""
        waiting, outgoing = Requests.none(), Requests.none()
        come: list[Requests] = []
        for chunk in self._requests:
            come.append(chunk)
            # A step looks at all who wait: fewer than these at a time would take ever longer.
            if not len(chunk) or sum(map(len, come)) < len(waiting):
                continue
            limit = int(chunk.time[-1])
            waiting, out = self._step(waiting, Requests.joined(*come), limit)
            come.clear()
            outgoing = _by_time(outgoing, out)
            split = int(np.searchsorted(outgoing.time, limit))
            if split:
                yield outgoing.take(slice(0, split))
                outgoing = outgoing.take(slice(split, None))
        _, out = self._step(waiting, Requests.joined(*come), self._until)
        outgoing = _by_time(outgoing, out)
        if len(outgoing):
            yield outgoing

    def seen(self) -> FleetSeen:
        sums = self._sums[0]
        return FleetSeen(*(int(sums[name]) for name in FleetSeen.__dataclass_fields__))

    def _step(self, waiting: Requests, chunk: Requests, limit: int) -> tuple[Requests, Requests]:
        """Play all devices up to before ``limit``: who still waits, and who goes to the cloud."""
        every = Requests.joined(waiting, chunk)
        rows = as_input(every)
        order, first = _by_device(rows.source, self._spec.devices, self._spec.sites)
        fate = np.full(len(every), _WAITING, np.int64)
        leaves = np.zeros(len(every), np.int64)
        if len(self._out) < len(every):  # a new one every time would be slower
            self._out = np.zeros(2 * len(every), ANSWER)
        _play(
            self._devices, self._settings, rows, order, first, fate, leaves, self._out, self._sums,
            limit,
        )  # fmt: skip
        written = int(self._sums["written"][0])
        if written:
            self._on_answers(self._out[:written])
        self._sums["written"] = 0
        gone = np.flatnonzero(fate == _SPILLED)
        return every.take(np.flatnonzero(fate == _WAITING)), every.take(gone).at(leaves[gone])


def _by_time(a: Requests, b: Requests) -> Requests:
    joined = Requests.joined(a, b)
    return joined.take(np.lexsort((joined.number, joined.time)))


@compiled_with_arrays
def _by_device(source: np.ndarray, devices: int, sites: int) -> tuple[Ticks, Ticks]:
    """The stable order of requests by device, and where each device's begin."""
    first = np.zeros(devices + 1, np.int64)
    for i in range(len(source)):
        first[_device_of(source[i], devices, sites) + 1] += 1
    for device in range(devices):
        first[device + 1] += first[device]
    cursor = first[:-1].copy()
    order = np.empty(len(source), np.int64)
    for i in range(len(source)):
        device = _device_of(source[i], devices, sites)
        order[cursor[device]] = i
        cursor[device] += 1
    return order, first


@compiled
def _play(
    devices: Structured, settings: FleetFixed, rows: Input, order: Ticks, first: Ticks,
    fate: Ticks, leaves: Ticks, out: Answers, sums: Structured, limit: int,
) -> None:  # fmt: skip
    """Advance every device, one after the other: none knows of another."""
    for device in range(len(devices)):
        _play_device(
            devices[device], device, settings, rows, order[first[device] : first[device + 1]],
            fate, leaves, out, sums[0], limit,
        )  # fmt: skip


@compiled
def _play_device(  # type: ignore[no-untyped-def]
    one, device: int, settings: FleetFixed, rows: Input, mine: Ticks,
    fate: Ticks, leaves: Ticks, out: Answers, sums, limit: int,
) -> None:  # fmt: skip
    """Advance one device: at a moment it wakes or ends first, then requests come, then it asks.

    ``mine[head:tail]`` is its queue. Requests that have gone leave a gap behind ``head``, never in
    between: whoever gives up or is served is the oldest.
    """
    head, tail = 0, one.admitted
    while True:
        comes = rows.time[mine[tail]] if tail < len(mine) else FOREVER
        wakes = one.due_up if head < tail else FOREVER
        gives_up = FOREVER
        if head < tail and settings.timeout < FOREVER:
            gives_up = rows.time[mine[head]] + settings.timeout
        now = min(wakes, comes, one.alarm)
        if gives_up < now and gives_up < limit:
            _write(out, sums, rows, mine[head], _TIMED_OUT, gives_up, gives_up, device, 0)
            fate[mine[head]] = _TIMED_OUT
            head += 1
            # Fewer wait now, and the oldest is another.
            head = _start(
                one, device, settings, rows, mine, head, tail, gives_up, fate, leaves, out, sums
            )
            continue
        if now >= limit:
            break
        if wakes != now and comes == now:
            row = mine[tail]
            waiting = tail - head
            busy = one.free_at > now or _awake(one, device, settings, now) > now
            if waiting >= settings.spill_queue and _on_line(settings, rows.source[row], now):
                fate[row], leaves[row] = _SPILLED, now
            elif waiting >= settings.queue_limit and busy:
                fate[row] = _SHED
                _write(out, sums, rows, row, _SHED, now, now, device, 0)
            else:
                tail += 1
                head = _start(
                    one, device, settings, rows, mine, head, tail, now, fate, leaves, out, sums
                )
                continue
            # Gone at the door: close the gap.
            for place in range(tail, head, -1):
                mine[place] = mine[place - 1]
            mine[head] = row
            head += 1
            tail += 1
            continue
        head = _start(one, device, settings, rows, mine, head, tail, now, fate, leaves, out, sums)
    one.admitted = tail - head


@compiled
def _start(  # type: ignore[no-untyped-def]
    one, device: int, settings: FleetFixed, rows: Input, mine: Ticks, head: int, tail: int, now: int,
    fate: Ticks, leaves: Ticks, out: Answers, sums,
) -> int:  # fmt: skip
    """Start a batch if one can start; the queue's new head."""
    one.alarm = FOREVER
    while True:
        if head == tail:
            one.due_up = FOREVER
            return head
        up = max(_awake(one, device, settings, now), one.free_at)
        if up > now:
            one.due_up = up
            return head
        if settings.has_battery and _ran_flat(one, settings, now, sums):
            continue
        one.due_up = FOREVER
        size, ask = _decide(
            settings.full, settings.patience, tail - head, rows.time[mine[head]], now
        )
        if size == 0:
            one.alarm = ask
            return head
        length, load = _length(one, settings, rows, mine, head, size, now)
        stops = _stops(one, device, settings, now, now + length, load, sums)
        sums.batches += 1
        sums.served += size
        one.free_at = min(stops, now + length)
        sums.busy += one.free_at - now
        if one.free_at > settings.midnight:
            sums.overtime += one.free_at - max(now, settings.midnight)
        if stops < now + length and settings.retry:
            continue
        for place in range(head, head + size):
            row = mine[place]
            if stops < now + length:
                fate[row] = _LOST
                _write(out, sums, rows, row, _LOST, stops, stops, device, 0)
            elif (
                settings.spill_share > 0
                and rows.choice[row] < settings.spill_share
                and _on_line(settings, rows.source[row], now + length)
            ):
                fate[row], leaves[row] = _SPILLED, now + length
            else:
                fate[row] = _DONE
                _write(out, sums, rows, row, _DONE, now, now + length, device, size)
        head += size


@compiled
def _awake(one, device: int, settings: FleetFixed, now: int) -> int:  # type: ignore[no-untyped-def]
    """The earliest moment from ``now`` on at which the device can start a batch."""
    begin, end = settings.failure_first[device], settings.failure_first[device + 1]
    while True:
        at = max(now, one.dead_until)
        at = after_window(settings.failure_start[begin:end], settings.failure_end[begin:end], at)
        at = after_window(settings.sleep_start, settings.sleep_end, at)
        if settings.duty_period:
            into = (at + settings.duty_phase[device]) % settings.duty_period
            if into >= settings.duty_on:
                at += settings.duty_period - into
        if at == now:
            return now
        now = at


@compiled
def _on_line(settings: FleetFixed, source: int, now: int) -> bool:
    """Whether a request of this source could go on: within the hours, and with its site's link up."""
    if len(settings.out_start):
        site = source % (len(settings.out_first) - 1)
        begin, end = settings.out_first[site], settings.out_first[site + 1]
        if after_window(settings.out_start[begin:end], settings.out_end[begin:end], now) != now:
            return False
    return after_window(settings.off_start, settings.off_end, now) == now


@compiled
def _ran_flat(one, settings: FleetFixed, now: int, sums) -> bool:  # type: ignore[no-untyped-def]
    """Let idle power drain the battery up to ``now``; whether that changed what can be done."""
    if one.seen_at >= now:
        return False
    one.level, flat = _level_after(
        one.level, one.seen_at, now, settings.idle, settings.charger, settings.capacity,
        settings.charge_start, settings.charge_end,
    )  # fmt: skip
    one.seen_at = now
    if flat == FOREVER:
        return False
    _die(one, settings, flat, sums)
    return True


@compiled
def _die(one, settings: FleetFixed, flat: int, sums) -> None:  # type: ignore[no-untyped-def]
    """The battery has run flat: the device starts again when it holds enough."""
    sums.flat += 1
    one.level = settings.restart
    one.dead_until = _charged_at(
        settings.restart, flat, settings.charger, settings.charge_start, settings.charge_end
    )
    one.seen_at = one.dead_until


@compiled
def _length(  # type: ignore[no-untyped-def]
    one, settings: FleetFixed, rows: Input, mine: Ticks, head: int, size: int, now: int
) -> tuple[int, float]:
    """How long the oldest of the queue take together, and the power drawn meanwhile."""
    work = 0.0
    if len(rows.size):
        for place in range(head, head + size):
            work = _joined_work(settings.service.padded, work, rows.size[mine[place]])
    cold = _cooled(now - one.free_at, settings.service.rest)
    length = _draw(one, settings.service, size, rows.service[mine[head]], work, cold)
    if settings.has_battery and one.level < settings.saver_below:
        return int(length * settings.saver_slowdown), settings.saver_active
    return length, settings.active


@compiled
def _stops(  # type: ignore[no-untyped-def]
    one, device: int, settings: FleetFixed, start: int, end: int, load: float, sums
) -> int:
    """When a failure or a flat battery cuts a batch off; ``FOREVER``: neither does."""
    begin, last = settings.failure_first[device], settings.failure_first[device + 1]
    stops = FOREVER
    if last > begin:
        place = begin + np.searchsorted(settings.failure_start[begin:last], start, side="right")
        if place < last and settings.failure_start[place] < end:
            stops = settings.failure_start[place]
    if settings.has_battery:
        level, flat = _level_after(
            one.level, start, min(end, stops), load, settings.charger, settings.capacity,
            settings.charge_start, settings.charge_end,
        )  # fmt: skip
        one.level, one.seen_at = level, min(end, stops)
        if flat < FOREVER:
            stops = flat
            _die(one, settings, flat, sums)
    return stops


@compiled
def _write(  # type: ignore[no-untyped-def]
    out: Answers, sums, rows: Input, row: int, outcome: int, start: int, at: int,
    device: int, batch: int,
) -> None:  # fmt: skip
    """One answer."""
    answer = out[sums.written]
    answer.number, answer.arrival, answer.reach = (
        rows.number[row],
        rows.arrival[row],
        rows.time[row],
    )
    answer.start, answer.served, answer.finished = start, at, at
    answer.source, answer.server, answer.batch = rows.source[row], device if batch else -1, batch
    answer.outcome = outcome
    if len(rows.size):
        answer.size = rows.size[row]
    sums.written += 1


def _settings_of(spec: FleetSpec) -> FleetFixed:
    cell, spill = spec.battery, spec.spill
    outages = spill.outages_of_each
    none = np.zeros(0, np.int64)
    zeros, failures = np.zeros(spec.devices, np.int64), spec.failures_of_each
    return FleetFixed(
        full=spec.rule.full,
        patience=np.array(spec.rule.patience, np.int64),
        service=spec.service,
        queue_limit=spec.queue_limit,
        timeout=spec.timeout,
        retry=spec.retry,
        failure_first=failures.first,
        failure_start=failures.windows.start,
        failure_end=failures.windows.end,
        sleep_start=spec.asleep.start,
        sleep_end=spec.asleep.end,
        duty_period=spec.duty_period,
        duty_on=spec.duty_on,
        duty_phase=zeros if spec.duty_phase is None else spec.duty_phase,
        has_battery=cell is not None,
        capacity=cell.capacity if cell else 0.0,
        idle=cell.idle if cell else 0.0,
        active=cell.active if cell else 0.0,
        charger=cell.charger if cell else 0.0,
        charge_start=cell.charging.start if cell else none,
        charge_end=cell.charging.end if cell else none,
        restart=cell.restart if cell else 0.0,
        saver_below=cell.saver_below if cell else -1.0,
        saver_slowdown=cell.saver_slowdown if cell else 1.0,
        saver_active=cell.saver_active if cell else 0.0,
        spill_queue=spill.queue,
        spill_share=spill.share,
        off_start=spill.off_line.start,
        off_end=spill.off_line.end,
        out_first=outages.first,
        out_start=outages.windows.start,
        out_end=outages.windows.end,
        midnight=spec.midnight,
    )
