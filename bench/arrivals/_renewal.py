"""Independent sources with independent gaps, started in equilibrium."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from bench.arrivals import CHUNK, Chunk, Floats, Span

Draw = Callable[[int], Floats]


def renewal(span: Span, rate: float, first: Draw, gaps: Draw) -> Iterator[Chunk]:
    """Chunk by chunk of active time.

    Args:
        rate: of one source.
        first: draws the time to each source's first arrival.
        gaps: draws so many gaps.
    """
    following = first(span.sources)
    width = CHUNK / (rate * span.sources)
    end = 0.0
    while end < span.length_s:
        end += width
        times: list[Floats] = []
        source: list[np.ndarray] = []
        while (due := np.flatnonzero(following < end)).size:
            start = following[due]
            count = int(max((end - start.min()) * rate * 1.1, 1)) + 1
            steps = np.cumsum(gaps(due.size * count).reshape(due.size, count), axis=1)
            reached = np.concatenate([start[:, None], start[:, None] + steps], axis=1)
            # The first arrival beyond the chunk is kept for the next; what was drawn after it,
            # independent of everything, is dropped.
            inside = reached < end
            beyond = np.minimum(inside.sum(axis=1), count)
            following[due] = reached[np.arange(due.size), beyond]
            inside[np.arange(due.size), beyond] = False
            times.append(reached[inside])
            source.append(np.repeat(due, inside.sum(axis=1)))
        if times:
            joined, owner = np.concatenate(times), np.concatenate(source).astype(np.int32)
            order = np.argsort(joined, kind="stable")
            yield Chunk(joined[order], owner[order])
