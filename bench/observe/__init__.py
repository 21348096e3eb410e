"""Drive a live service in open loop, and keep every request's row."""

from bench.observe.asker import Asker, Schedule, Waves
from bench.observe.asks import Ask, asks_of
from bench.observe.driver import Driver
from bench.observe.loop import HandsOn, Loop
from bench.observe.observed_run import Asking, ObservedRun
from bench.observe.relay import Relay
from bench.observe.rows import (
    DONE,
    OBSERVED,
    Observed,
    answers_of,
    at_stage,
    beyond,
    column,
    columns_of,
    note_beyond,
    statuses_of,
    whole,
)
from bench.observe.schedule import schedule
from bench.observe.target import Target, observe_server, require_ready, visit

__all__ = [
    "DONE",
    "OBSERVED",
    "Ask",
    "Asker",
    "Asking",
    "Driver",
    "HandsOn",
    "Loop",
    "Observed",
    "ObservedRun",
    "Relay",
    "Schedule",
    "Target",
    "Waves",
    "answers_of",
    "asks_of",
    "at_stage",
    "beyond",
    "column",
    "columns_of",
    "note_beyond",
    "observe_server",
    "require_ready",
    "schedule",
    "statuses_of",
    "visit",
    "whole",
]
