"""What both methods of simulating are given, and what both give back.

The *data plane* is the way of the requests: link, queue, batch, server, link. The *control plane*
is everything that changes which servers there are. A method is a package with ``Pool`` and
``fleet``, of these meanings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal, Protocol

import numpy as np
import simpy

from bench.admission import ADMIT_ALL, Admission
from bench.batching import Rule
from bench.requests import OnAnswers, Requests
from bench.simulate.service import ServiceTimes
from bench.ticks import FOREVER, Ticks


class Routing(IntEnum):
    """Who takes a request: one queue for all servers, or a queue each."""

    CENTRAL = 0
    ROUND_ROBIN = 1
    SHORTEST_QUEUE = 2
    TWO_CHOICES = 3
    STICKY = 4


@dataclass(frozen=True)
class Windows:
    """Periods in which something is out of order: sorted, apart, in ticks."""

    start: Ticks = field(default_factory=lambda: np.zeros(0, np.int64))
    end: Ticks = field(default_factory=lambda: np.zeros(0, np.int64))

    def cover(self, now: int) -> bool:
        """Whether one of them is under way."""
        return bool(((self.start <= now) & (now < self.end)).any())


@dataclass(frozen=True)
class WindowsOfEach:
    """Windows of many things that fail on their own."""

    first: Ticks
    """By thing, and one more: where its windows begin in ``windows``."""
    windows: Windows

    def __len__(self) -> int:
        """How many things there are."""
        return len(self.first) - 1

    def of(self, number: int) -> Windows:
        """Those of one thing."""
        own = slice(int(self.first[number]), int(self.first[number + 1]))
        return Windows(self.windows.start[own], self.windows.end[own])

    @classmethod
    def none(cls, things: int) -> WindowsOfEach:
        """Of so many things that never fail."""
        return cls(np.zeros(things + 1, np.int64), Windows())


@dataclass(frozen=True)
class Link:
    """One direction of the sites' links: first come, first served, one message at a time."""

    transmit: int = 0
    """Ticks a message occupies the link."""
    sites: int = 1
    """Source ``s`` sends over link ``s % sites``."""
    outages: WindowsOfEach | None = None
    """By site. A transmission an outage cuts off starts anew when it is over."""
    per_unit: float = 0.0
    """Ticks more for each unit of the request's size."""

    @property
    def outages_of_each(self) -> WindowsOfEach:
        return self.outages or WindowsOfEach.none(self.sites)


def occupied(transmit: int, per_unit: float, size: float) -> int:
    """Ticks that the message of a request of this size occupies a link.

    Compiled for the fast method and called as it stands elsewhere.
    """
    return transmit if per_unit == 0.0 else transmit + int(per_unit * size)


@dataclass(frozen=True)
class Checkpoints:
    """Results are safe only once written: a failure loses those since the last time."""

    every: int = FOREVER
    cost: int = 0


@dataclass(frozen=True)
class PoolSpec:
    """Servers behind queues."""

    rule: Rule
    service: ServiceTimes
    servers: int
    """The most there can be at once; their numbers are below it."""
    routing: Routing = Routing.CENTRAL
    admission: Admission = ADMIT_ALL
    retry: bool = True
    """What was in flight on a failed server is tried again; otherwise it is lost."""
    checkpoints: Checkpoints = Checkpoints()
    uplink: Link = Link()
    downlink: Link = Link()
    opens: Ticks | None = None
    """Sorted: requests wait in storage for the next of these moments; ``None``: they do not."""
    users: int = 0
    """Of a closed loop; 0 for an open one."""
    away: Windows = Windows()
    """When users do not ask: one who would, thinks again when the window ends."""

    @property
    def draws_choice(self) -> bool:
        return self.admission.draws or self.routing is Routing.TWO_CHOICES


Trigger = Literal["wake", "empty"]


class Pool(Protocol):
    """The data plane as the control plane sees it. Calls act at the present moment."""

    watch_wake: bool
    """Call ``on_trigger("wake")`` when a request waits and no server is ready."""
    watch_empty: bool
    """Call ``on_trigger("empty")`` when the last request has left."""
    on_trigger: Callable[[Trigger], None]

    def __init__(
        self,
        env: simpy.Environment,
        spec: PoolSpec,
        requests: Iterator[Requests],
        on_answers: OnAnswers,
    ) -> None: ...

    def run(self, until: int) -> None:
        """Simulate every moment before ``until``."""
        ...

    def add(self, server: int) -> None:
        """The server, which was out of service, is ready."""
        ...

    def retire(self, server: int) -> None:
        """The server ends what it has taken on, and takes nothing more."""
        ...

    def fail(self, server: int) -> None:
        """The server stops at once."""
        ...

    def left(self, server: int) -> int:
        """When the server, which was retired, was done; ``FOREVER`` if it is not yet."""
        ...

    def give_work(self, items: int) -> None:
        """So many items of work without requests, done when a server would be idle."""
        ...

    def seen(self) -> Seen: ...

    def stirred(self, calm: Calm) -> simpy.Event | None:
        """When the pool is no longer calm: the first look at which it is not, with what :class:`Calm` calls
        ``busy`` and ``since`` of the look before. ``None`` where somebody must look each time."""
        ...


@dataclass(frozen=True)
class Calm:
    """An autoscaler that looks every ``period`` would change nothing while servers are as busy as this."""

    since: int
    """The last look."""
    busy: int
    """Server-ticks spent on requests until then."""
    period: int
    low: int
    """The fewest server-ticks of a period."""
    high: int


@dataclass(frozen=True)
class Seen:
    """Counts of the pool at the present moment, and sums since midnight."""

    waiting: int
    in_service: int
    busy: int
    """Server-ticks spent on requests until now."""
    filling: int
    """Server-ticks spent on the other work."""
    batches: int
    served: int
    """Requests in those batches, retries included."""
    work_left: int
    work_done: int
    work_ended: int
    """When the last item of other work was done."""


@dataclass(frozen=True)
class Battery:
    """What a device runs on between charges. Energies in joules, powers in watts."""

    capacity: float
    idle: float
    active: float
    charger: float
    charging: Windows
    """When the charger is connected."""
    restart: float
    """A device that ran flat starts again with so much in its battery."""
    saver_below: float = -1.0
    """With less in the battery than this, a device runs in its power-saving mode, …"""
    saver_slowdown: float = 1.0
    """… takes so many times as long, …"""
    saver_active: float = 0.0
    """… and draws so much."""


@dataclass(frozen=True)
class Spill:
    """Which requests of a device go on to the cloud, while it is on line."""

    queue: int = FOREVER
    """A request that finds so many waiting goes to the cloud instead."""
    share: float = 0.0
    """This share of the device's own answers is not sure enough, and asked again."""
    off_line: Windows = Windows()
    outages: WindowsOfEach | None = None
    """By site; source ``s`` is at site ``s % sites``, and its device sees when the link is down."""

    @property
    def outages_of_each(self) -> WindowsOfEach:
        return self.outages or WindowsOfEach.none(1)

    def reaches_cloud(self, source: int, now: int) -> bool:
        """Whether a request of this source can go on."""
        outages = self.outages_of_each
        return not self.off_line.cover(now) and not outages.of(source % len(outages)).cover(now)


def device_of(source: int, devices: int, sites: int) -> int:
    """The device that a source belongs to: one of its own site, each as many sources as the others.

    Source ``s`` is at site ``s % sites``, and so is device ``s``: sites differ by one device, if at
    all, and no device serves two of them. There is at least one device for each.

    Compiled for the fast method and called as it stands elsewhere.
    """
    if source < devices:  # its own: no division, which takes as long as all the rest
        return source
    site = source % sites
    own = devices // sites + (1 if site < devices % sites else 0)
    return site + sites * ((source // sites) % own)


@dataclass(frozen=True)
class FleetSpec:
    """Devices with a queue and one server each; :func:`device_of` says whose a source is."""

    devices: int
    rule: Rule
    service: ServiceTimes
    queue_limit: int = FOREVER
    timeout: int = FOREVER
    retry: bool = True
    failures: WindowsOfEach | None = None
    """By device. A batch that one cuts off starts anew when it is over, or is lost."""
    asleep: Windows = Windows()
    """No batch starts in one; the batch that runs is ended first."""
    duty_period: int = 0
    duty_on: int = 0
    duty_phase: Ticks | None = None
    """A device is awake ``duty_on`` of every ``duty_period``; by device, where it begins."""
    battery: Battery | None = None
    spill: Spill = Spill()
    sites: int = 1
    midnight: int = FOREVER
    """The end of the accounting days: what devices work after it is told apart."""

    @property
    def draws_choice(self) -> bool:
        return self.spill.share > 0

    @property
    def failures_of_each(self) -> WindowsOfEach:
        return self.failures or WindowsOfEach.none(self.devices)


@dataclass(frozen=True)
class FleetSeen:
    """Sums over all devices."""

    busy: int
    batches: int
    served: int
    flat: int
    """Times a battery ran flat."""
    overtime: int
    """Of ``busy``: after midnight."""
