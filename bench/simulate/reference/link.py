"""Links between sites and servers: a resource for each, and a process that breaks and mends them."""

from __future__ import annotations

import simpy

from bench.simulate.moments import Steps, control, service_end
from bench.simulate.plane import Link


class SharedLinks:
    """The links of all sites in one direction, which fail together."""

    def __init__(self, env: simpy.Environment, link: Link) -> None:
        self._env, self._link = env, link
        self._lines = [simpy.Resource(env, capacity=1) for _ in range(link.sites)]
        self._broken = False
        self._breaks, self._mended = env.event(), env.event()
        if len(link.outages.start):
            env.process(self._weather())

    def send(self, source: int) -> Steps:
        """Wait for the line, then for the transmission."""
        line = self._lines[source % len(self._lines)]
        with line.request() as turn:
            yield turn
            while True:
                if self._broken:
                    yield self._mended
                sent = service_end(self._env, self._link.transmit, 0)
                yield sent | self._breaks
                if sent.processed:
                    return

    def _weather(self) -> Steps:
        outages = self._link.outages
        for start, end in zip(outages.start.tolist(), outages.end.tolist(), strict=True):
            yield control(self._env, start - int(self._env.now))
            self._broken = True
            self._breaks.succeed()
            self._mended = self._env.event()
            yield self._env.timeout(end - int(self._env.now))  # first of all at its moment
            self._broken = False
            self._breaks = self._env.event()
            self._mended.succeed()
