"""A central queue, a batching policy, and the servers it feeds, on SimPy."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Any

import numpy as np
import simpy

from bench import extensions
from bench.profile import Profile
from bench.scenario import Part
from bench.simulate.batching import WaitUntil

BATCHING = "bench.simulate.batching"
_DRAWS = 4096


class Policy:
    """A batching policy with its options bound."""

    def __init__(self, part: Part) -> None:
        module = extensions.load(BATCHING, part.name)
        options = module.Options.model_validate(part.options)
        self.largest: int = module.largest(options)
        self.decide: Callable[[int, float, float], Any] = lambda waiting, oldest, now: (
            module.decide(options, waiting, oldest, now)
        )


class ServiceTimes:
    """Draws from the measured distribution of each batch size, with replacement."""

    def __init__(self, profile: Profile, rng: np.random.Generator) -> None:
        self._measured = profile.service_s
        self._rng = rng
        self._uniform: list[float] = []

    def draw(self, batch_size: int) -> float:
        if not self._uniform:
            self._uniform = self._rng.random(_DRAWS).tolist()
        values = self._measured[batch_size]
        return values[int(self._uniform.pop() * len(values))]


class Station:
    """Requests are numbers; ``on_done(request)`` is called when one has been served.

    Idle servers are taken lowest number first, requests oldest first: ties never depend on luck.
    A retired server finishes its batch and takes no other.
    """

    def __init__(
        self,
        env: simpy.Environment,
        policy: Policy,
        service: ServiceTimes,
        on_done: Callable[[int], None],
    ) -> None:
        self._env, self._policy, self._service, self._on_done = env, policy, service, on_done
        self._queue: deque[tuple[float, int]] = deque()
        self._idle: list[int] = []
        self._retired: set[int] = set()
        self._servers = 0
        self._alarm_s = math.inf
        self.on_retired: Callable[[int], None] = lambda server: None
        self.busy_s = 0.0
        self.batches = 0
        self.served = 0

    @property
    def waiting(self) -> int:
        return len(self._queue)

    def add_server(self) -> int:
        """A server becomes ready; its number."""
        server = self._servers
        self._servers += 1
        heappush(self._idle, server)
        self._dispatch()
        return server

    def retire(self, server: int) -> None:
        """Take a server out of service, at once if idle, else after its batch."""
        if server in self._idle:
            self._idle.remove(server)
            heapify(self._idle)
            self.on_retired(server)
        else:
            self._retired.add(server)

    def arrive(self, request: int) -> None:
        self._queue.append((self._env.now, request))
        if self._idle:
            self._dispatch()

    def _dispatch(self) -> None:
        while self._idle and self._queue:
            now = self._env.now
            decision = self._policy.decide(len(self._queue), self._queue[0][0], now)
            if isinstance(decision, WaitUntil):
                self._wake_at(decision.time_s)
                return
            self._start(heappop(self._idle), decision.size)

    def _start(self, server: int, size: int) -> None:
        batch = [self._queue.popleft()[1] for _ in range(size)]
        seconds = self._service.draw(size)
        self.busy_s += seconds
        self.batches += 1
        self.served += size
        done = self._env.timeout(seconds)
        done.callbacks.append(lambda _: self._finish(server, batch))

    def _finish(self, server: int, batch: list[int]) -> None:
        for request in batch:
            self._on_done(request)
        if server in self._retired:
            self._retired.discard(server)
            self.on_retired(server)
            return
        heappush(self._idle, server)
        self._dispatch()

    def _wake_at(self, time_s: float) -> None:
        if time_s >= self._alarm_s:
            return
        self._alarm_s = time_s
        alarm = self._env.timeout(max(time_s - self._env.now, 0.0))

        def ring(_: simpy.Event) -> None:
            if self._alarm_s == time_s:
                self._alarm_s = math.inf
                self._dispatch()

        alarm.callbacks.append(ring)
