"""Links between sites and servers, compiled."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bench.simulate.compiled import compiled, compiled_with_arrays
from bench.simulate.plane import Link, Requests
from bench.simulate.ticks import Ticks

MOVES = 64
"""Beyond so many places that a request moves on average, sorting anew is quicker."""


@compiled
def transmit(free: Ticks, site: int, sent: int, length: int, starts: Ticks, ends: Ticks) -> int:
    """When a message sent at ``sent`` has left the link, which is ``free[site]`` from then on.

    ``starts`` and ``ends`` are the outages: a transmission that one cuts off starts anew.
    """
    begin = max(free[site], sent)
    if len(starts):
        place = np.searchsorted(ends, begin, side="right")
        while place < len(starts) and starts[place] < begin + length:
            begin = max(begin, ends[place])
            place += 1
    free[site] = begin + length
    return begin + length


@compiled
def _send(
    time: Ticks,
    source: np.ndarray,
    delay: Ticks,
    free: Ticks,
    length: int,
    starts: Ticks,
    ends: Ticks,
    reach: Ticks,
) -> None:
    sites = len(free)
    for i in range(len(time)):
        site = source[i] % sites
        reach[i] = transmit(free, site, time[i], length, starts, ends) + delay[i]


@compiled_with_arrays
def _insertion_order(reach: Ticks, most: int) -> Ticks:
    """The stable order of nearly sorted times; an empty array after ``most`` moves."""
    n = len(reach)
    order = np.empty(n, np.int64)
    moves = 0
    for i in range(n):
        key = reach[i]
        place = i
        while place > 0 and reach[order[place - 1]] > key:
            order[place] = order[place - 1]
            place -= 1
        order[place] = i
        moves += i - place
        if moves > most:
            return np.empty(0, np.int64)
    return order


def cross(requests: Iterator[Requests], link: Link) -> Iterator[Requests]:
    """The same requests by the time at which they reach the other end.

    Jitter makes some overtake others; a request is passed on when none that sets out later can
    still come before it.
    """
    free = np.zeros(link.sites, np.int64)
    held: Requests | None = None
    for chunk in requests:
        if not len(chunk):
            continue
        reach = np.empty(len(chunk), np.int64)
        outages = link.outages
        _send(
            chunk.time, chunk.source, chunk.up, free, link.transmit,
            outages.start, outages.end, reach,
        )  # fmt: skip
        safe = int(chunk.time[-1]) + link.transmit
        arrived = chunk.at(reach)
        held = arrived if held is None or not len(held) else Requests.joined(held, arrived)
        held = _sorted(held)
        split = int(np.searchsorted(held.time, safe, side="right"))
        yield held.take(slice(0, split))
        held = held.take(slice(split, None))
    if held is not None and len(held):
        yield held


def _sorted(requests: Requests) -> Requests:
    time = requests.time
    if (time[1:] >= time[:-1]).all():
        return requests
    order = _insertion_order(time, MOVES * len(time))
    return requests.take(order if len(order) else np.argsort(time, kind="stable"))


def wait_for_opening(requests: Iterator[Requests], opens: Ticks) -> Iterator[Requests]:
    """Hold each request until the next moment of ``opens``; what comes after the last, for ever."""
    for chunk in requests:
        place = np.searchsorted(opens, chunk.time)
        kept = place < len(opens)
        early = chunk if kept.all() else chunk.take(np.flatnonzero(kept))
        if len(early):
            yield early.at(opens[place[kept]])
