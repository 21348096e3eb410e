"""Links between sites and servers, compiled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from bench.requests import Requests
from bench.simulate.compiled import compiled
from bench.simulate.plane import Link, occupied
from bench.ticks import FOREVER, Ticks

Column = np.ndarray[Any, Any]
MOVES = 64
"""Beyond so many places that a request moves on average, sorting anew is quicker."""

message = compiled(occupied)


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
    left = min(begin + length, FOREVER)
    free[site] = left
    return left


@compiled
def site_of(source: int, sites: int) -> int:
    return 0 if sites == 1 else source % sites  # a division takes as long as all the rest


@compiled
def _send(
    time: Ticks,
    source: np.ndarray,
    size: np.ndarray,
    delay: Ticks,
    free: Ticks,
    length: int,
    per_unit: float,
    first: Ticks,
    starts: Ticks,
    ends: Ticks,
    reach: Ticks,
) -> None:
    sites = len(free)
    for i in range(len(time)):
        site = site_of(source[i], sites)
        took = message(length, per_unit, size[i]) if len(size) else length
        reach[i] = transmit(free, site, time[i], took, first, starts, ends) + delay[i]


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
def _pick(order: Ticks, held: Column, chunk: Column, out: Column) -> None:
    """Those of ``held`` followed by ``chunk``, in this order."""
    before = len(held)
    for i in range(len(order)):
        place = order[i]
        out[i] = held[place] if place < before else chunk[place - before]


def cross(requests: Iterator[Requests], link: Link) -> Iterator[Requests]:
    """The same requests by the time at which they reach the other end: the way up is behind them.

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
            chunk.time, chunk.source, chunk.size, chunk.up, free, link.transmit, link.per_unit,
            outages.first, outages.windows.start, outages.windows.end, reach,
        )  # fmt: skip
        safe = int(chunk.time[-1]) + link.transmit
        held = _merged(held, replace(chunk, time=reach, up=np.zeros(0, np.int64)))
        split = int(np.searchsorted(held.time, safe, side="right"))
        yield held.take(slice(0, split))
        held = held.take(slice(split, None))
    if len(held):
        yield held


def _merged(held: Requests, chunk: Requests) -> Requests:
    """Both, by time; those that were sent first go first where times are equal."""
    times = np.concatenate([held.time, chunk.time])
    if (times[1:] >= times[:-1]).all():
        return Requests.joined(held, chunk)
    order = np.arange(len(times))
    if not _insert(times, order, MOVES * len(times)):
        order = order[np.argsort(times, kind="stable")]
        times = np.concatenate([held.time, chunk.time])[order]
    columns = []
    for old, new in zip(held.columns, chunk.columns, strict=True):
        if new is chunk.time:  # in order already
            columns.append(times)
            continue
        columns.append(np.empty(len(times) if len(new) else 0, new.dtype))
        if len(new):  # what nothing asks for has no values
            _pick(order, old, new, columns[-1])
    return Requests(*columns)


def wait_for_opening(requests: Iterator[Requests], opens: Ticks) -> Iterator[Requests]:
    """Hold each request until the next moment of ``opens``; what comes after the last, for ever."""
    for chunk in requests:
        place = np.searchsorted(opens, chunk.time)
        kept = place < len(opens)
        early = chunk if kept.all() else chunk.take(np.flatnonzero(kept))
        if len(early):
            yield early.at(opens[place[kept]])
