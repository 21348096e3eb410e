"""The memory of the compiled data plane: plain arrays, grown when they are full."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from bench.admission import ADMIT_ALL
from bench.requests import ANSWER, Answers, Floats, Requests
from bench.simulate.fast.heap import Heap, new_heap
from bench.simulate.plane import PoolSpec, Routing
from bench.simulate.service import ServiceTimes
from bench.ticks import FOREVER, Ticks

Structured = npt.NDArray[Any]
OFF, IDLE, BUSY = 0, 1, 2

REGISTERS = (
    "now", "next", "cursor", "rows", "last", "written", "free", "used", "waiting", "in_service",
    "ready", "turn", "busy", "filling", "batches", "served", "work", "work_serial",
    "work_done", "work_ended", "watch_wake", "watch_empty", "woken", "emptied", "triggers",
    "look", "looked", "period", "low", "high", "stirred",
)  # fmt: skip
"""``look`` is when an autoscaler looks next, and ``FOREVER`` where it looks by itself; ``looked`` what servers had
been busy by the look before, and ``low`` and ``high`` what they may be until the next."""
_REGISTERS = np.dtype([(name, "i8") for name in REGISTERS])
_SLOT = np.dtype(
    [
        (name, "i8")
        for name in ("number", "arrival", "reach", "up", "down", "start", "next", "together")
    ]
    + [("service", "f8"), ("choice", "f8"), ("size", "f8"), ("source", "i4"), ("batch", "i4")]
)  # fmt: skip
_SERVER = np.dtype(
    [
        (name, "i8")
        for name in (
            "state", "draining", "work", "start", "finish", "left", "taken", "batch",
            "block_left", "block_offset", "unsaved", "unsaved_last", "saved_at", "saving",
        )
    ]
    + [("block_phase", "f8")]
)  # fmt: skip
_QUEUE = np.dtype([(name, "i8") for name in ("head", "tail", "length", "formed", "formed_last")])
"""The first ``formed`` of a queue are in batches that wait for a server, up to the slot ``formed_last``;
``together`` of the first slot of each says how many are in it."""


class PoolFixed(NamedTuple):
    """The spec as numbers that compiled code can read."""

    full: int
    patience: Ticks
    at_door: bool
    service: ServiceTimes
    routing: int
    queue_limit: int
    shed_from: int
    shed_to: int
    timeout: int
    retry: bool
    save_every: int
    save_cost: int
    plain: bool
    """One queue, no limits, one patience, no batches at the door: most requests just join."""
    closed: bool
    away_start: Ticks
    away_end: Ticks
    up_transmit: int
    up_per_unit: float
    up_first: Ticks
    up_starts: Ticks
    up_ends: Ticks
    down_transmit: int
    down_per_unit: float
    down_first: Ticks
    down_starts: Ticks
    down_ends: Ticks


class State(NamedTuple):
    """What changes. ``registers`` has one element, for the scalars."""

    registers: Structured
    servers: Structured
    queues: Structured
    """The first is the central queue, or the door where each server has its own."""
    ready: Ticks
    """Servers that take requests, in order; the first ``registers.ready`` count."""
    finishes: Heap
    alarms: Heap
    """When a queue asks its batching rule again."""
    leaves: Heap
    """When the oldest of a queue gives up."""
    idle: Heap
    up_free: Ticks
    down_free: Ticks
    sends: Heap
    """Closed loop: when each user sends."""
    transit: Heap
    """Closed loop: when each user's request reaches the queue."""


class Slots(NamedTuple):
    """The requests that are waiting or served, and the stack of places for more."""

    row: Structured
    free: Ticks


class Input(NamedTuple):
    """A chunk of requests, as they come to the queue: the columns that compiled code reads."""

    number: Ticks
    arrival: Ticks
    time: Ticks
    source: npt.NDArray[np.int32]
    service: Floats
    choice: Floats
    up: Ticks
    down: Ticks
    size: Floats


class PoolData(NamedTuple):
    """All that one pool works on between two control events."""

    state: State
    slots: Slots
    settings: PoolFixed
    rows: Input
    out: Answers


def settings_of(spec: PoolSpec) -> PoolFixed:
    admission = spec.admission
    up, down = spec.uplink, spec.downlink
    up_outages, down_outages = up.outages_of_each, down.outages_of_each
    return PoolFixed(
        full=spec.rule.full,
        patience=np.array(spec.rule.patience, np.int64),
        at_door=spec.rule.at_door,
        service=spec.service,
        routing=int(spec.routing),
        queue_limit=admission.queue_limit,
        shed_from=admission.shed_from,
        shed_to=admission.shed_to,
        timeout=admission.timeout,
        retry=spec.retry,
        save_every=spec.checkpoints.every,
        save_cost=spec.checkpoints.cost,
        plain=_is_plain(spec),
        closed=spec.users > 0,
        away_start=spec.away.start,
        away_end=spec.away.end,
        up_transmit=up.transmit,
        up_per_unit=up.per_unit,
        up_first=up_outages.first,
        up_starts=up_outages.windows.start,
        up_ends=up_outages.windows.end,
        down_transmit=down.transmit,
        down_per_unit=down.per_unit,
        down_first=down_outages.first,
        down_starts=down_outages.windows.start,
        down_ends=down_outages.windows.end,
    )


def _is_plain(spec: PoolSpec) -> bool:
    one_patience = len(set(spec.rule.patience)) <= 1
    return (
        spec.routing is Routing.CENTRAL
        and spec.admission == ADMIT_ALL
        and one_patience
        and not spec.rule.at_door
        and not spec.users
    )


def new_state(spec: PoolSpec) -> State:
    servers = np.zeros(spec.servers, _SERVER)
    servers["batch"] = servers["unsaved"] = -1
    servers["left"] = servers["finish"] = FOREVER
    queues = np.zeros(spec.servers + 1, _QUEUE)
    queues["head"] = queues["tail"] = -1
    registers = np.zeros(1, _REGISTERS)
    registers["look"] = FOREVER
    return State(
        registers=registers,
        servers=servers,
        queues=queues,
        ready=np.zeros(spec.servers, np.int64),
        finishes=new_heap(spec.servers),
        alarms=new_heap(spec.servers + 1),
        leaves=new_heap(spec.servers + 1),
        idle=new_heap(spec.servers),
        up_free=np.zeros(spec.uplink.sites, np.int64),
        down_free=np.zeros(spec.downlink.sites, np.int64),
        sends=new_heap(spec.users),
        transit=new_heap(spec.users),
    )


def new_slots(count: int) -> Slots:
    return Slots(np.zeros(count, _SLOT), np.arange(count - 1, -1, -1, dtype=np.int64))


def more_slots(slots: Slots, free: int) -> tuple[Slots, int]:
    """Twice as many, and how many of them are free."""
    old = len(slots.row)
    row = np.concatenate([slots.row, np.zeros(old, _SLOT)])
    stack = np.zeros(2 * old, np.int64)
    stack[:old] = np.arange(2 * old - 1, old - 1, -1)
    stack[old : old + free] = slots.free[:free]
    return Slots(row, stack), old + free


def as_input(requests: Requests) -> Input:
    """Each column in memory of its own, that may be written: for a field of a table, or a column that may not,
    all would be compiled once more, for a minute."""
    return Input(
        **{name: np.require(getattr(requests, name), None, ["C", "W"]) for name in Input._fields}
    )


def new_output(rows: int) -> Answers:
    return np.zeros(rows, ANSWER)
