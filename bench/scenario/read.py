"""Scenario file → record."""

from __future__ import annotations

from pathlib import Path

from bench.documents import Source, read
from bench.errors import InputError
from bench.scenario.schema import Scenario, Suite


def read_scenario(path: Path) -> tuple[Scenario, Source]:
    """Read a scenario file; the source is kept for messages about its lines.

    Raises:
        InputError: with file, line and column of the fault.
    """
    source = read(path)
    if is_suite(source):
        raise InputError(
            "this file only measures: it lists arms, and no deployments to compare",
            where=source.where(("arms",)),
            todo=f"Run it with: bench measure {path}",
        )
    return source.record(Scenario), source


def read_suite(path: Path) -> tuple[Suite, Source] | None:
    """Read a file that only measures; ``None`` if it is a whole scenario.

    Raises:
        InputError: with file, line and column of the fault.
    """
    source = read(path)
    return (source.record(Suite), source) if is_suite(source) else None


def is_suite(source: Source) -> bool:
    """Whether a file lists arms to measure, in place of deployments."""
    return isinstance(source.data, dict) and "arms" in source.data
