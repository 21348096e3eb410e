"""Scenario file → record."""

from __future__ import annotations

from pathlib import Path

from bench.documents import Source, read
from bench.errors import InputError
from bench.scenario.schema import Scenario


def read_scenario(path: Path) -> tuple[Scenario, Source]:
    """Read a scenario file; the source is kept for messages about its lines.

    Raises:
        InputError: with file, line and column of the fault.
    """
    source = read(path)
    scenario = source.record(Scenario)
    seen: set[str] = set()
    for index, deployment in enumerate(scenario.deployments):
        if deployment.name in seen:
            raise InputError(
                f"the deployment name {deployment.name!r} appears twice",
                where=source.where(("deployments", index, "name")),
            )
        seen.add(deployment.name)
    return scenario, source
