"""Does a deployment keep the objective, and if not, why not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.hardware import Location, Offer, Region
from bench.profile import Profile
from bench.scenario import AccuracyLimit, Objective
from bench.simulate import DeploymentResult, Replication
from bench.units import format_clock, format_percent, format_seconds

# Where a machine may stand for data that must not leave the device, the site or the region.
_ALLOWED: dict[str, tuple[Location, ...]] = {
    "device": ("edge",),
    "site": ("edge", "on_premise"),
    "region": ("edge", "on_premise", "cloud"),
    "any": ("edge", "on_premise", "cloud"),
}


@dataclass(frozen=True)
class Placed:
    """One part of a deployment: what answers, on what, and where it stands."""

    profile: Profile
    offer: Offer
    region: Region | None
    """``None`` where nothing is known of it."""
    misfit: str | None
    """Why the machine cannot hold it."""
    answers: bool = True
    """Whether its answers go back to the source, and not only on to the next stage."""
    accelerated: bool = False
    """Whether an accelerator answers, and not the machine's own processor."""


def violations(
    objective: Objective, result: DeploymentResult, parts: Sequence[Placed]
) -> list[str]:
    """Every reason why the objective is missed, or not shown to be kept; none where it is kept.

    Each part of a deployment must fit its machine and keep the residency, and each that answers the
    accuracy.
    An interval that reaches over a limit is a miss: feasible means shown, not hoped.
    """
    if result.impossible is not None:
        return [result.impossible]
    if result.unjudged is not None:
        return [
            f"not shown: {result.unjudged}",
            *_other_work(result),
            *lasting(objective, parts),
        ]
    return [
        *_response(objective, result),
        *_due(objective, result),
        *_other_work(result),
        *lasting(objective, parts),
    ]


def lasting(objective: Objective, parts: Sequence[Placed]) -> list[str]:
    """What no replication and no price changes: the memory, the accuracy, where the data goes."""
    found: list[str] = []
    for part in parts:
        if part.misfit:
            found.append(part.misfit)
        if objective.accuracy and part.answers:
            found += _accuracy(objective.accuracy, part.profile)
        found += _residency(objective, part)
    return list(dict.fromkeys(found))


def keeps(objective: Objective, replication: Replication) -> bool:
    """Whether one replication alone keeps the limit, or the due time, and does all it was asked."""
    if overdue(replication):
        return False
    if objective.response is not None:
        value = replication.percentiles_s[f"p{objective.response.percentile:g}"]
        return value is not None and value <= objective.response.limit
    if objective.due is None:
        return False
    return replication.within_slo >= objective.due.share * replication.requests


def overdue(replication: Replication) -> int:
    """Items of the work that fills the troughs which were not done in time, and had to be."""
    work = replication.other_work
    return work.overdue if work is not None and not work.optional else 0


def _other_work(result: DeploymentResult) -> Iterator[str]:
    days = result.replications
    late = [items for day in days if (items := overdue(day))]
    if not late:
        return
    work = next(day.other_work for day in days if day.other_work is not None)
    fewest, most = f"{min(late):,}", f"{max(late):,}"
    many = most if fewest == most else f"{fewest} to {most}"
    text = f"{many} of the {work.asked:,} items of other work (fill) of a day were left undone"
    if len(late) < len(days):
        text += f" in {len(late)} of {len(days)} replications"
    if not work.had_a_day:
        text += " at midnight, and no further day was simulated to show that they are done in time"
    yield text


def _response(objective: Objective, result: DeploymentResult) -> Iterator[str]:
    if objective.response is None:
        return
    name, limit = f"p{objective.response.percentile:g}", objective.response.limit
    estimate = result.response_s[name]
    if estimate.value is None:
        yield f"{name}: {estimate.reason}"
    elif estimate.value > limit:
        yield f"{name} {format_seconds(estimate.value)} is over {format_seconds(limit)}"
    elif estimate.high is not None and estimate.high > limit:
        yield (
            f"{name} {format_seconds(estimate.value)} is within {format_seconds(limit)}, but its "
            f"interval reaches {format_seconds(estimate.high)}"
        )


def _due(objective: Objective, result: DeploymentResult) -> Iterator[str]:
    if objective.due is None:
        return
    attained = result.slo_attainment
    if attained.value is None or attained.value < objective.due.share:
        yield (
            f"{format_percent(attained.value)} answered by "
            f"{format_clock(objective.due.by)} on the next day, "
            f"{format_percent(objective.due.share)} asked"
        )


def _residency(objective: Objective, part: Placed) -> Iterator[str]:
    """Rented machines must stand in one of the countries; the others stand where the data is."""
    location = part.offer.location
    if location not in _ALLOWED[objective.residency]:
        yield f"data must stay on the {objective.residency}, and this runs in the {location}"
    if not objective.countries or location != "cloud":
        return
    allowed = ", ".join(objective.countries)
    if part.region is None:
        yield f"data must stay in {allowed}, and the country of {part.offer.name} is not known"
    elif part.region.country not in objective.countries:
        yield f"data must stay in {allowed}, and {part.offer.name} is in {part.region.country}"


def _accuracy(limit: AccuracyLimit, profile: Profile) -> Iterator[str]:
    value = profile.accuracy.get(limit.metric)
    if value is None:
        known = ", ".join(profile.accuracy) or "none"
        yield f"{limit.metric} was not measured (measured: {known})"
    elif limit.at_most is not None and value > limit.at_most:
        yield f"{limit.metric} {value:.4f} is over {limit.at_most:g}"
    elif limit.at_least is not None and value < limit.at_least:
        yield f"{limit.metric} {value:.4f} is under {limit.at_least:g}"
