"""MLServer's adaptive batching: batches are formed at the door, whether or not a server is free.

A full batch is formed at once; a smaller one when its oldest request has waited ``max_wait``. It then
waits for a server as it is, and nobody joins it any more: under load there are more and smaller batches
than ``dynamic`` makes of the same two limits (``AdaptiveBatcher._batch_requests`` of MLServer 1.7).
"""

from __future__ import annotations

from bench.batching import Expected, Rule
from bench.batching.dynamic import Options
from bench.ticks import ticks

__all__ = ["Options", "rule"]


def rule(options: Options, expected: Expected) -> Rule:
    patience = (ticks(options.max_wait),) * (options.max_batch - 1)
    return Rule(options.max_batch, patience, at_door=True)
