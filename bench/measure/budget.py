"""How much of everything is measured, in each fresh process."""

from __future__ import annotations

from bench.record import Record


class Budget(Record):
    """Counts and times per arm and process."""

    replicates: int
    """Fresh processes per arm."""
    warm_up_window: int
    """Batches in each of the two windows that must agree."""
    warm_up_limit: int
    fresh_pairs: int
    """Pairs of a new input and the same again."""
    batches_per_size: int
    duration_s: float
    """Every load runs at least so long, and at least for its number of queries."""
    limit_s: float
    """A load that has not reached its number of queries by then ends all the same."""
    single_stream: int
    multi_stream: int
    """Queries; each is of several samples."""
    server: int
    offline: int
    """Samples."""
    trial_s: float
    """Length of one trial of a capacity search."""
    power_s: float
    """Idle time that is metered where there is a sensor."""
    caveat: str | None = None


BUDGETS = {
    "smoke": Budget(
        replicates=1,
        warm_up_window=8,
        warm_up_limit=80,
        fresh_pairs=12,
        batches_per_size=16,
        duration_s=0,
        limit_s=20,
        single_stream=670,
        multi_stream=64,
        server=670,
        offline=256,
        trial_s=2,
        power_s=5,
        caveat="smoke budget: one process, a few seconds; a first look, not a result to publish",
    ),
    # One process of a pair: as many single queries as a p99 needs, and little else.
    "gate": Budget(
        replicates=1,
        warm_up_window=8,
        warm_up_limit=80,
        fresh_pairs=12,
        batches_per_size=4,
        duration_s=0,
        limit_s=60,
        single_stream=1_000,
        multi_stream=64,
        server=1_000,
        offline=512,
        trial_s=2,
        power_s=1,
        caveat="gate budget: one process of a pair, which says nothing alone",
    ),
    "standard": Budget(
        replicates=3,
        warm_up_window=16,
        warm_up_limit=400,
        fresh_pairs=24,
        batches_per_size=100,
        duration_s=20,
        limit_s=120,
        single_stream=670,
        multi_stream=670,
        server=670,
        offline=1024,
        trial_s=10,
        power_s=10,
    ),
    # MLPerf inference rules: 600 s, 64 / 662 / 662 queries or more, 24,576 samples offline.
    "official": Budget(
        replicates=3,
        warm_up_window=32,
        warm_up_limit=1_000,
        fresh_pairs=64,
        batches_per_size=700,
        duration_s=600,
        limit_s=7_200,
        single_stream=1_024,
        multi_stream=670,
        server=6_900,
        offline=24_576,
        trial_s=60,
        power_s=60,
    ),
}
