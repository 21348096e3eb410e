"""Offers and a simulation → the ledger of the (mean) day, and what a request costs.

The day is the accounting period. What is paid by the month or bought for years enters with one
day's share.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from pydantic import Field

from bench.cost.embodied import Embodied, embodied
from bench.cost.energy import EnergyUse, energy_use
from bench.cost.held import Held, held_of
from bench.cost.lines import Ledger, Line, mean_ledger
from bench.cost.owned import owned_lines
from bench.cost.rented import compute_lines, service_lines
from bench.hardware import RentedOffer
from bench.profile import Profile
from bench.record import SCHEMA_VERSION, Estimate, Record
from bench.scenario import Deployment, ResolvedScenario
from bench.simulate import DeploymentResult, Replication, Simulation, Usage
from bench.stats import interval_of
from bench.units import MONTH_DAYS

Interval = Callable[[Sequence[float]], Estimate]
NOT_COMPUTED = Estimate.absent("the version that made this record did not compute it")
MOVES_WITH_MACHINES = ("compute", "spot waste")


class CostedDeployment(Record):
    """What one deployment costs and draws: the mean day, and the intervals over replications."""

    deployment: str
    draws: bool = False
    """Whether replications draw what is not known of it: intervals are then of the truth, not of
    the mean."""
    ledger: Ledger
    """Quantities are means over the replications."""
    usd_per_hour: Estimate
    usd_per_day: Estimate
    usd_per_month: Estimate
    """Of 730 hours."""
    usd_per_million: Estimate
    """Per million answered requests."""
    usd_per_million_useful: Estimate
    """Per million requests answered within the SLO."""
    usd_per_million_days: list[float]
    """One value per replication, for paired comparisons; fewer where one answered nothing."""
    energy: list[EnergyUse]
    """Of the first replication, part by part."""
    kwh_per_day: Estimate
    carbon_kg_per_day: Estimate
    carbon_kg_per_million: Estimate
    """Of the energy alone."""
    embodied: list[Embodied] = Field(default=[])
    """Of making the machines, part by part: the same in every replication."""
    embodied_kg_per_million: Estimate = NOT_COMPUTED


class Costs(Record):
    """Every deployment that could be simulated."""

    schema_version: int = SCHEMA_VERSION
    deployments: list[CostedDeployment]


def usd_per_hour(costed: CostedDeployment, held: Sequence[float], bins: int) -> list[float]:
    """A day's cost over its ``bins``: what is rented follows what is held, the rest is even.

    Bins beyond the day have what is still held in them. The mean over a day is the total ÷ 24.
    """
    lines = costed.ledger.lines
    compute = float(sum(line.amount_usd for line in lines if line.item in MOVES_WITH_MACHINES))
    rest = float(costed.ledger.total_usd) - compute
    mean = sum(held) / bins
    moving = [compute * number / mean if mean else 0.0 for number in held]
    return [(usd + (rest if place < bins else 0.0)) / 24 for place, usd in enumerate(moving)]


def cost_simulation(
    scenario: ResolvedScenario, profiles: Mapping[str, Profile], simulation: Simulation
) -> Costs:
    """Cost every deployment that was simulated; overloaded ones have no usage to cost.

    ``profiles``: by arm.
    """
    asked = {d.name: d for d in scenario.scenario.deployments}
    return Costs(
        deployments=[
            cost_deployment(scenario, profiles, asked[result.deployment], result)
            for result in simulation.deployments
            if result.replications
        ]
    )


def cost_deployment(
    scenario: ResolvedScenario,
    profiles: Mapping[str, Profile],
    deployment: Deployment,
    result: DeploymentResult,
) -> CostedDeployment:
    """The ledger of one deployment, from its replications."""
    days = result.replications
    parts = [
        list(held_of(scenario, profiles, deployment, usage, day.days))
        for day, usage in zip(days, with_fleets([day.usage for day in days]), strict=True)
    ]
    ledgers = [Ledger.of([line for held in day for line in lines_of(held)]) for day in parts]
    energy = [[energy_use(held) for held in day] for day in parts]
    interval = partial(interval_of, draws=result.draws)
    totals = [float(ledger.total_usd) for ledger in ledgers]
    pairs = list(zip(totals, result.replications, strict=True))
    per_million = [usd * day.days / day.done * 1e6 for usd, day in pairs if day.done]
    useful = [usd * day.days / day.within_slo * 1e6 for usd, day in pairs if day.within_slo]
    return CostedDeployment(
        deployment=deployment.name,
        draws=result.draws,
        ledger=mean_ledger(ledgers),
        usd_per_hour=interval([usd / 24 for usd in totals]),
        usd_per_day=interval(totals),
        usd_per_month=interval([usd * MONTH_DAYS for usd in totals]),
        usd_per_million=interval(per_million)
        if len(per_million) == len(pairs)
        else Estimate.absent(_unanswered(result.replications)),
        usd_per_million_useful=interval(useful)
        if len(useful) == len(pairs)
        else Estimate.absent("on some days no request was answered within the SLO"),
        usd_per_million_days=per_million,
        energy=energy[0],
        kwh_per_day=_over_days(
            [_sum([use.kwh for use in day]) for day in energy], energy[0], interval
        ),
        **_carbon(energy, result.replications, interval),
        **_embodied(parts[0], result.replications, interval),
    )


def with_fleets(usages: Sequence[Mapping[str, Usage]]) -> list[dict[str, Usage]]:
    """Each replication with the machines that are bought for all of them, part by part.

    Nobody buys, or reserves for a year, for the day that comes: what is there is the most that any
    replication held at once, and at least one machine, used or not.
    """
    fleets = (
        {name: max(1, *(usage[name].devices for usage in usages)) for name in usages[0]}
        if usages
        else {}
    )
    return [
        {name: used.model_copy(update={"devices": fleets[name]}) for name, used in usage.items()}
        for usage in usages
    ]


def lines_of(held: Held) -> Iterator[Line]:
    """Every line of one part."""
    machine = held.offer.machine
    if isinstance(machine, RentedOffer):
        yield from compute_lines(held, machine)
    else:
        yield from owned_lines(held, machine)
    if held.part.network is not None:
        yield from service_lines(held)


def _carbon(
    energy: Sequence[Sequence[EnergyUse]], days: Sequence[Replication], interval: Interval
) -> dict[str, Estimate]:
    kg = [_sum([use.carbon_kg for use in day]) for day in energy]
    per_million = [
        None if mass is None or not day.done else mass * day.days / day.done * 1e6
        for mass, day in zip(kg, days, strict=True)
    ]
    return {
        "carbon_kg_per_day": _over_days(kg, energy[0], interval),
        "carbon_kg_per_million": _over_days(per_million, energy[0], interval),
    }


def _embodied(
    parts: Sequence[Held], days: Sequence[Replication], interval: Interval
) -> dict[str, Any]:
    made = [embodied(held) for held in parts]
    kg = _sum([one.kg for one in made])
    if kg is None or not all(day.done for day in days):
        unknown = [one.formula for one in made if one.kg is None]
        per_million = Estimate.absent("; ".join(unknown) or _unanswered(days))
    else:
        per_million = interval([kg * day.days / day.done * 1e6 for day in days])
    return {"embodied": made, "embodied_kg_per_million": per_million}


def _unanswered(days: Sequence[Replication]) -> str:
    none = sum(not day.done for day in days)
    return f"in {none} of {len(days)} replications no request was answered"


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def _over_days(
    values: Sequence[float | None], energy: Sequence[EnergyUse], interval: Interval
) -> Estimate:
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        reasons = [use.carbon_reason for use in energy if use.carbon_reason]
        return Estimate.absent("; ".join(dict.fromkeys(reasons)) or "nothing was answered")
    return interval(known)


def floor_of(
    scenario: ResolvedScenario,
    profiles: Mapping[str, Profile],
    deployment: Deployment,
    usage: Mapping[str, Usage],
    days: int,
) -> tuple[float, float | None]:
    """Dollars and kilograms of CO2 equivalents a day for ``usage`` by part, without a simulation.

    The second is ``None`` where nothing says what a machine draws.
    """
    parts = list(held_of(scenario, profiles, deployment, with_fleets([usage])[0], days))
    return usd_of(parts), _sum([energy_use(held).carbon_kg for held in parts])


def usd_per_million_in(
    scenario: ResolvedScenario,
    profiles: Mapping[str, Profile],
    deployment: Deployment,
    result: DeploymentResult,
    number: int,
) -> float | None:
    """What replication ``number`` alone costs; ``None`` where it answered nothing."""
    day = result.replications[number]
    if not day.done:
        return None
    usage = with_fleets([one.usage for one in result.replications])[number]
    total = usd_of(held_of(scenario, profiles, deployment, usage, day.days))
    return total * day.days / day.done * 1e6


def usd_of(parts: Iterable[Held]) -> float:
    """Dollars a day."""
    return float(Ledger.of([line for held in parts for line in lines_of(held)]).total_usd)
