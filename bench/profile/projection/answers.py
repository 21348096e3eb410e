"""What is asked of a projection, and what it answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from bench.counts import Counts
from bench.errors import InputError
from bench.hardware import Key, PublishedResult, Regime, Setting
from bench.profile.projection.errors import NORMAL_90, Question

MEASURE = "Measure it there with `bench measure` and `bench keep`"
SHEET = "Give its data sheet: an arithmetic rate and the bandwidth of the memory"

Name = Literal["throughput", "latency", "energy"]


class Refused(InputError):
    """Nothing can be projected, and why."""


@dataclass(frozen=True)
class Anchor:
    """The network's time a sample that was measured somewhere."""

    device: str
    regime: Regime
    seconds: float
    software: str | None = None
    """As :attr:`Setting.software`; ``None``: whatever there is."""


@dataclass(frozen=True)
class Subject:
    """What is asked about."""

    title: str
    counts: Counts
    network: Key | None = None
    """Which of the published networks it is, if it is one."""
    model: str | None = None
    """Which of the benchmark's models."""
    anchors: Sequence[Anchor] = ()


@dataclass(frozen=True)
class Projected:
    """A figure with its error."""

    value: float
    log_error: float
    """Standard deviation of its logarithm: 90 % of the held-out results lay within 1.645 of it."""
    question: Question | None
    """What was known; ``None`` of a published figure."""
    source: str
    as_of: str | None = None
    setting: Setting | None = None
    rows: tuple[PublishedResult, ...] = field(default=(), repr=False)

    @property
    def within(self) -> float:
        """By this factor either way nine in ten of the held-out results lay."""
        return math.exp(NORMAL_90 * self.log_error)

    @property
    def published(self) -> bool:
        return self.question is None
