"""Branch and bound over the candidates, cheapest lower bound first.

A candidate is left out only where its bounds say that it cannot matter: it cannot meet the objective,
or it costs more than ``within`` times what a feasible one really costs, or a feasible one is at least
as good in cost, 99th percentile and carbon as it could be at best. So the cheapest feasible candidate,
and the Pareto front up to ``within`` times its cost, are those an exhaustive search finds.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from bench.compare import (
    Joint,
    Ranked,
    entry_of,
    how_sure,
    joint,
    lasting,
    placed,
    reservations,
    tied,
)
from bench.cost import CostedDeployment, cost_deployment
from bench.executor import Executor
from bench.plan.bounds import Floor, Floors
from bench.plan.result import Plan, Planned
from bench.plan.space import Candidate
from bench.plan.unknown import Unknown
from bench.profile import Profile
from bench.scenario import ResolvedScenario
from bench.simulate import (
    DeploymentResult,
    has_closed_loop,
    least_response_s,
    requests_of,
    simulate_all,
    why_impossible,
)
from bench.units import format_seconds, format_usd

SHOWN = 20
RIVALS = 6
"""The cheapest of so many offers and kinds are held against each other over all that is uncertain."""
FIRST_WAVE, GROWTH = 2, 3
"""Deployments simulated at first; each wave is so many times larger than the one before it. Small
at first, to find a feasible one cheaply; large then, since worker processes take a while to start."""

Notify = Callable[[int, int, str], None]
Figures = tuple[float | None, float | None, float | None]
"""Dollars a million, 99th percentile, kilograms of CO2 equivalents a million."""


def search(
    scenario: ResolvedScenario,
    found: Sequence[Candidate],
    profiles: Mapping[str, Profile],
    seed: int,
    executor: Executor,
    *,
    refused: Sequence[Unknown] = (),
    method: str = "fast",
    prune: bool = True,
    notify: Notify = lambda done, total, what: None,
) -> Plan:
    """Judge the candidates, and simulate as few of them as will do.

    Args:
        profiles: by arm.
        refused: offers that no candidate could be made of.
        prune: without, every candidate that can meet the objective is simulated.
        notify: called with (candidates settled, candidates, what is going on).
    """
    hunt = _Hunt(scenario, found, profiles, seed, method, prune)
    wave = FIRST_WAVE
    while group := hunt.next_wave(wave):
        notify(hunt.settled, len(found), hunt.so_far)
        scenarios = [hunt.scenario_of([members[0]]) for members in group]
        results = simulate_all(scenarios, profiles, seed, executor, method=method)
        for members, simulation in zip(group, results, strict=True):
            hunt.judge(members, simulation.deployments[0])
        wave *= GROWTH
    notify(len(found), len(found), hunt.so_far)
    return hunt.plan(list(refused))


@dataclass(frozen=True)
class _Bounded:
    """A candidate that may meet the objective."""

    candidate: Candidate
    floor: Floor


@dataclass
class _Judged:
    """A candidate that was costed from a simulation."""

    candidate: Candidate
    entry: Ranked
    costed: CostedDeployment | None
    result: DeploymentResult

    @property
    def usd(self) -> float:
        value = self.entry.usd_per_million.value
        return math.inf if value is None else value

    @property
    def figures(self) -> Figures:
        entry = self.entry
        return (
            entry.usd_per_million.value, entry.p99_s.value, entry.carbon_kg_per_million.value
        )  # fmt: skip


@dataclass
class _Hunt:
    """What is known so far."""

    scenario: ResolvedScenario
    found: Sequence[Candidate]
    profiles: Mapping[str, Profile]
    seed: int
    method: str
    prune: bool
    dismissed: Counter[str] = field(default_factory=Counter)
    judged: list[_Judged] = field(default_factory=list)
    too_dear: int = 0
    simulated: int = 0
    requests: list[int] = field(default_factory=list)
    """Of each replication, if there is pruning."""

    def __post_init__(self) -> None:
        asked = self.scenario.scenario
        # In a closed loop the requests depend on who answers; after a warm-up, not all count.
        self.prune &= not has_closed_loop(asked.workload)
        self.prune &= asked.simulate.start == "midnight"
        alike: dict[str, list[Candidate]] = {}
        for candidate in self.found:
            alike.setdefault(_dynamics(candidate), []).append(candidate)
        if self.prune:
            self.requests = requests_of(asked, self.seed, self.method)
        floors = Floors(self.profiles, min(self.requests, default=0))
        groups = [list(self._hopeful(members, floors)) for members in alike.values()]
        for members in groups:
            members.sort(key=lambda member: member.floor.usd_per_day)
        self._left = sorted(filter(None, groups), key=lambda m: m[0].floor.usd_per_day)

    @property
    def settled(self) -> int:
        """Candidates of which it is known whether they matter."""
        return len(self.found) - sum(map(len, self._left))

    @property
    def so_far(self) -> str:
        best = self.best
        return f"cheapest: {format_usd(best.usd)} a million" if best else "none is feasible yet"

    @property
    def best(self) -> _Judged | None:
        return min(self.feasible, key=lambda judged: judged.usd, default=None)

    @property
    def feasible(self) -> list[_Judged]:
        return [judged for judged in self.judged if judged.entry.feasible]

    def scenario_of(self, chosen: Iterable[Candidate]) -> ResolvedScenario:
        """The scenario with these candidates as its deployments."""
        chosen = list(chosen)
        parts = {part: one for one in chosen for part in one.deployment.parts}
        offers = {part: one.offers[part] for part, one in parts.items()}
        whole = self.scenario
        return whole.model_copy(
            update={
                "scenario": whole.scenario.model_copy(
                    update={"deployments": [one.deployment for one in chosen]}
                ),
                "offers": offers,
                "arms": {part: one.arms[part] for part, one in parts.items()},
                "regions": {part: one.regions[part] for part, one in parts.items()},
            }
        )

    def next_wave(self, size: int) -> list[list[Candidate]]:
        """The next groups to simulate: in each, candidates that one simulation can judge."""
        wave: list[list[Candidate]] = []
        rest: list[list[_Bounded]] = []
        for members in self._left:
            kept = [member for member in members if not self._cannot_matter(member.floor)]
            self.too_dear += len(members) - len(kept)
            if not kept:
                continue
            if len(wave) < size:
                wave.append([member.candidate for member in kept])
            else:
                rest.append(kept)
        self._left = rest
        return wave

    def judge(self, members: Sequence[Candidate], result: DeploymentResult) -> None:
        """Cost every candidate of a group, each with its own offer, from one simulation."""
        self.simulated += 1
        first = members[0]
        for candidate in members:
            own = _renamed(result, first, candidate)
            one = self.scenario_of([candidate])
            costed = (
                cost_deployment(one, self.profiles, candidate.deployment, own)
                if own.replications
                else None
            )
            self.judged.append(
                _Judged(candidate, entry_of(one, self.profiles, own, costed), costed, own)
            )

    def plan(self, refused: list[Unknown]) -> Plan:
        feasible = sorted(self.feasible, key=lambda judged: judged.usd)
        best = feasible[0] if feasible else None
        missed = sorted(
            (j for j in self.judged if not j.entry.feasible and j.costed
             and (best is None or j.usd < best.usd)),
            key=lambda judged: judged.usd,
        )  # fmt: skip
        cheapest = list(_best_of_each(feasible))[:SHOWN]
        sure = self._sure([planned.entry.deployment for planned in cheapest[:RIVALS]])
        return Plan(
            scenario=self.scenario.scenario.name,
            verdict=self._verdict(best, missed, sure),
            objective_met=best is not None,
            candidates=len(self.found),
            simulated=self.simulated,
            judged=len(self.judged),
            dismissed=dict(self.dismissed.most_common()),
            too_dear=self.too_dear,
            within=self.scenario.scenario.plan.within,
            cheapest=cheapest,
            front=list(_distinct(_front(feasible))),
            near_misses=list(_distinct(missed))[:SHOWN],
            indistinguishable=[
                other.entry.deployment
                for other in feasible[1:]
                if best and other.figures != best.figures and other.costed and best.costed
                and tied(best.costed, other.costed)
            ][:SHOWN],
            refused=refused,
            joint=sure,
        )  # fmt: skip

    def _sure(self, names: Sequence[str]) -> Joint:
        """How sure the choice is among these, which keep the objective."""
        rivals = [one for one in self.feasible if one.candidate.deployment.name in names]
        return joint(
            self.scenario_of(one.candidate for one in rivals), self.profiles,
            [one.result for one in rivals], names, names,
        )  # fmt: skip

    def _hopeful(self, members: Sequence[Candidate], floors: Floors) -> Iterator[_Bounded]:
        """Those of a group that may meet the objective; the others are counted."""
        least = self._least_response_s(members[0])
        reason = self._hopeless(members[0], least)
        objective = self.scenario.scenario.objective
        for candidate in members:
            one = self.scenario_of([candidate])
            unfit = lasting(objective, placed(one, self.profiles, candidate.deployment))
            if reason or unfit:
                self.dismissed[(unfit or [str(reason)])[0]] += 1
            else:
                yield _Bounded(candidate, floors.of(one, candidate, least))

    def _least_response_s(self, candidate: Candidate) -> float:
        own = {part: self.profiles[arm.name] for part, arm in candidate.arms.items()}
        return least_response_s(candidate.deployment, own, self.scenario.scenario.workload)

    def _hopeless(self, candidate: Candidate, least: float) -> str | None:
        """Why no deployment with the dynamics of this one can meet the objective.

        ``least``: no request is answered sooner, in seconds.
        """
        scenario, deployment = self.scenario.scenario, candidate.deployment
        own = {part: self.profiles[arm.name] for part, arm in candidate.arms.items()}
        limit = scenario.objective.response
        if limit is not None and least > limit.limit:
            return f"no answer of a {deployment.kind} comes sooner than {format_seconds(least)}"
        return why_impossible(deployment, own, scenario.workload, scenario.objective)

    def _cannot_matter(self, bound: Floor) -> bool:
        best = self.best
        if not self.prune or best is None or not self.requests:
            return False
        days = self.scenario.scenario.simulate.days
        share = fmean(days / max(requests, 1) for requests in self.requests) * 1e6
        usd, kg = bound.usd_per_day * share, bound.carbon_kg_per_day
        if usd > self.scenario.scenario.plan.within * best.usd:
            return True
        at_best = usd, bound.response_s, None if kg is None else kg * share
        return any(_as_good(judged.figures, at_best) for judged in self.feasible)

    def _verdict(self, best: _Judged | None, missed: Sequence[_Judged], sure: Joint) -> str:
        number = f"{len(self.found):,} candidates"
        if best is None:
            unshown = next((judged.entry for judged in self.judged if judged.entry.unshown), None)
            if unshown is not None:
                return (
                    f"Not shown: whether any of {number} meets the objective. "
                    f"{unshown.deployment}: {unshown.unshown}."
                )
            return f"None of {number} meets the objective." + _nearest(missed)
        entry = best.entry
        return (
            f"The cheapest of {number} that meet the objective is {entry.deployment}: "
            f"{format_usd(best.usd)} per million, {format_usd(entry.usd_per_month.value)} a month, "
            f"p99 {format_seconds(entry.p99_s.value)}."
            + _nearest(missed)
            + how_sure(sure, entry.deployment)
            + reservations([entry])
        )


def _nearest(missed: Sequence[_Judged]) -> str:
    if not missed:
        return ""
    entry = missed[0].entry
    return f" {entry.deployment} would cost {format_usd(missed[0].usd)}, but {entry.reasons[0]}."


def _dynamics(candidate: Candidate) -> str:
    """What the simulation depends on: all but the name and the offer's price.

    Those of several stages stay as they are, each by itself.
    """
    deployment = candidate.deployment
    if len(deployment.line) == 1:
        deployment = deployment.model_copy(update={"name": "", "offer": ""})
    arms = " ".join(arm.name for arm in candidate.arms.values())
    return f"{arms} {deployment.model_dump_json()}"


def _renamed(result: DeploymentResult, first: Candidate, other: Candidate) -> DeploymentResult:
    """The result of ``first`` as that of ``other``, whose parts have other names."""
    if other is first:
        return result
    names = dict(zip(first.deployment.parts, other.deployment.parts, strict=True))
    return result.model_copy(
        update={
            "deployment": other.deployment.name,
            "replications": [
                day.model_copy(
                    update={"usage": {names[part]: usage for part, usage in day.usage.items()}}
                )
                for day in result.replications
            ],
        }
    )


def _best_of_each(feasible: Sequence[_Judged]) -> Iterator[Planned]:
    """The cheapest of every offer and kind."""
    return _first_of(feasible, lambda one: (one.entry.kind, one.entry.offer))


def _distinct(judged: Iterable[_Judged]) -> Iterator[Planned]:
    """One of those that have the very same figures."""
    return _first_of(judged, lambda one: one.figures)


def _first_of(judged: Iterable[_Judged], key: Callable[[_Judged], Hashable]) -> Iterator[Planned]:
    alike: dict[Hashable, list[_Judged]] = {}
    for one in judged:
        alike.setdefault(key(one), []).append(one)
    for same in alike.values():
        yield Planned(
            deployment=same[0].candidate.deployment, entry=same[0].entry, alike=len(same) - 1
        )


def _front(feasible: Sequence[_Judged]) -> list[_Judged]:
    """Those that none is better than in everything."""
    return [one for one in feasible if not any(_dominates(other, one) for other in feasible)]


def _dominates(left: _Judged, right: _Judged) -> bool:
    """At least as good in all three, and better in one."""
    return left.figures != right.figures and _as_good(left.figures, right.figures)


def _as_good(left: Figures, right: Figures) -> bool:
    """At least as good in all three; what is unknown compares with nothing else."""
    return all(
        a is b if a is None or b is None else a <= b for a, b in zip(left, right, strict=True)
    )
