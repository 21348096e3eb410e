"""Links between sites and servers: a resource for each, and a process that breaks and mends it."""

from __future__ import annotations

import simpy

from bench.requests import Row
from bench.simulate.moments import Steps, control, service_end
from bench.simulate.plane import Link, Windows, occupied
from bench.ticks import FOREVER


class SharedLinks:
    """The links of all sites in one direction, each of which fails on its own."""

    def __init__(self, env: simpy.Environment, link: Link) -> None:
        outages = link.outages_of_each
        self._link = link
        self._lines = [_Line(env, outages.of(site)) for site in range(link.sites)]

    def send(self, request: Row) -> Steps:
        """Wait for the line, then for the transmission."""
        length = occupied(self._link.transmit, self._link.per_unit, request.size)
        return self._lines[request.source % len(self._lines)].send(length)


class _Line:
    """One link: first come, first served."""

    def __init__(self, env: simpy.Environment, outages: Windows) -> None:
        self._env = env
        self._turns = simpy.Resource(env, capacity=1)
        self._broke = FOREVER
        """When the outage under way began."""
        self._breaks, self._mended = env.event(), env.event()
        if len(outages.start):
            env.process(self._weather(outages))

    def send(self, length: int) -> Steps:
        with self._turns.request() as turn:
            yield turn
            while True:
                if self._broke == self._env.now and not length:
                    return  # what takes no time is through at the moment at which the link breaks
                if self._broke < FOREVER:
                    yield self._mended
                sent = service_end(self._env, length, 0)
                yield sent | self._breaks
                if sent.processed:
                    return

    def _weather(self, outages: Windows) -> Steps:
        for start, end in zip(outages.start.tolist(), outages.end.tolist(), strict=True):
            yield control(self._env, start - int(self._env.now))
            self._broke = start
            self._breaks.succeed()
            self._mended = self._env.event()
            yield self._env.timeout(end - int(self._env.now))  # first of all at its moment
            self._broke = FOREVER
            self._breaks = self._env.event()
            self._mended.succeed()
