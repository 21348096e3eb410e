"""Two sides of a program held against each other on one machine: a verdict that stops itself."""

from bench.gate.asked import SIDES, Asked, GateFile, Metric, SideName
from bench.gate.floor import Floor
from bench.gate.judge import EXIT_CODES, Judgement, judge
from bench.gate.prepare import Settings, of_suite, prepare
from bench.gate.session import Gated, OnLook, floor, gate, stored
from bench.gate.tables import (
    floor_table,
    junit,
    markdown,
    progress_line,
    recommended,
    sentences,
    table_of,
)
from bench.gate.trend import require_trend, trend

__all__ = [
    "EXIT_CODES",
    "SIDES",
    "Asked",
    "Floor",
    "GateFile",
    "Gated",
    "Judgement",
    "Metric",
    "OnLook",
    "Settings",
    "SideName",
    "floor",
    "floor_table",
    "gate",
    "judge",
    "junit",
    "markdown",
    "of_suite",
    "prepare",
    "progress_line",
    "recommended",
    "require_trend",
    "sentences",
    "stored",
    "table_of",
    "trend",
]
