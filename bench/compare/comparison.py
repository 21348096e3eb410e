"""The ranking and the verdict."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from pydantic import Field

from bench.compare.capacity import PartCapacity, capacity_plan, is_accelerator_of, misfit
from bench.compare.caveats import caveats_of
from bench.compare.joint import DRAWS, Joint, joint
from bench.compare.objective import Placed, lasting, violations
from bench.cost import NOT_COMPUTED, CostedDeployment, Costs
from bench.profile import Profile
from bench.record import SCHEMA_VERSION, Caveat, Estimate, Origin, Provenance, Record, worst
from bench.scenario import Deployment, Objective, ResolvedScenario
from bench.simulate import DeploymentResult, Simulation, largest_batch, workload_in_words
from bench.stats import draw_interval, mean_interval
from bench.units import format_chance, format_clock, format_percent, format_seconds, format_usd

NEGLIGIBLE = 0.001
"""Of the mean cost: what is worth less is worth nothing."""
DECIDES = 0.1
"""Of the variance of what lies between the two best: an input with less of it does not decide."""
SITE = "country of the site"
"""What an origin is of that says where machines of one's own are taken to be."""


class Ranked(Record):
    """One deployment in the ranking."""

    rank: int | None
    """Among the feasible, cheapest first; ``None`` if infeasible."""
    deployment: str
    kind: Literal["batch", "real_time", "edge", "hybrid", "line"]
    offer: str
    usd_per_million: Estimate
    usd_per_million_useful: Estimate
    usd_per_month: Estimate
    carbon_kg_per_million: Estimate
    """Of the energy alone."""
    embodied_kg_per_million: Estimate = NOT_COMPUTED
    """Of making the machines."""
    p50_s: Estimate
    p99_s: Estimate
    slo_attainment: Estimate
    utilisation: Estimate
    feasible: bool
    reasons: list[str]
    """Why it is infeasible."""
    unshown: str | None = None
    """Why it cannot be told whether it keeps the objective, where nothing else stands against it."""
    cheapest_share: float | None
    """Share of the draws of everything that is uncertain in which it is the cheapest that keeps the
    objective. ``None`` if it was not simulated."""
    tied_with_cheaper: bool
    """True if the paired difference to the next cheaper one includes zero."""
    provenance: Provenance
    """The weakest of all inputs."""
    origins: list[Origin]
    caveats: list[Caveat] = Field(default=[])
    """What its figures leave out."""


class Comparison(Record):
    """All deployments, the feasible ones first and by cost."""

    schema_version: int = SCHEMA_VERSION
    verdict: str
    objective_met: bool
    ranking: list[Ranked]
    excluded: dict[str, str]
    """Deployments that could not be compared, and why."""
    capacity: list[PartCapacity] = Field(default=[])
    """Choice by part, in the order of the scenario."""
    caveats: list[Caveat] = Field(default=[])
    """What the figures of all deployments leave out."""
    joint: Joint | None = None
    """How sure the choice is; ``None`` in comparisons of before."""


def compare(
    scenario: ResolvedScenario,
    profiles: Mapping[str, Profile],
    simulation: Simulation,
    costs: Costs,
    excluded: Mapping[str, str],
    draws: int = DRAWS,
) -> Comparison:
    """Rank the deployments of a scenario.

    Args:
        excluded: those that were left out before, and why.
        draws: of all that is uncertain together; without any, of the replications alone.
    """
    costed = {c.deployment: c for c in costs.deployments}
    entries = [
        entry_of(scenario, profiles, result, costed.get(result.deployment))
        for result in simulation.deployments
    ]
    sure = joint(
        scenario, profiles, simulation.deployments, _able(scenario, profiles, simulation),
        {entry.deployment for entry in entries if entry.feasible}, draws,
    )  # fmt: skip
    entries = [
        entry.model_copy(update={"cheapest_share": _share(sure, entry.deployment, costed)})
        for entry in entries
    ]
    entries.sort(key=lambda entry: (not entry.feasible, _usd(entry)))
    ranked = []
    for index, entry in enumerate(entries):
        same = (
            index > 0
            and entry.feasible
            and tied(costed[entries[index - 1].deployment], costed[entry.deployment])
        )
        rank = index + 1 if entry.feasible else None
        ranked.append(entry.model_copy(update={"rank": rank, "tied_with_cheaper": same}))
    return Comparison(
        verdict=_verdict(scenario.scenario.objective, ranked, sure, simulation.caveats),
        objective_met=any(entry.feasible for entry in ranked),
        ranking=ranked,
        excluded=dict(excluded),
        capacity=[
            part
            for result in simulation.deployments
            for part in capacity_plan(
                scenario, profiles, _deployment(scenario, result.deployment), result
            )
        ],
        caveats=simulation.caveats,
        joint=sure,
    )


def entry_of(
    scenario: ResolvedScenario,
    profiles: Mapping[str, Profile],
    result: DeploymentResult,
    costed: CostedDeployment | None,
) -> Ranked:
    """One deployment judged by itself: no rank, and nothing of the others."""
    deployment = _deployment(scenario, result.deployment)
    parts = placed(scenario, profiles, deployment)
    reasons = violations(scenario.scenario.objective, result, parts)
    unknown = Estimate.absent(result.impossible or "not simulated")
    origins = _origins(scenario, profiles, deployment, costed)
    return Ranked(
        rank=None,
        deployment=result.deployment,
        kind=deployment.kind,
        offer=" + ".join(scenario.offers[name].name for name in deployment.parts),
        usd_per_million=costed.usd_per_million if costed else unknown,
        usd_per_million_useful=costed.usd_per_million_useful if costed else unknown,
        usd_per_month=costed.usd_per_month if costed else unknown,
        carbon_kg_per_million=costed.carbon_kg_per_million if costed else unknown,
        embodied_kg_per_million=costed.embodied_kg_per_million if costed else unknown,
        p50_s=result.response_s["p50"],
        p99_s=result.response_s["p99"],
        slo_attainment=result.slo_attainment,
        utilisation=result.utilisation,
        feasible=not reasons,
        reasons=reasons,
        unshown=result.unjudged if len(reasons) == 1 else None,
        cheapest_share=None,
        tied_with_cheaper=False,
        provenance=worst(origin.provenance for origin in origins),
        origins=origins,
        caveats=caveats_of(scenario, deployment, result, parts),
    )


def placed(
    scenario: ResolvedScenario, profiles: Mapping[str, Profile], deployment: Deployment
) -> list[Placed]:
    """What answers, on what, and where it stands; ``profiles`` by arm."""
    found = []
    for name, part in deployment.parts.items():
        arm, offer = scenario.arms[name], scenario.offers[name]
        profile = profiles[arm.name]
        unfit = misfit(part, profile, offer, arm.device)
        accelerated = is_accelerator_of(offer, arm.device)
        answers = name in deployment.answering
        found.append(Placed(profile, offer, scenario.regions[name], unfit, answers, accelerated))
    return found


def _deployment(scenario: ResolvedScenario, name: str) -> Deployment:
    return next(d for d in scenario.scenario.deployments if d.name == name)


def _able(
    scenario: ResolvedScenario, profiles: Mapping[str, Profile], simulation: Simulation
) -> set[str]:
    """The deployments that keep all that no replication changes."""
    objective = scenario.scenario.objective
    return {
        result.deployment
        for result in simulation.deployments
        if not lasting(
            objective, placed(scenario, profiles, _deployment(scenario, result.deployment))
        )
    }


def _share(sure: Joint, name: str, costed: Collection[str]) -> float | None:
    """Of what was simulated; it has none that something lasting stands against."""
    return sure.chances.get(name, 0.0) if name in costed else None


def _origins(
    scenario: ResolvedScenario,
    profiles: Mapping[str, Profile],
    deployment: Deployment,
    costed: CostedDeployment | None,
) -> list[Origin]:
    origins: list[Origin] = []
    for name, part in deployment.parts.items():
        device, profile = scenario.arms[name].device, profiles[scenario.arms[name].name]
        borrowed = profile.borrowed(largest_batch(part.batching))
        origins += [
            profile.origin,
            *([borrowed] if borrowed else []),
            Origin(
                subject=f"speed of {part.offer}",
                provenance="assumed",
                source=f"taken to be that of {device.title!r}. {device.note}",
            ),
        ]
        chosen = [] if part.network is None else ["network", "node start and image pull"]
        if part.spot is not None:
            chosen.append("life of a spot node")
        origins += [
            Origin(subject=subject, provenance="assumed", source="the scenario")
            for subject in chosen
        ]
        origins += _assumed_country(scenario, name)
    workload = workload_in_words(scenario.scenario.workload)
    source = f"the scenario{f': {workload}' if workload else ''}"
    origins.append(Origin(subject="workload", provenance="assumed", source=source))
    for line in costed.ledger.lines if costed else []:
        origins += line.origins
    return [origin for place, origin in enumerate(origins) if origin not in origins[:place]]


def _assumed_country(scenario: ResolvedScenario, part: str) -> list[Origin]:
    """That nobody said where a machine of one's own stands, and so which grid feeds it."""
    region, machine = scenario.regions[part], scenario.offers[part].machine
    if scenario.scenario.workload.country or machine.kind == "rented" or region is None:
        return []
    source = f"taken to be {region.country}, as regions.yaml has it; workload.country says another"
    return [Origin(subject=SITE, provenance="assumed", source=source)]


def _usd(entry: Ranked) -> float:
    """For ordering: what has no cost comes last."""
    value = entry.usd_per_million.value
    return math.inf if value is None else value


def tied(cheaper: CostedDeployment, dearer: CostedDeployment) -> bool:
    """Days are paired: both deployments met the same requests, and drew the same projections."""
    left, right = cheaper.usd_per_million_days, dearer.usd_per_million_days
    if len(left) != len(right):  # one answered nothing in some replication: there are no pairs
        return True
    differences = [b - a for a, b in zip(left, right, strict=True)]
    draws = cheaper.draws or dearer.draws
    interval = draw_interval(differences, logs=False) if draws else mean_interval(differences)
    return interval.low is None or interval.low <= 0


def _verdict(
    objective: Objective, ranked: Sequence[Ranked], sure: Joint, of_all: Sequence[Caveat]
) -> str:
    asked = _asked(objective)
    feasible = [entry for entry in ranked if entry.feasible]
    if not feasible:
        unshown = [entry for entry in ranked if entry.unshown]
        if unshown:
            return _not_shown(asked, ranked, unshown) + reservations(unshown[:1], of_all)
        closest = ranked[0]
        return (
            f"None of {len(ranked)} deployments meets {asked}; the cheapest, "
            f"{closest.deployment}, fails because {'; '.join(closest.reasons)}."
        ) + reservations([closest], of_all)
    best = feasible[0]
    cost = _cost(best)
    sentence = f"{best.deployment} ({best.kind.replace('_', '-')}) meets {asked} at {cost}"
    tied = []
    for entry in feasible[1:]:
        if not entry.tied_with_cheaper:
            break
        tied.append(entry.deployment)
    if tied:
        sentence += f", not distinguishable from {', '.join(tied)}"
    elif len(feasible) > 1:
        second = feasible[1]
        sentence += f"; next is {second.deployment} at {format_usd(second.usd_per_million.value)}"
    else:
        sentence += ", the only one that does"
    cheaper = [entry for entry in ranked if not entry.feasible and _usd(entry) < _usd(best)]
    if cheaper:
        entry = min(cheaper, key=_usd)
        sentence += (
            f"; {entry.deployment} would cost {format_usd(entry.usd_per_million.value)} "
            f"but {entry.reasons[0]}"
        )
    named = [entry for entry in feasible if entry is best or entry.deployment in tied]
    return sentence + "." + how_sure(sure, best.deployment) + reservations(named, of_all)


def how_sure(sure: Joint, name: str) -> str:
    """With what probability a deployment is the cheapest, and what would tell most, as a sentence."""
    if not sure.inputs or not sure.worth:
        return ""
    most = sure.worth[0]
    what = f"{most.inputs[0]}{f' (and {len(most.inputs) - 1} of its source)' if most.inputs[1:] else ''}"
    said = (
        f" Over {sure.inputs} uncertain inputs, it is the cheapest with a probability of "
        f"{format_chance(sure.chances[name])}"
    )
    if most.usd_per_million >= NEGLIGIBLE * sure.means[name]:
        worth = format_usd(most.usd_per_million)
        return f"{said}; find out first: {what}, worth {worth} per million."
    if most.decides < DECIDES:
        return f"{said}; hardly any of them moves what lies between it and the next."
    return f"{said}; what lies between it and the next depends most on {what}."


def _not_shown(asked: str, ranked: Sequence[Ranked], unshown: Sequence[Ranked]) -> str:
    names = ", ".join(entry.deployment for entry in unshown)
    others = f"; of {len(ranked)} deployments, no other does" if len(unshown) < len(ranked) else ""
    return f"Not shown: whether {names} meets {asked}: {unshown[0].unshown}{others}."


def reservations(named: Sequence[Ranked], of_all: Sequence[Caveat] = ()) -> str:
    """The caveats of the deployments that a verdict names, as a sentence that follows it."""
    said = [caveat.text for caveat in of_all]
    said += [f"{entry.deployment}: {caveat.text}" for entry in named for caveat in entry.caveats]
    return f" Mind: {'; '.join(said)}." if said else ""


def _cost(entry: Ranked) -> str:
    """Per million requests; where none was answered in some replication, of a month."""
    if entry.usd_per_million.value is None:
        return f"{format_usd(entry.usd_per_month.value)} a month"
    return f"{format_usd(entry.usd_per_million.value)} per million"


def _asked(objective: Objective) -> str:
    if objective.response is not None:
        return f"p{objective.response.percentile:g} ≤ {format_seconds(objective.response.limit)}"
    if objective.due is None:
        raise ValueError("an objective has a response limit or a due time")
    return (
        f"{format_percent(objective.due.share, 1)} answered by "
        f"{format_clock(objective.due.by)} on the next day"
    )
