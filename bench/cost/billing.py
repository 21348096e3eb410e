"""Held time → billed time, by the provider's rule."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bench.hardware import Billing
from bench.simulate import Holding


def billed_seconds(holdings: Sequence[Holding], billing: Billing) -> float:
    """Each holding rounded up to the granularity, and at least the minimum."""
    total = 0.0
    for holding in holdings:
        held = holding.end_s - holding.start_s
        units = math.ceil(max(held, billing.minimum) / billing.granularity - 1e-9)
        total += units * billing.granularity
    return total
