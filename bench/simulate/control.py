"""The control plane of a pool: nodes and the replicas on them, started, stopped, lost and mended.

SimPy runs it, in both methods alike. Policies ask for a number of replicas; :class:`Replicas` sees
to it that they get them, with everything that takes time on the way.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import simpy

from bench.simulate.moments import Steps, control
from bench.simulate.plane import Calm, Pool, Trigger
from bench.simulate.scaling import PHASE, Observed, Scaling
from bench.ticks import FOREVER, Ticks, ticks, to_seconds

Draw = Callable[[], float]
"""One duration in seconds."""


@dataclass(frozen=True)
class StartTimes:
    """What a replica takes before it serves: the node only if a new one is needed."""

    node: Draw
    image_pull: Draw
    model_load: Draw


@dataclass(frozen=True)
class Breakdowns:
    """Mean seconds between a node's failures and to its repair, and in a spot node's life."""

    mtbf_s: float = float("inf")
    mttr_s: float = 0.0
    spot_life_s: float = float("inf")
    notice_s: float = 0.0


@dataclass(frozen=True)
class Event:
    """Something the control plane did, for the trace."""

    time: int
    what: str
    node: int
    server: int


@dataclass(eq=False)
class Node:
    """A machine: held from the order to the end of its last replica."""

    number: int
    held_since: int
    replicas: list[Replica] = field(default_factory=list)
    """Those that have not ended."""
    has_image: bool = False
    takes_more: bool = True
    held_until: int = FOREVER
    replaces: bool = False
    """Whether it was ordered in place of an evicted one."""
    serves_since: int = FOREVER
    under_repair: bool = False
    repair_left_s: float = 0.0
    """At midnight, of a repair that has begun before."""
    whole_for_s: float = float("inf")
    """At midnight, since the last repair."""


@dataclass(eq=False)
class Replica:
    """One copy of the model on a node."""

    node: Node
    state: str = "starting"
    """starting, ready, draining, broken, or ended."""
    server: int = -1
    ready_since: int = -1
    starts: int = 0
    """How often it has begun to start; a start that a failure cut off comes to nothing."""


Span = tuple[int, int, int]
"""Server, and from when to when."""


class Replicas:
    """The replicas of one pool.

    Args:
        servers: numbers the pool has for servers; more than replicas, for those that end.
        per_node: replicas that fit on a node.
    """

    def __init__(
        self,
        env: simpy.Environment,
        pool: Pool,
        servers: int,
        start_times: StartTimes,
        breakdowns: Breakdowns,
        rng: np.random.Generator,
        per_node: int = 1,
    ) -> None:
        self._env, self._pool, self._start_times = env, pool, start_times
        self._breakdowns, self._rng, self._per_node = breakdowns, rng, per_node
        self._free = list(range(servers))
        self._nodes: list[Node] = []
        """All there ever were."""
        self._held: list[Node] = []
        self._replicas: list[Replica] = []
        self._past: list[Span] = []
        self.events: list[Event] = []
        self.peak = 0
        self._replacing = False
        self._ordered = env.event()

    @property
    def peak_nodes(self) -> int:
        """The most nodes held at once."""
        edges = [(node.held_since, 1) for node in self._nodes]
        edges += [(node.held_until, -1) for node in self._nodes]
        held = peak = 0
        for _, step in sorted(edges):
            held += step
            peak = max(peak, held)
        return peak

    @property
    def now(self) -> int:
        return int(self._env.now)

    @property
    def wanted(self) -> int:
        """Replicas that are ready, starting or being mended."""
        return sum(r.state in ("starting", "ready", "broken") for r in self._replicas)

    def all_ready(self, number: int) -> bool:
        """Whether there are so many, and each is ready."""
        return len(self._replicas) == number == self.ready

    @property
    def ready(self) -> int:
        return sum(r.state == "ready" for r in self._replicas)

    def begin_with(self, number: int) -> None:
        """These are there at midnight: the service has been running before, and failing."""
        for _ in range(number):
            replica = self._place(at_midnight=True)
            node = replica.node
            node.has_image = True
            if node.under_repair:
                replica.state = "broken"
                self._note("fail", replica)
                continue
            loads = node.whole_for_s < float("inf")
            left_s = self._start_times.model_load() - node.whole_for_s if loads else 0.0
            if left_s > 0:
                self._env.process(self._load(replica, left_s))
            else:
                self._serve(replica)

    def scale_to(self, number: int) -> None:
        """Order what is missing; end what is too much: what does not serve yet, then the youngest."""
        self._settle()
        living = [r for r in self._replicas if r.state in ("starting", "ready", "broken")]
        for _ in range(number - len(living)):
            replica = self._place()
            self._note("order", replica)
            self._start(replica)
        if number > len(living):
            self._ordered.succeed()
            self._ordered = self._env.event()
        keenness = {"ready": 0, "starting": 1, "broken": 2}
        for replica in sorted(living, key=lambda r: keenness[r.state])[number:]:
            self._end(replica)

    def wait(self, seconds: float) -> simpy.Event:
        """Until everything else of that moment has happened."""
        return control(self._env, ticks(seconds))

    def ordered(self) -> simpy.Event:
        """Until replicas are ordered."""
        return self._ordered

    def process(self, steps: Steps) -> None:
        """Let something happen beside everything else."""
        self._env.process(steps)

    def wait_until(self, time: int) -> simpy.Event:
        return control(self._env, max(time - self.now, 0))

    def holdings(self, until: int) -> list[tuple[int, int]]:
        """From when to when each node was held, at the latest until ``until``."""
        self._settle()
        return [
            (node.held_since, min(node.held_until, until))
            for node in self._nodes
            if node.held_since < until
        ]

    def replacing(self, until: int) -> int:
        """How long nodes in place of evicted ones were held before they served."""
        return sum(
            min(node.serves_since, node.held_until, until) - node.held_since
            for node in self._nodes
            if node.replaces and node.held_since < until
        )

    def ready_spans(self, until: int) -> list[Span]:
        """Every time in which a replica could work, at the latest until ``until``."""
        self._settle()
        still = [(r.server, r.ready_since, until) for r in self._replicas if r.server >= 0]
        return [
            (server, since, min(end, until))
            for server, since, end in [*self._past, *still]
            if since < until
        ]

    # Nodes and places on them -----------------------------------------------------------------

    def _place(self, *, at_midnight: bool = False) -> Replica:
        """A place on a node that is there, or on another; at midnight, that is not a new one."""
        for node in self._held:
            room = len(node.replicas) < self._per_node
            if room and node.takes_more and (at_midnight or not node.under_repair):
                break
        else:
            node = Node(len(self._nodes), self.now, replaces=self._replacing)
            self._nodes.append(node)
            self._held.append(node)
            if self._breakdowns.mtbf_s < float("inf"):
                if at_midnight:
                    self._age(node)
                self._env.process(self._fail_and_mend(node))
            if self._breakdowns.spot_life_s < float("inf"):
                self._env.process(self._evict(node))
        replica = Replica(node)
        node.replicas.append(replica)
        self._replicas.append(replica)
        self.peak = max(self.peak, self.wanted)
        return replica

    def _age(self, node: Node) -> None:
        """How midnight finds a node that has been failing and mended for long.

        It is under repair with probability mttr ÷ (mtbf + mttr), and exponential times have no
        memory: what is left of one, and what has gone by, are as long as a whole one.
        """
        mtbf_s, mttr_s = self._breakdowns.mtbf_s, self._breakdowns.mttr_s
        if self._rng.random() < mttr_s / (mtbf_s + mttr_s):
            node.under_repair, node.repair_left_s = True, self._rng.exponential(mttr_s)
        else:
            node.whole_for_s = self._rng.exponential(mtbf_s)

    def _start(self, replica: Replica) -> None:
        replica.state, replica.starts = "starting", replica.starts + 1
        self._env.process(self._boot(replica, replica.starts))

    def _boot(self, replica: Replica, start: int) -> Steps:
        times, node = self._start_times, replica.node
        if not node.has_image:
            yield self.wait(times.node() + times.image_pull())
            if replica.starts != start or replica.state != "starting":
                return
            node.has_image = True
        yield from self._load(replica, times.model_load())

    def _load(self, replica: Replica, seconds: float) -> Steps:
        start = replica.starts
        yield self.wait(seconds)
        if replica.starts == start and replica.state == "starting":
            self._serve(replica)

    def _serve(self, replica: Replica) -> None:
        self._settle()
        replica.node.has_image = True
        replica.node.serves_since = min(replica.node.serves_since, self.now)
        replica.state, replica.server, replica.ready_since = "ready", self._free.pop(0), self.now
        self._note("ready", replica)
        self._pool.add(replica.server)

    def _end(self, replica: Replica) -> None:
        """Let it finish what it has taken on."""
        self._note("retire", replica)
        if replica.state == "ready":
            replica.state = "draining"
            self._pool.retire(replica.server)
        else:
            self._gone(replica, self.now)

    def _settle(self) -> None:
        """Note which replicas have finished what they had."""
        for replica in [r for r in self._replicas if r.state == "draining"]:
            left = self._pool.left(replica.server)
            if left <= self.now:
                self._off(replica, left)
                self._gone(replica, left)

    def _off(self, replica: Replica, time: int) -> None:
        """Its server is free for others."""
        self._past.append((replica.server, replica.ready_since, time))
        self._free.append(replica.server)
        self._free.sort()
        replica.server = -1

    def _gone(self, replica: Replica, time: int) -> None:
        replica.state = "ended"
        self._replicas.remove(replica)
        replica.node.replicas.remove(replica)
        if not replica.node.replicas:
            replica.node.held_until, replica.node.takes_more = time, False
            self._held.remove(replica.node)

    # What befalls nodes -------------------------------------------------------------------------

    def _fail_and_mend(self, node: Node) -> Steps:
        """A node that fails stays held, and starts its models again once mended."""
        if node.under_repair:
            yield self.wait(node.repair_left_s)
            self._mended(node)
        while True:
            yield self.wait(self._rng.exponential(self._breakdowns.mtbf_s))
            if not node.takes_more:
                return
            node.under_repair = True
            for replica in list(node.replicas):
                self._fail(replica)
            yield self.wait(self._rng.exponential(self._breakdowns.mttr_s))
            self._mended(node)

    def _mended(self, node: Node) -> None:
        node.under_repair = False
        for replica in [r for r in node.replicas if r.state == "broken"]:
            self._start(replica)

    def _fail(self, replica: Replica) -> None:
        was, replica.state = replica.state, "broken"
        if was == "draining" and self._pool.left(replica.server) <= self.now:
            left = self._pool.left(replica.server)
            self._off(replica, left)
            self._gone(replica, left)
            return
        self._note("fail", replica)
        if was == "starting":
            return
        self._pool.fail(replica.server)
        self._off(replica, self.now)
        if was == "draining":
            self._gone(replica, self.now)

    def _evict(self, node: Node) -> Steps:
        """Notice, a replacement at once, and at the end of the notice the plug is pulled."""
        yield self.wait(self._rng.exponential(self._breakdowns.spot_life_s))
        if not node.takes_more:
            return
        node.takes_more = False
        before = self.wanted
        for replica in list(node.replicas):
            self._note("evict", replica)
            if replica.state != "draining":
                self._end(replica)
        self._replacing = True
        self.scale_to(before)
        self._replacing = False
        yield self.wait(self._breakdowns.notice_s)
        for replica in [r for r in node.replicas if r.state == "draining"]:
            self._fail(replica)

    def _note(self, what: str, replica: Replica) -> None:
        self.events.append(Event(self.now, what, replica.node.number, replica.server))


def autoscale(replicas: Replicas, pool: Pool, policy: Scaling) -> Steps:
    """Ask the policy every period, and do what it wants; not at all while the pool is so calm that it would
    want the same.

    A service that was scaled to zero sleeps until a request wakes it: there is nothing to ask, and a
    day has some ten thousand periods.
    """
    assert policy.first_s is not None and policy.period_s is not None  # noqa: S101, PT018
    before = since = 0
    first, period = ticks(policy.first_s), ticks(policy.period_s)
    yield replicas.wait_until(first)
    while True:
        if policy.idle_s is not None and replicas.wanted == 0:
            yield replicas.ordered()
            before, since = pool.seen().busy, replicas.now
            yield replicas.wait_until(first + ((since - first) // period + 1) * period)
        seen, ready = pool.seen(), replicas.ready
        busy = (seen.busy - before) / (max(replicas.now - since, 1) * max(ready, 1))
        before, since = seen.busy, replicas.now
        observed = Observed(
            now_s=to_seconds(replicas.now),
            replicas=replicas.wanted,
            ready=ready,
            busy=busy,
            waiting=seen.waiting,
            in_service=seen.in_service,
        )
        _scale(replicas, pool, policy.desired(observed))
        calm = _calm(replicas, observed, policy, before, period)
        stirred = None if calm is None else pool.stirred(calm)
        if stirred is None:
            yield replicas.wait(policy.period_s)
        else:
            before, since = yield stirred
            policy.passed(to_seconds(since))


def _calm(
    replicas: Replicas, observed: Observed, policy: Scaling, busy: int, period: int
) -> Calm | None:
    """Between which levels the policy need not be asked; ``None`` where it must be each time."""
    levels = policy.calm(observed) if replicas.all_ready(observed.replicas) else None
    if levels is None:
        return None
    whole = period * observed.ready
    hair = whole // 10_000_000 + 1  # so near to a level, the policy decides itself
    low, high = (min(max(level, -1.0), 2.0) * whole for level in levels)
    return Calm(replicas.now, busy, period, math.ceil(low) + hair, math.floor(high) - hair)


def sleep_when_empty(replicas: Replicas, pool: Pool, policy: Scaling) -> None:
    """Scale to zero once the pool has been empty for a while, and to one when a request waits."""
    assert policy.idle_s is not None  # noqa: S101
    idle_s, poll_s = policy.idle_s, policy.poll_s

    def on_trigger(trigger: Trigger) -> None:
        pool.watch_empty = True
        if trigger == "empty":
            replicas.process(rest(pool.seen().served))
        elif poll_s is not None:
            replicas.process(look(poll_s))
        elif replicas.wanted == 0:
            replicas.scale_to(1)

    def rest(served: int) -> Steps:
        yield replicas.wait(idle_s)
        seen = pool.seen()
        if seen.served == served and not seen.waiting:
            _scale(replicas, pool, 0)

    def look(period_s: float) -> Steps:
        period, first = ticks(period_s), ticks(PHASE * period_s)
        yield replicas.wait_until(first + max(-((first - replicas.now) // period), 0) * period)
        if replicas.wanted == 0 and pool.seen().waiting:
            replicas.scale_to(1)
        elif replicas.wanted == 0:
            pool.watch_wake = True

    pool.on_trigger = on_trigger
    pool.watch_empty = True
    pool.watch_wake = replicas.wanted == 0


def _scale(replicas: Replicas, pool: Pool, number: int) -> None:
    replicas.scale_to(number)
    if number == 0:
        pool.watch_wake = True


def work_through_windows(
    replicas: Replicas, pool: Pool, nodes: int, opens: Ticks, closes: Ticks
) -> Steps:
    """Batch: order the nodes when a window opens, and let them go when all is done or it closes."""

    def on_trigger(trigger: Trigger) -> None:
        if trigger == "empty":
            replicas.scale_to(0)

    pool.on_trigger = on_trigger
    for opening, closing in zip(opens.tolist(), closes.tolist(), strict=True):
        yield replicas.wait_until(opening)
        if pool.seen().waiting:
            replicas.scale_to(nodes)
            pool.watch_empty = True
        if closing < FOREVER:
            yield replicas.wait_until(closing)
            replicas.scale_to(0)
