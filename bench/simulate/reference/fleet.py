"""A fleet of devices: a SimPy process for each device, and one for each request."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import simpy

from bench.batching import decide
from bench.requests import ANSWER, OnAnswers, Outcome, Requests, Row
from bench.simulate.battery import charged_at, level_after
from bench.simulate.moments import Steps, patience_ends, queue_asks, request_comes
from bench.simulate.plane import FleetSeen, FleetSpec, device_of
from bench.simulate.service import cooled, draw, joined_work
from bench.ticks import FOREVER


class Fleet:
    """See :class:`bench.simulate.fast.fleet.Fleet`."""

    def __init__(
        self, spec: FleetSpec, requests: Iterator[Requests], on_answers: OnAnswers, until: int
    ) -> None:
        self._spec, self._requests, self._on_answers = spec, requests, on_answers
        self._until = until
        self._env = simpy.Environment(0)
        self._ended: list[tuple[float, ...]] = []
        self._gone: list[Row] = []
        self._devices = [_Device(self._env, spec, number, self) for number in range(spec.devices)]

    def spilled(self) -> Iterator[Requests]:
        self._env.process(self._sources())
        self._env.run(until=self._until)
        self._on_answers(np.array(self._ended, ANSWER))
        if self._gone:
            yield Requests.of_rows(sorted(self._gone, key=lambda row: (row.time, row.number)))

    def seen(self) -> FleetSeen:
        sums = [(d.busy, d.batches, d.served, d.flat, d.overtime) for d in self._devices]
        return FleetSeen(*(sum(column) for column in zip(*sums, strict=True)))

    def _sources(self) -> Steps:
        rows = (row for chunk in self._requests for row in chunk.rows())
        for rank, row in enumerate(rows):
            if row.time >= self._until:
                return
            yield request_comes(self._env, row.time - int(self._env.now), rank)
            device = self._devices[device_of(row.source, self._spec.devices, self._spec.sites)]
            device.ask(row)

    def end(
        self, request: Row, outcome: Outcome, start: int, at: int, device: int, batch: int
    ) -> None:
        self._ended.append(
            (request.number, request.arrival, request.time, start, at, at,
             request.source, device, batch, int(outcome), request.size)
        )  # fmt: skip

    def send_on(self, request: Row, at: int) -> None:
        self._gone.append(request._replace(time=at))


class _Device:
    """Serves its own queue while it is awake, whole and charged."""

    def __init__(self, env: simpy.Environment, spec: FleetSpec, number: int, fleet: Fleet) -> None:
        self._env, self._spec, self._number, self._fleet = env, spec, number, fleet
        self._queue: list[Row] = []
        self._came = env.event()
        self._free_at = self._dead_until = self._seen_at = 0
        self.block_left = self.block_offset = 0
        self.block_phase = 0.0
        self._level = spec.battery.capacity if spec.battery else 0.0
        self.busy = self.batches = self.served = self.flat = self.overtime = 0
        self._failures = spec.failures_of_each.of(number)
        env.process(self._work())

    def ask(self, request: Row) -> None:
        spec, now = self._spec, int(self._env.now)
        out_of_order = self._free_at > now or self._awake(now) > now
        if len(self._queue) >= spec.spill.queue and spec.spill.reaches_cloud(request.source, now):
            self._fleet.send_on(request, now)
        elif len(self._queue) >= spec.queue_limit and out_of_order:
            self._fleet.end(request, Outcome.SHED, now, now, -1, 0)
        else:
            self._queue.append(request)
            if spec.timeout < FOREVER:
                self._env.process(self._lose_patience(request))
            self._stir()

    def _stir(self) -> None:
        """Let the device look at its queue again."""
        came, self._came = self._came, self._env.event()
        came.succeed()

    def _lose_patience(self, request: Row) -> Steps:
        yield patience_ends(self._env, self._spec.timeout, self._number)
        if request in self._queue:
            self._queue.remove(request)
            now = int(self._env.now)
            self._fleet.end(request, Outcome.TIMED_OUT, now, now, -1, 0)
            self._stir()

    def _work(self) -> Steps:
        while True:
            now = int(self._env.now)
            if not self._queue:
                yield self._came
                continue
            up = max(self._awake(now), self._free_at)
            if up > now:
                wakes = self._env.timeout(up - now) if up < FOREVER else self._env.event()
                yield wakes | self._came
                continue
            if self._ran_flat(now):
                continue
            rule, waiting = self._spec.rule, len(self._queue)
            size, ask = decide(rule.full, rule.patience, waiting, self._queue[0].time, now)
            if size == 0:
                asks = queue_asks(self._env, ask - now, 0) if ask < FOREVER else self._env.event()
                yield asks | self._came
                continue
            self._serve(size, now)

    def _serve(self, size: int, now: int) -> None:
        batch = self._queue[:size]
        length, load = self._length(batch, now)
        stops = self._stops(now, now + length, load)
        cut = stops < now + length
        self.batches += 1
        self.served += size
        self._free_at = min(stops, now + length)
        self.busy += self._free_at - now
        self.overtime += max(self._free_at - max(now, self._spec.midnight), 0)
        if cut and self._spec.retry:
            return
        self._queue = self._queue[size:]
        spill = self._spec.spill
        for request in batch:
            if cut:
                self._fleet.end(request, Outcome.LOST, stops, stops, -1, 0)
            elif request.choice < spill.share and spill.reaches_cloud(request.source, now + length):
                self._fleet.send_on(request, now + length)
            else:
                self._fleet.end(request, Outcome.DONE, now, now + length, self._number, size)

    def _awake(self, now: int) -> int:
        """The earliest moment from ``now`` on at which a batch can start."""
        spec = self._spec
        while True:
            at = max(now, self._dead_until)
            for windows in (self._failures, spec.asleep):
                for start, end in zip(windows.start.tolist(), windows.end.tolist(), strict=True):
                    if start <= at < end:
                        at = end
            if spec.duty_period and spec.duty_phase is not None:
                into = (at + int(spec.duty_phase[self._number])) % spec.duty_period
                if into >= spec.duty_on:
                    at += spec.duty_period - into
            if at == now:
                return now
            now = at

    def _ran_flat(self, now: int) -> bool:
        cell = self._spec.battery
        if cell is None or self._seen_at >= now:
            return False
        self._level, flat = level_after(
            self._level, self._seen_at, now, cell.idle, cell.charger, cell.capacity,
            cell.charging.start, cell.charging.end,
        )  # fmt: skip
        self._seen_at = now
        if flat == FOREVER:
            return False
        self._die(flat)
        return True

    def _die(self, flat: int) -> None:
        cell = self._spec.battery
        assert cell is not None  # noqa: S101
        self.flat += 1
        self._level = cell.restart
        self._dead_until = self._seen_at = int(
            charged_at(cell.restart, flat, cell.charger, cell.charging.start, cell.charging.end)
        )

    def _length(self, batch: list[Row], now: int) -> tuple[int, float]:
        """How long the batch takes, and the power drawn meanwhile."""
        service, cell, work = self._spec.service, self._spec.battery, 0.0
        for request in batch:
            work = joined_work(service.padded, work, request.size)
        cold = cooled(now - self._free_at, service.rest)
        length = draw(self, service, len(batch), batch[0].service, work, cold)
        if cell is not None and self._level < cell.saver_below:
            return int(length * cell.saver_slowdown), cell.saver_active
        return length, cell.active if cell else 0.0

    def _stops(self, start: int, end: int, load: float) -> int:
        """When a failure or a flat battery cuts a batch off; ``FOREVER``: neither does."""
        cell = self._spec.battery
        stops = min((s for s in self._failures.start.tolist() if start < s < end), default=FOREVER)
        if cell is not None:
            self._seen_at = min(end, stops)
            self._level, flat = level_after(
                self._level, start, self._seen_at, load, cell.charger, cell.capacity,
                cell.charging.start, cell.charging.end,
            )  # fmt: skip
            if flat < FOREVER:
                stops = int(flat)
                self._die(stops)
        return stops
