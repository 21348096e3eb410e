"""Links between sites and servers, compiled."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bench.simulate.compiled import compiled
from bench.simulate.fast.state import Input, as_input
from bench.simulate.plane import Link, Requests
from bench.ticks import FOREVER, Ticks

MOVES = 64
"""Beyond so many places that a request moves on average, sorting anew is quicker."""


@compiled
def transmit(
    free: Ticks, site: int, sent: int, length: int, first: Ticks, starts: Ticks, ends: Ticks
) -> int:
    """When a message sent at ``sent`` has left the link, which is ``free[site]`` from then on.

    ``starts[first[site] : first[site + 1]]`` and ``ends`` are the outages of the site: a
    transmission that one cuts off starts anew.
    """
    begin = max(free[site], sent)
    if len(starts):
        last = first[site + 1]
        place = first[site] + np.searchsorted(ends[first[site] : last], begin, side="right")
        while place < last and starts[place] < begin + length:
            begin = max(begin, ends[place])
            place += 1
    free[site] = min(begin + length, FOREVER)
    return free[site]


@compiled
def site_of(source: int, sites: int) -> int:
    return 0 if sites == 1 else source % sites  # a division takes as long as all the rest


@compiled
def _send(
    time: Ticks,
    source: np.ndarray,
    delay: Ticks,
    free: Ticks,
    length: int,
    first: Ticks,
    starts: Ticks,
    ends: Ticks,
    reach: Ticks,
) -> None:
    sites = len(free)
    for i in range(len(time)):
        site = site_of(source[i], sites)
        reach[i] = transmit(free, site, time[i], length, first, starts, ends) + delay[i]


@compiled
def _insert(times: Ticks, order: Ticks, most: int) -> bool:
    """Sort nearly sorted times, and with them ``order``; whether ``most`` moves were enough."""
    moves = 0
    for i in range(len(times)):
        key, mine = times[i], order[i]
        place = i
        while place > 0 and times[place - 1] > key:
            times[place] = times[place - 1]
            order[place] = order[place - 1]
            place -= 1
        times[place], order[place] = key, mine
        moves += i - place
        if moves > most:
            return False
    return True


@compiled
def _pick(order: Ticks, held: Input, chunk: Input, out: Input) -> None:
    """Those of ``held`` followed by ``chunk``, in this order; times are there already."""
    before = len(held.number)
    for i in range(len(order)):
        place = order[i]
        if place < before:
            _copy(held, place, out, i)
        else:
            _copy(chunk, place - before, out, i)


@compiled
def _copy(rows: Input, place: int, out: Input, to: int) -> None:
    out.number[to] = rows.number[place]
    out.arrival[to] = rows.arrival[place]
    out.source[to] = rows.source[place]
    out.service[to] = rows.service[place]
    if len(out.choice):
        out.choice[to] = rows.choice[place]
    out.up[to] = rows.up[place]
    out.down[to] = rows.down[place]


def cross(requests: Iterator[Requests], link: Link) -> Iterator[Requests]:
    """The same requests by the time at which they reach the other end.

    Jitter makes some overtake others; a request is passed on when none that sets out later can
    still come before it.
    """
    free, outages = np.zeros(link.sites, np.int64), link.outages_of_each
    held = Requests.none()
    for chunk in requests:
        if not len(chunk):
            continue
        reach = np.empty(len(chunk), np.int64)
        _send(
            chunk.time, chunk.source, chunk.up, free, link.transmit,
            outages.first, outages.windows.start, outages.windows.end, reach,
        )  # fmt: skip
        safe = int(chunk.time[-1]) + link.transmit
        held = _merged(held, chunk.at(reach))
        split = int(np.searchsorted(held.time, safe, side="right"))
        yield held.take(slice(0, split))
        held = held.take(slice(split, None))
    if len(held):
        yield held


def _merged(held: Requests, chunk: Requests) -> Requests:
    """Both, by time; those that were sent first go first where times are equal."""
    times = np.concatenate([held.time, chunk.time])
    if (times[1:] >= times[:-1]).all():
        return Requests.joined(held, chunk) if len(held) else chunk
    order = np.arange(len(times))
    if not _insert(times, order, MOVES * len(times)):
        order = order[np.argsort(times, kind="stable")]
        times = np.concatenate([held.time, chunk.time])[order]
    n = len(times)
    out = Requests(
        np.empty(n, np.int64), np.empty(n, np.int64), times, np.empty(n, np.int32), np.empty(n),
        np.empty(n if len(chunk.choice) else 0), np.empty(n, np.int64), np.empty(n, np.int64),
    )  # fmt: skip
    _pick(order, as_input(held), as_input(chunk), as_input(out))
    return out


def wait_for_opening(requests: Iterator[Requests], opens: Ticks) -> Iterator[Requests]:
    """Hold each request until the next moment of ``opens``; what comes after the last, for ever."""
    for chunk in requests:
        place = np.searchsorted(opens, chunk.time)
        kept = place < len(opens)
        early = chunk if kept.all() else chunk.take(np.flatnonzero(kept))
        if len(early):
            yield early.at(opens[place[kept]])
