"""A binary heap of numbered things, each with one key that can be changed or taken out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bench.simulate.compiled import compiled
from bench.ticks import FOREVER, Ticks


class Heap(NamedTuple):
    """Ordered by key, then by number: ties never depend on history."""

    key: Ticks
    order: Ticks
    """Numbers in heap order."""
    place: Ticks
    """By number: its place in ``order``, or -1."""
    size: Ticks
    """One element."""


def new_heap(numbers: int) -> Heap:
    return Heap(
        np.zeros(numbers, np.int64),
        np.zeros(numbers, np.int64),
        np.full(numbers, -1, np.int64),
        np.zeros(1, np.int64),
    )


@compiled
def top_key(heap: Heap) -> int:
    """The smallest key; ``FOREVER`` if there is none."""
    if heap.size[0] == 0:
        return FOREVER
    return heap.key[heap.order[0]]


@compiled
def put(heap: Heap, number: int, key: int) -> None:
    """Insert ``number``, or change its key."""
    place = heap.place[number]
    if place < 0:
        place = heap.size[0]
        heap.size[0] += 1
        heap.key[number] = key
        _up(heap, number, place)
    elif key < heap.key[number]:
        heap.key[number] = key
        _up(heap, number, place)
    else:
        heap.key[number] = key
        _down(heap, number, place)


@compiled
def take(heap: Heap) -> int:
    """Remove the number with the smallest key."""
    number = heap.order[0]
    remove(heap, number)
    return number


@compiled
def remove(heap: Heap, number: int) -> None:
    """Take ``number`` out, if it is in."""
    place = heap.place[number]
    if place < 0:
        return
    heap.place[number] = -1
    heap.size[0] -= 1
    last = heap.size[0]
    if place != last:
        moved = heap.order[last]
        _up(heap, moved, place)
        _down(heap, moved, heap.place[moved])


@compiled
def _before(heap: Heap, a: int, b: int) -> bool:
    return heap.key[a] < heap.key[b] or (heap.key[a] == heap.key[b] and a < b)


@compiled
def _up(heap: Heap, number: int, place: int) -> None:
    while place > 0:
        above = (place - 1) >> 1
        other = heap.order[above]
        if not _before(heap, number, other):
            break
        heap.order[place] = other
        heap.place[other] = place
        place = above
    heap.order[place] = number
    heap.place[number] = place


@compiled
def _down(heap: Heap, number: int, place: int) -> None:
    size = heap.size[0]
    while True:
        below = 2 * place + 1
        if below >= size:
            break
        other = heap.order[below]
        if below + 1 < size and _before(heap, heap.order[below + 1], other):
            below += 1
            other = heap.order[below]
        if not _before(heap, other, number):
            break
        heap.order[place] = other
        heap.place[other] = place
        place = below
    heap.order[place] = number
    heap.place[number] = place
