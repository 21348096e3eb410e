"""Two sides of a program held against each other on one machine: a verdict that stops itself."""

from bench.gate.asked import SIDES, Asked, GateFile, Metric, SideName, of_suite, prepare
from bench.gate.judge import EXIT_CODES, Judgement, judge
from bench.gate.session import Gated, OnLook, gate
from bench.gate.tables import junit, markdown, progress_line, sentences, table_of

__all__ = [
    "EXIT_CODES",
    "SIDES",
    "Asked",
    "GateFile",
    "Gated",
    "Judgement",
    "Metric",
    "OnLook",
    "SideName",
    "gate",
    "judge",
    "junit",
    "markdown",
    "of_suite",
    "prepare",
    "progress_line",
    "sentences",
    "table_of",
]
