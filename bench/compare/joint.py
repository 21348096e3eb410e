"""How sure a choice is when everything that is uncertain is so at once.

Every input with bounds is drawn together with the others, and what was simulated is costed again: prices and
assumptions move no request. Inputs of one source move together, from their lows to their highs, since what is
wrong about it is wrong about all of them; those of different sources are independent. Each draw also takes one
of the replications, which draw the requests and the service times that are projected.

What it is worth to know an input is how much dearer the best choice is, on average, without knowing it: the
expected value of partial perfect information, from one regression over all draws (Strong, Oakley and
Brennan, Medical Decision Making 2014).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.compare.inputs import Input, inputs_of
from bench.compare.objective import keeps
from bench.cost import usd_per_million_in
from bench.profile import Profile
from bench.record import Record
from bench.scenario import ResolvedScenario
from bench.simulate import DeploymentResult

Floats = npt.NDArray[np.float64]
DRAWS = 512
POWERS = (1, 2, 3)
"""Of an input, which its regression is made of: costs are products and quotients of inputs."""


class Worth(Record):
    """What it would be worth to know the inputs of one source."""

    inputs: list[str]
    usd_per_million: float
    """By so much the choice would be cheaper, on average."""
    decides: float
    """The share it has in the variance of what lies between the two best deployments."""


class Joint(Record):
    """What all draws say together."""

    draws: int
    inputs: int
    """How many are uncertain."""
    chances: dict[str, float]
    """By deployment, the probability that it is the cheapest that keeps the objective."""
    best: str | None
    """The cheapest on average, of those that are shown to keep the objective."""
    means: dict[str, float]
    """By such a deployment, its dollars per million answered requests on average."""
    regrets: dict[str, float]
    """By such a deployment, what choosing it costs on average beyond the cheapest of each draw, in dollars
    per million answered requests."""
    worth: list[Worth]
    """Of every source, what it is worth most to know first."""


@dataclass(frozen=True)
class Drawn:
    """All draws of one group of inputs, which have one source."""

    inputs: Sequence[Input]
    levels: Floats
    """Of each draw: how far between their lows and highs, as a probability."""

    def values(self, draw: int) -> Iterator[tuple[Input, Any]]:
        for one in self.inputs:
            value = triangular(float(one.low), float(one.value), float(one.high), self.levels[draw])
            yield one, Decimal(f"{value:.12g}") if isinstance(one.value, Decimal) else float(value)

    def terms(self) -> Floats:
        """What a regression on the group is made of, ``[draws, terms]``."""
        found = []
        for one in self.inputs:
            low, value, high = (float(bound) for bound in (one.low, one.value, one.high))
            share = (triangular(low, value, high, self.levels) - low) / (high - low)
            found += [share**power for power in POWERS]
        return np.column_stack(found)


def joint(
    scenario: ResolvedScenario,
    profiles: Mapping[str, Profile],
    results: Sequence[DeploymentResult],
    able: Collection[str],
    shown: Collection[str],
    draws: int = DRAWS,
) -> Joint:
    """Draw everything that is uncertain, and cost it.

    Args:
        results: of deployments with the same replications.
        able: deployments that nothing stands against but the replications.
        shown: those that are shown to keep the objective; one that answers nothing in some replication has
            no mean cost, and is left out of all but the chances.
        draws: without any, each replication is one, and every input is what it is taken to be.
    """
    results = [result for result in results if result.deployment in able and result.replications]
    if not results:
        return judged([], np.empty((0, 0)), np.empty((0, 0), bool), shown, [])
    rng, replications = np.random.default_rng(0), len(results[0].replications)
    groups = _groups(scenario, profiles, results, rng, draws) if draws else []
    numbers = rng.permutation(draws) % replications if groups else np.arange(replications)
    usd = _costs(scenario, profiles, results, groups, numbers)
    kept = _kept(scenario, results, numbers)
    return judged([result.deployment for result in results], usd, kept, shown, groups)


def judged(
    names: Sequence[str],
    usd: Floats,
    kept: npt.NDArray[np.bool_],
    shown: Collection[str],
    groups: Sequence[Drawn],
) -> Joint:
    """What the draws say.

    Args:
        usd: per million, ``[draws, deployments]``.
        kept: whether the deployment keeps the objective in the draw; of the same shape.
        groups: what was drawn.
    """
    answered = np.isfinite(usd.sum(axis=0))
    chosen = [place for place, name in enumerate(names) if name in shown and answered[place]]
    costs = usd[:, chosen]
    means = {names[place]: float(usd[:, place].mean()) for place in chosen}
    least = float(costs.min(axis=1).mean()) if chosen else 0.0
    chances = _chances(np.where(kept, usd, math.inf))
    return Joint(
        draws=len(usd),
        inputs=sum(len(group.inputs) for group in groups),
        chances=dict(zip(names, chances.tolist(), strict=True)),
        best=min(means, key=lambda name: means[name], default=None),
        means=means,
        regrets={name: mean - least for name, mean in means.items()},
        worth=_worth(groups, costs) if len(chosen) > 1 else [],
    )


def triangular(low: float, value: float, high: float, level: Any) -> Any:
    """The quantile of a triangular distribution, whose mode is the value that is taken otherwise."""
    whole, rise = high - low, value - low
    up = low + np.sqrt(np.asarray(level) * whole * rise)
    down = high - np.sqrt((1 - np.asarray(level)) * whole * (high - value))
    return np.where(np.asarray(level) * whole < rise, up, down)


def _groups(
    scenario: ResolvedScenario,
    profiles: Mapping[str, Profile],
    results: Sequence[DeploymentResult],
    rng: np.random.Generator,
    draws: int,
) -> list[Drawn]:
    """The inputs that move a cost, by source, each group with levels of its own: a Latin hypercube."""
    base = _usd(scenario, profiles, results, 0)
    alike: dict[tuple[str, str], list[Input]] = {}
    for one in inputs_of(scenario):
        ends = (one.turned(scenario, bound) for bound in (one.low, one.high))
        if any(_usd(end, profiles, results, 0) != base for end in ends):
            alike.setdefault((one.provenance, one.source), []).append(one)
    return [Drawn(inputs, (rng.permutation(draws) + 0.5) / draws) for inputs in alike.values()]


def _costs(
    scenario: ResolvedScenario,
    profiles: Mapping[str, Profile],
    results: Sequence[DeploymentResult],
    groups: Sequence[Drawn],
    numbers: npt.NDArray[np.int_],
) -> Floats:
    """Dollars per million, ``[draws, deployments]``."""
    found = np.empty((len(numbers), len(results)))
    for draw, number in enumerate(numbers):
        other = scenario
        for group in groups:
            for one, value in group.values(draw):
                other = one.turned(other, value)
        found[draw] = _usd(other, profiles, results, int(number))
    return found


def _usd(
    scenario: ResolvedScenario,
    profiles: Mapping[str, Profile],
    results: Sequence[DeploymentResult],
    number: int,
) -> list[float]:
    """By deployment, dollars per million in a replication; infinite where nothing was answered."""
    asked = {one.name: one for one in scenario.scenario.deployments}
    return [
        math.inf if usd is None else usd
        for result in results
        for usd in [
            usd_per_million_in(scenario, profiles, asked[result.deployment], result, number)
        ]
    ]


def _kept(
    scenario: ResolvedScenario, results: Sequence[DeploymentResult], numbers: npt.NDArray[np.int_]
) -> npt.NDArray[np.bool_]:
    """Whether each deployment keeps the objective in each draw."""
    objective = scenario.scenario.objective
    kept = [[keeps(objective, day) for day in result.replications] for result in results]
    return np.array(kept, dtype=bool).T[numbers]


def _chances(usd: Floats) -> Floats:
    """How often each is the cheapest; nobody is where nobody keeps the objective."""
    if not usd.size:
        return np.zeros(usd.shape[1])
    someone = np.isfinite(usd).any(axis=1)
    wins = np.bincount(usd[someone].argmin(axis=1), minlength=usd.shape[1])
    chances: Floats = wins / len(usd)
    return chances


def _worth(groups: Sequence[Drawn], usd: Floats) -> list[Worth]:
    """One regression of the costs on all groups, each of which adds its part."""
    terms = [group.terms() for group in groups]
    if not terms:
        return []
    means = usd.mean(axis=0)
    centred = [columns - columns.mean(axis=0) for columns in terms]
    weights = np.linalg.lstsq(np.hstack(centred), usd - means, rcond=None)[0]
    ends = np.cumsum([columns.shape[1] for columns in terms])[:-1]
    parts = [own @ weight for own, weight in zip(centred, np.split(weights, ends), strict=True)]
    first, second = np.argsort(means)[:2]
    between = np.var(usd[:, second] - usd[:, first]) or math.inf
    most = means.min() - usd.min(axis=1).mean()
    found = [
        Worth(
            inputs=[one.name for one in group.inputs],
            usd_per_million=float(
                np.clip(means.min() - (means + part).min(axis=1).mean(), 0, most)
            ),
            decides=float(np.var(part[:, second] - part[:, first]) / between),
        )
        for group, part in zip(groups, parts, strict=True)
    ]
    return sorted(found, key=lambda one: (-one.usd_per_million, -one.decides))
