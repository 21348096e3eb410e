"""How much of everything is measured."""

from __future__ import annotations

from bench.record import Record


class Budget(Record):
    """Counts per arm."""

    warm_up_window: int
    """Batches in each of the two windows that must agree."""
    warm_up_limit: int
    batches_per_size: int
    single_stream: int
    """Requests, one at a time; 662 is the floor for a p99."""
    caveat: str | None = None


BUDGETS = {
    "smoke": Budget(
        warm_up_window=8,
        warm_up_limit=80,
        batches_per_size=16,
        single_stream=670,
        caveat="smoke budget: one process, a few seconds; a first look, not a result to publish",
    ),
    "standard": Budget(
        warm_up_window=16, warm_up_limit=400, batches_per_size=100, single_stream=2_010
    ),
    "official": Budget(
        warm_up_window=32, warm_up_limit=1_000, batches_per_size=700, single_stream=24_576
    ),
}
