"""A Poisson process whose rate jumps between states: bursts that all sources share.

The time in a state is exponential, and the next state is any other with equal probability (a
Markov-modulated Poisson process; Fischer and Meier-Hellstern, Performance Evaluation 18, 1993).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from pydantic import Field, model_validator

from bench.arrivals import CHUNK, Chunk, Span
from bench.record import Record
from bench.units import PerSecondOrNone, ShortPeriod


class Phase(Record):
    """One state: the rate of one source in it, and how long it lasts on average."""

    rate: PerSecondOrNone
    mean_length: ShortPeriod


class Options(Record):
    """The states."""

    states: list[Phase] = Field(min_length=2, max_length=20)

    @model_validator(mode="after")
    def _some_rate(self) -> Options:
        if not any(state.rate for state in self.states):
            raise ValueError("at least one state needs a rate above zero")
        return self


def mean_rate(options: Options, sources: int) -> float:
    # With a uniform choice of the next state, each is visited equally often.
    time = sum(state.mean_length for state in options.states)
    return sources * sum(s.rate * s.mean_length for s in options.states) / time


def stream(options: Options, span: Span, rng: np.random.Generator) -> Iterator[Chunk]:
    return span.cut(_phases(options, span, rng))


def _phases(options: Options, span: Span, rng: np.random.Generator) -> Iterator[Chunk]:
    lengths = np.array([state.mean_length for state in options.states])
    state = int(rng.choice(len(lengths), p=lengths / lengths.sum()))
    now = 0.0
    while now < span.length_s:
        end = now + rng.exponential(lengths[state])
        rate = options.states[state].rate * span.sources
        while rate and now < min(end, span.length_s):
            stop = min(end, now + CHUNK / rate)
            # Given their number, the events of a Poisson process are uniform.
            count = int(rng.poisson(rate * (stop - now)))
            if count:
                yield Chunk(np.sort(rng.uniform(now, stop, count)), span.pick(count, rng))
            now = stop
        now = end
        state = int((state + rng.integers(1, len(lengths))) % len(lengths))
