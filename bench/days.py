"""A simulated day to look at: its course, and its events one by one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import gather
from bench.cost import usd_per_hour
from bench.errors import InputError, UnknownName
from bench.simulate import BINS, Simulation, day_of, event_trace, first_job, table_of_days
from bench.store import Run
from bench.work import Work, asked_of, records_of


def seen(work: Work) -> None:
    """The first simulated day of every deployment, bin by bin, with what it costs."""
    asked, profiles, _ = work.known
    costed = {c.deployment: c for c in work.costs.deployments}
    found = []
    for deployment in asked.scenario.deployments:
        if deployment.name in costed:
            job = first_job(
                asked, deployment, profiles, work.simulation.seed, work.simulation.method
            )
            day = day_of(job)
            dollars = usd_per_hour(costed[deployment.name], day.held, BINS)
            found.append(day.model_copy(update={"usd_per_hour": dollars}))
    work.run.save_table("day.parquet", table_of_days(found))


def trace(
    folder: Path, name: str, start_s: float, length_s: float, allow_code: Sequence[Path] = ()
) -> dict[str, Any]:
    """The events of one deployment of a run, for a trace viewer.

    Raises:
        InputError: no such deployment, or it was not simulated.
    """
    run = Run.open(folder)
    asked = asked_of(run, allow_code).simulated
    simulation = run.load("simulation.json", Simulation)
    found = {d.name: d for d in asked.scenario.deployments}
    if name not in found:
        raise UnknownName("deployment", name, found, where="--deployment")
    result = next((d for d in simulation.deployments if d.deployment == name), None)
    if result is None or not result.replications:
        raise InputError(
            f"{name!r} was not simulated", where=str(folder),
            allowed="a deployment with a latency in the report",
        )  # fmt: skip
    profiles = gather.load_profiles(folder)
    with records_of(run):
        job = first_job(asked, found[name], profiles, simulation.seed, simulation.method)
        return event_trace(job, start_s, length_s)
