"""From profiles to a comparison, with no run and no folder."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from bench import gather
from bench.compare import Comparison, compare
from bench.cost import Costs, cost_simulation
from bench.executor import opened
from bench.prepare import Settings, prepare
from bench.scenario import ResolvedScenario
from bench.simulate import Simulation, simulate
from bench.work import Notify, Profiles, quiet


def simulate_only(
    path: Path, profiles: Profiles, settings: Settings, notify: Notify = quiet
) -> tuple[ResolvedScenario, Simulation, Costs, Comparison]:
    """Simulate, cost and compare a scenario from profiles that were measured before."""
    prepared = prepare(path, settings)
    gather.require_task(prepared, profiles)
    found, unknown = gather.from_elsewhere(prepared, profiles, settings.catalogue)
    known = {**profiles, **found}
    asked, excluded = gather.usable(prepared, known, unknown)
    with opened(settings.engine) as workers:
        simulation = simulate(
            asked, known, settings.seed, workers, partial(notify, "simulate"), settings.method
        )
    costs = cost_simulation(asked, known, simulation)
    return asked, simulation, costs, compare(asked, known, simulation, costs, excluded)
