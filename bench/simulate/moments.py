"""The order of what happens at one moment, the same in both methods.

Services end, lowest server first; then requests come, in the order in which they were sent; then
queues ask their batching rule again; then control acts; and whoever has waited too long leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import simpy

Steps = Generator[simpy.Event, Any, None]
"""What a process does, one wait after the other."""

_ENDS, _COMES, _ASKS, _CONTROL, _LEAVES = (step << 62 for step in range(5))


class Moment(simpy.Event):
    """A time-out with a place in the order; ``Timeout`` has none but that of creation."""

    def __init__(self, env: simpy.Environment, delay: int, place: int) -> None:
        super().__init__(env)
        self._ok, self._value = True, None
        env.schedule(self, place, delay)  # type: ignore[arg-type]  # any integer will do


def service_end(env: simpy.Environment, delay: int, server: int) -> Moment:
    return Moment(env, delay, _ENDS + 2 + server)


def request_comes(env: simpy.Environment, delay: int, rank: int) -> Moment:
    return Moment(env, delay, _COMES + rank)


def queue_asks(env: simpy.Environment, delay: int, queue: int) -> Moment:
    return Moment(env, delay, _ASKS + queue)


def control(env: simpy.Environment, delay: int) -> Moment:
    return Moment(env, delay, _CONTROL)


def patience_ends(env: simpy.Environment, delay: int, queue: int) -> Moment:
    return Moment(env, delay, _LEAVES + queue)


def control_at(env: simpy.Environment, time: int, act: Callable[[], Any]) -> None:
    """Call ``act`` when everything else at ``time`` has happened."""
    control(env, time - int(env.now)).callbacks.append(lambda _: act())
