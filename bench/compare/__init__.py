"""Which deployments keep the objective, which is the cheapest, and whether that can be told."""

from bench.compare.break_even import BreakEven, TrafficPoint
from bench.compare.capacity import PLANNED_UTILISATION, PartCapacity
from bench.compare.comparison import (
    SITE,
    Comparison,
    Ranked,
    compare,
    entry_of,
    how_sure,
    placed,
    reservations,
    tied,
)
from bench.compare.joint import Joint, joint
from bench.compare.objective import lasting
from bench.compare.sensitivity import MovedInput, Sensitivity
from bench.compare.swept import SweptRow, rows_of, table_of
from bench.compare.what_if import WhatIf, what_if

__all__ = [
    "PLANNED_UTILISATION",
    "SITE",
    "BreakEven",
    "Comparison",
    "Joint",
    "MovedInput",
    "PartCapacity",
    "Ranked",
    "Sensitivity",
    "SweptRow",
    "TrafficPoint",
    "WhatIf",
    "compare",
    "entry_of",
    "how_sure",
    "joint",
    "lasting",
    "placed",
    "reservations",
    "rows_of",
    "table_of",
    "tied",
    "what_if",
]
