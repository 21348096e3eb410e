"""Load patterns: who asks the loaded model, and when. One file each.

Each file has

``Options``
    its settings in a scenario;
``aim(options, budget) -> Aim``
    what its result is judged by;
``drive(service, options, budget, phase) -> Facts``
    asks the service, which keeps the times under the name ``phase``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from bench.measure.measurement import GeneratorCheck, Trial

CONTRACT = ("Options", "aim", "drive")


@dataclass(frozen=True)
class Aim:
    """What a load is judged by."""

    percentile: float | None
    """Of the response time of a query; ``None`` where only throughput counts."""
    queries: int
    """Fewest queries of a whole run, over all replicates together."""
    duration_s: float
    """Shortest run, in each replicate."""
    limit_s: float | None = None
    offered: float | None = None
    """Queries per second, where the load is open."""


@dataclass(frozen=True)
class Facts:
    """What a load knows beside the times it caused."""

    generator: GeneratorCheck | None = None
    trials: list[Trial] = field(default_factory=list)
