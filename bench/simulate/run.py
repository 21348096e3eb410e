"""All deployments over all replications, and the estimates over them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from bench import extensions
from bench.errors import InputError
from bench.executor import Executor
from bench.profile import Profile
from bench.record import Estimate, Record
from bench.scenario import Arm, Deployment, DueTime, Objective, ResolvedScenario, Workload
from bench.simulate.demand import draw_demand, mean_rate
from bench.simulate.kinds import Outcome, Setting
from bench.simulate.results import (
    CURVE_POINTS,
    PERCENTILES,
    DeploymentResult,
    Replication,
    Simulation,
)
from bench.simulate.station import Policy
from bench.stats import empirical_quantile, mean_interval
from bench.streams import Streams
from bench.units import DAY_S

KINDS = "bench.simulate.kinds"


class Job(Record):
    """One deployment on one day: all that a worker needs."""

    deployment: Deployment
    profile: Profile
    workload: Workload
    objective: Objective
    seed: int
    replication: int


def simulate(
    scenario: ResolvedScenario,
    profiles: Mapping[str, Profile],
    seed: int,
    executor: Executor,
    on_done: Callable[[int, int, str], None] = lambda done, total, what: None,
) -> Simulation:
    """Simulate every deployment on the same days.

    Args:
        profiles: by arm name.
        on_done: called with (days finished, days in all).

    Raises:
        InputError: a profile is missing or does not cover the batch sizes a policy can form.
    """
    asked = scenario.scenario
    matched = [_profile_for(d, scenario.arms[d.name], profiles) for d in asked.deployments]
    overloads = [
        _overload(d, p, asked.workload) for d, p in zip(asked.deployments, matched, strict=True)
    ]
    jobs = [
        Job(
            deployment=d,
            profile=profile,
            workload=asked.workload,
            objective=asked.objective,
            seed=seed,
            replication=replication,
        )
        for d, profile, overload in zip(asked.deployments, matched, overloads, strict=True)
        if overload is None
        for replication in range(asked.simulate.replications)
    ]
    played = executor.map(play_day, jobs, lambda done: on_done(done, len(jobs), "days"))
    by_deployment: dict[str, list[tuple[Replication, list[float | None]]]] = {}
    for job, result in zip(jobs, played, strict=True):
        by_deployment.setdefault(job.deployment.name, []).append(result)
    return Simulation(
        seed=seed,
        replications=asked.simulate.replications,
        deployments=[
            _summarise(d, p.arm, overload, by_deployment.get(d.name, []))
            for d, p, overload in zip(asked.deployments, matched, overloads, strict=True)
        ],
    )


def play_day(job: Job) -> tuple[Replication, list[float | None]]:
    """One replication, and its curve of response times."""
    streams = Streams(job.seed, job.replication)
    demand = draw_demand(job.workload, streams)
    kind = extensions.load(KINDS, job.deployment.kind.replace("_", "-"))
    outcome: Outcome = kind.play(
        Setting(job.deployment, job.profile, job.workload, demand, streams)
    )
    response = outcome.finished_s - demand.arrival_s
    ordered = np.sort(response)
    answered = np.isfinite(response)
    replication = Replication(
        requests=len(demand),
        done=int(answered.sum()),
        in_flight=int((~answered).sum()),
        within_slo=_within(job.objective, response, outcome.finished_s),
        utilisation=outcome.busy_s / outcome.ready_s,
        mean_batch=outcome.mean_batch,
        mean_s=float(response.mean()) if answered.any() and answered.all() else None,
        percentiles_s={f"p{q:g}": _at(ordered, q / 100) for q in _percentiles(job.objective)},
        makespan_s=_makespan(demand.arrival_s, outcome.finished_s),
        max_replicas=outcome.max_replicas,
        usage=outcome.usage,
    )
    curve = [_at(ordered, q) for q in np.linspace(0, 1, CURVE_POINTS).tolist()]
    return replication, curve


def _percentiles(objective: Objective) -> list[float]:
    asked = {objective.response.percentile} if objective.response else set()
    return sorted({*PERCENTILES, *asked})


def _at(ordered: npt.NDArray[np.float64], q: float) -> float | None:
    if ordered.size == 0:
        return None
    value = empirical_quantile(ordered, q)
    return value if np.isfinite(value) else None


def _makespan(arrivals: npt.NDArray[np.float64], finished: npt.NDArray[np.float64]) -> float:
    answered = finished[np.isfinite(finished)]
    return float(answered.max() - arrivals[0]) if answered.size else 0.0


def _within(
    objective: Objective,
    response: npt.NDArray[np.float64],
    finished: npt.NDArray[np.float64],
) -> int:
    if objective.response is not None:
        return int((response <= objective.response.limit).sum())
    assert isinstance(objective.due, DueTime)  # noqa: S101  (the schema holds exactly one)
    return int((finished <= DAY_S + objective.due.by).sum())


def _profile_for(deployment: Deployment, arm: Arm, profiles: Mapping[str, Profile]) -> Profile:
    if arm.name not in profiles:
        raise InputError(
            f"there is no profile of {arm.name!r}, which {deployment.name!r} needs",
            where="--profiles",
            allowed=", ".join(sorted(profiles)) or "none were found",
            todo="Measure it with `bench measure`",
        )
    profile = profiles[arm.name]
    needed = Policy(deployment.batching).largest
    absent = [size for size in range(1, needed + 1) if size not in profile.service_s]
    if absent:
        raise InputError(
            f"{deployment.name!r} can form batches of up to {needed}, but the profile of "
            f"{arm.name!r} was measured for {min(profile.service_s)} to {profile.max_batch}",
            where="batching",
            todo=f"Measure with measure.max_batch: {needed}, or batch less",
        )
    return profile


def _overload(deployment: Deployment, profile: Profile, workload: Workload) -> str | None:
    kind = extensions.load(KINDS, deployment.kind.replace("_", "-"))
    limit = float(kind.capacity(deployment, profile, workload))
    rate = mean_rate(workload)
    if rate < limit:
        return None
    return f"overload: {rate:.3g} requests/s arrive and at most {limit:.3g} can be served"


def _summarise(
    deployment: Deployment,
    arm: str,
    overload: str | None,
    played: Sequence[tuple[Replication, list[float | None]]],
) -> DeploymentResult:
    days = [day for day, _ in played]
    names = list(days[0].percentiles_s) if days else [f"p{q:g}" for q in PERCENTILES]
    response = {"mean": _over([d.mean_s for d in days], overload)} | {
        name: _over([d.percentiles_s[name] for d in days], overload) for name in names
    }
    curves = [curve for _, curve in played]
    return DeploymentResult(
        deployment=deployment.name,
        arm=arm,
        overload=overload,
        replications=days,
        response_s=response,
        slo_attainment=_over([d.within_slo / d.requests for d in days if d.requests], overload),
        utilisation=_over([d.utilisation for d in days], overload),
        mean_batch=_over([d.mean_batch for d in days], overload),
        response_curve_s=[
            None if None in points else float(np.mean([p for p in points if p is not None]))
            for points in zip(*curves, strict=True)
        ],
    )


def _over(values: Sequence[float | None], overload: str | None) -> Estimate:
    """The mean over replications; none where any of them has no value."""
    if overload is not None:
        return Estimate.absent(overload)
    known = [v for v in values if v is not None]
    if not known or len(known) < len(values):
        return Estimate.absent("requests were left unanswered at the end of the simulated time")
    return mean_interval(known)
