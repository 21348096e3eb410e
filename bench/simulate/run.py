"""All deployments over all replications, and the estimates over them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from bench.errors import InputError
from bench.executor import Executor, Inline, LocalProcesses
from bench.profile import Profile
from bench.record import Caveat, Estimate, Record
from bench.scenario import (
    Deployment,
    Objective,
    ResolvedScenario,
    Scenario,
    SimulateOptions,
    Workload,
)
from bench.simulate import cloud, line
from bench.simulate.bounds import why_impossible
from bench.simulate.demand import Demand, count_requests, expected_requests, left_out
from bench.simulate.judged import carried_over, growing, too_few, unjudged
from bench.simulate.places import Played, Setting, until_of
from bench.simulate.results import (
    CURVE_POINTS,
    PERCENTILES,
    DeploymentResult,
    Replication,
    Simulation,
)
from bench.simulate.scaling import Scaling
from bench.simulate.sized import size_caveats, sized
from bench.simulate.tally import Tally
from bench.stats import interval_of, mser5, sample_floor
from bench.store import Journal
from bench.streams import Streams
from bench.ticks import to_seconds
from bench.units import DAY_S

METHODS = ("fast", "reference")
LITTLE_S = 2.0
"""What the fast method simulates sooner here than worker processes start."""
REQUEST_S, DECISION_S = 1e-7, 5e-5
"""About what it takes for a request and for a decision of an autoscaler."""


OnDone = Callable[[int, int, str], None]
Result = tuple[Replication, list[float | None]]
"""One replication, and its curve of response times."""
_RESULT: TypeAdapter[Result] = TypeAdapter(Result)
Cases = list[tuple[Deployment, dict[str, Profile], str | None]]
"""Deployments, their profiles by part, and why one need not be simulated."""


def _quiet(done: int, total: int, what: str) -> None:
    return None


class Job(Record):
    """One deployment in one replication: all that a worker needs."""

    deployment: Deployment
    profiles: dict[str, Profile]
    """By the name of the deployment's part."""
    workload: Workload
    objective: Objective
    options: SimulateOptions
    method: str
    seed: int
    replication: int


def simulate(
    scenario: ResolvedScenario,
    profiles: Mapping[str, Profile],
    seed: int,
    executor: Executor,
    on_done: OnDone = _quiet,
    method: str = "fast",
    journal: Journal | None = None,
) -> Simulation:
    """Simulate every deployment on the same days.

    Args:
        profiles: by arm name.
        on_done: called with (replications finished, replications in all, what is going on).
        journal: where finished replications are kept, and those of an earlier attempt found.

    Raises:
        InputError: a profile is missing or does not cover the batch sizes a policy can form.
    """
    return simulate_all([scenario], profiles, seed, executor, on_done, method, journal)[0]


def simulate_all(
    scenarios: Sequence[ResolvedScenario],
    profiles: Mapping[str, Profile],
    seed: int,
    executor: Executor,
    on_done: OnDone = _quiet,
    method: str = "fast",
    journal: Journal | None = None,
    first: int = 0,
) -> list[Simulation]:
    """Simulate several scenarios, all their replications side by side: see :func:`simulate`.

    ``first``: the number of the first scenario in the journal.
    """
    cases = [_cases(scenario, sized(scenario, profiles)) for scenario in scenarios]
    jobs = {
        f"{place}/{deployment.name}/{replication}": _job(
            scenario, deployment, own, seed, method, replication
        )
        for place, (scenario, own_cases) in enumerate(zip(scenarios, cases, strict=True), first)
        for deployment, own, impossible in own_cases
        if impossible is None
        for replication in range(scenario.scenario.simulate.replications)
    }
    played = _play_all(jobs, executor, on_done, method, journal)
    return [
        Simulation(
            method=method,
            seed=seed,
            replications=scenario.scenario.simulate.replications,
            deployments=[
                _summarise(
                    scenario.scenario,
                    deployment,
                    scenario.arms_of(deployment),
                    impossible,
                    [
                        played[f"{place}/{deployment.name}/{replication}"]
                        for replication in range(scenario.scenario.simulate.replications)
                        if impossible is None
                    ],
                    any(profile.log_error for profile in own.values()),
                )
                for deployment, own, impossible in own_cases
            ],
            caveats=_caveats(scenario.scenario, own_cases),
        )
        for place, (scenario, own_cases) in enumerate(zip(scenarios, cases, strict=True), first)
    ]


def _caveats(asked: Scenario, cases: Cases) -> list[Caveat]:
    """What is left out of every deployment."""
    used = {profile.arm: profile for _, own, _ in cases for profile in own.values()}
    workload = asked.workload
    return [*left_out(workload, asked.simulate.days), *size_caveats(workload, used.values())]


def _cases(scenario: ResolvedScenario, profiles: Mapping[str, Profile]) -> Cases:
    """Every deployment with its profiles, and why it need not be simulated."""
    asked = scenario.scenario
    cases = []
    for deployment in asked.deployments:
        own = _profiles_for(deployment, scenario, profiles)
        reason = why_impossible(deployment, own, asked.workload, asked.objective)
        cases.append((deployment, own, reason))
    return cases


def _play_all(
    jobs: Mapping[str, Job],
    executor: Executor,
    on_done: OnDone,
    method: str,
    journal: Journal | None,
) -> dict[str, Result]:
    """Every job's result: from the journal, or played now."""
    found: dict[str, Result] = {}
    for key in jobs:
        kept = journal.get(key) if journal else None
        if kept is not None and (result := _kept(kept)) is not None:
            found[key] = result
    left = [key for key in jobs if key not in found]
    if not left:
        return found
    if method == "fast":
        on_done(
            len(found),
            len(jobs),
            "the first use on a machine compiles the simulator, for up to a minute",
        )
        prepare()
        if isinstance(executor, LocalProcesses) and _effort_s(jobs[key] for key in left) < LITTLE_S:
            executor = Inline()
    on_done(len(found), len(jobs), "")
    for place, result in executor.each(play_replication, [jobs[key] for key in left]):
        found[left[place]] = result
        if journal:
            journal.add(left[place], [result[0].model_dump(mode="json"), result[1]])
        on_done(len(found), len(jobs), "replications")
    return found


def _kept(value: Any) -> Result | None:
    """A result from a journal; none where its line was damaged, so that it is played again."""
    try:
        return _RESULT.validate_python(value)
    except ValidationError:
        return None


def first_job(
    scenario: ResolvedScenario,
    deployment: Deployment,
    profiles: Mapping[str, Profile],
    seed: int,
    method: str = "fast",
) -> Job:
    """The first replication of one deployment."""
    own = _profiles_for(deployment, scenario, sized(scenario, profiles))
    return _job(scenario, deployment, own, seed, method, 0)


def _job(
    scenario: ResolvedScenario,
    deployment: Deployment,
    profiles: dict[str, Profile],
    seed: int,
    method: str,
    replication: int,
) -> Job:
    asked = scenario.scenario
    return Job(
        deployment=deployment,
        profiles=profiles,
        workload=asked.workload,
        objective=asked.objective,
        options=asked.simulate,
        method=method,
        seed=seed,
        replication=replication,
    )


def play_replication(job: Job) -> Result:
    """One replication, and its curve of response times."""
    played, tally, demand = play(job)
    warm_up = 0
    if job.options.start == "steady":
        warm_up = _end_of_warm_up(tally)
        played, tally, demand = play(job, since=warm_up)
    ended = sum(tally[name] for name in ("done", "shed", "timed_out", "lost"))
    # Who is under way in a closed loop is known at the end of its way only.
    requests = ended + tally["late"] if demand.closed else demand.counted
    names = _percentiles(job.objective)
    shares = [q / 100 for q in names] + np.linspace(0, 1, CURVE_POINTS).tolist()
    quantiles = tally.quantiles_s(shares, max(requests, 1))
    floors = [sample_floor(q / 100) for q in names]
    complete = tally["done"] == requests > 0
    replication = Replication(
        days=job.options.days,
        requests=requests,
        done=tally["done"],
        shed=tally["shed"],
        timed_out=tally["timed_out"],
        lost=tally["lost"],
        in_flight=requests - ended,
        carried=tally["carried"] + requests - ended,
        within_slo=tally["within"],
        utilisation=played.busy / max(played.ready, 1),
        load=sum(usage.busy_s for usage in played.usage.values())
        / max(to_seconds(played.available), 1e-9),
        mean_batch=played.served / max(played.batches, 1),
        mean_s=tally.mean_s if complete else None,
        percentiles_s={
            f"p{q:g}": value if requests >= floor else None
            for q, value, floor in zip(names, quantiles, floors, strict=False)
        },
        makespan_s=to_seconds(max(tally["last_finish"] - demand.first_arrival, 0)),
        max_replicas=played.max_replicas,
        warm_up_s=to_seconds(warm_up),
        usage=played.usage,
        other_work=played.other_work,
    )
    return replication, quantiles[len(names) :]


def requests_of(scenario: Scenario, seed: int, method: str) -> list[int]:
    """Of each replication, the requests that every deployment meets; of no closed loop."""
    options = scenario.simulate
    return [
        count_requests(scenario.workload, Streams(seed, replication), options.days, method)
        for replication in range(options.replications)
    ]


def play(
    job: Job,
    since: int = 0,
    step_s: float | None = None,
    watch: Callable[[Any], None] | None = None,
) -> tuple[Played, Tally, Demand]:
    """Simulate one replication.

    Args:
        since: requests that arrive before are not counted.
        step_s: width of the bins of a time series, if one is wanted.
        watch: sees every chunk of answers too.
    """
    streams = Streams(job.seed, job.replication)
    demand = Demand(job.workload, streams, job.options.days, job.method, since)
    until = until_of(job.workload, job.objective, job.options.days)
    tally = Tally(
        job.objective, until, since, step_s, sequence=job.options.start == "steady" and not since,
        watch=watch, next_day=line.next_day_of(job.deployment, job.workload, job.options.days),
    )  # fmt: skip
    setting = Setting(
        profiles=job.profiles,
        workload=job.workload,
        demand=demand,
        streams=streams,
        method=method_of(job.method),
        days=job.options.days,
        until=until,
        tally=tally,
        resample=job.options.profile_uncertainty,
    )
    return line.play(job.deployment, setting), tally, demand


def _effort_s(jobs: Iterable[Job]) -> float:
    """About how long the fast method takes for all jobs."""
    total = 0.0
    for job in jobs:
        requests = expected_requests(job.workload, job.options.days)
        periods = [
            Scaling(part.scaling).period_s
            for part in job.deployment.parts.values()
            if part.scaling is not None
        ]
        decisions = sum(DAY_S * job.options.days / period for period in periods if period)
        total += requests * REQUEST_S + decisions * DECISION_S
    return total


def prepare() -> None:
    """Compile what the fast method needs, or take it from the cache: up to a minute, or a second."""
    from bench.simulate.fast import warm

    warm()


def method_of(name: str) -> Any:
    if name == "fast":
        from bench.simulate import fast

        return fast
    from bench.simulate import reference

    return reference


def _end_of_warm_up(tally: Tally) -> int:
    """When the first request arrived that MSER-5 keeps."""
    sequence = tally.sequence
    if sequence is None or len(sequence.means) < 10:
        return 0
    return sequence.arrivals[mser5(sequence.means)]


def _percentiles(objective: Objective) -> list[float]:
    asked = {objective.response.percentile} if objective.response else set()
    return sorted({*PERCENTILES, *asked})


def _profiles_for(
    deployment: Deployment, scenario: ResolvedScenario, profiles: Mapping[str, Profile]
) -> dict[str, Profile]:
    found = {}
    for name, part in deployment.parts.items():
        arm = scenario.arms[name].name
        if arm not in profiles:
            raise InputError(
                f"there is no profile of {arm!r}, which {deployment.name!r} needs",
                where="--profiles",
                allowed=", ".join(sorted(profiles)) or "none were found",
                todo="Measure it with `bench measure`",
            )
        profile = profiles[arm]
        needed = cloud.largest_batch(part.batching)
        if needed > profile.max_batch:
            raise InputError(
                f"{name!r} can form batches of up to {needed}, but the profile of {arm!r} was "
                f"measured for up to {profile.max_batch}",
                where="batching",
                todo=f"Measure with measure.max_batch: {needed}, or batch less",
            )
        found[name] = profile
    return found


def _summarise(
    asked: Scenario,
    deployment: Deployment,
    arms: list[str],
    impossible: str | None,
    played: Sequence[Result],
    draws: bool,
) -> DeploymentResult:
    days = [day for day, _ in played]
    over = partial(_over, draws=draws)
    names = list(days[0].percentiles_s) if days else [f"p{q:g}" for q in PERCENTILES]
    reason = impossible or growing(deployment, days)
    response = {"mean": over([d.mean_s for d in days], _unanswered(days))} | {
        name: over([d.percentiles_s[name] for d in days], too_few(days, name) or _unanswered(days))
        for name in names
    }
    if reason:  # a queue that grows has no latency, but one for each length of the simulation
        response = dict.fromkeys(response, Estimate.absent(reason))
    curves = [curve for _, curve in played if not reason]
    return DeploymentResult(
        deployment=deployment.name,
        arms=arms,
        impossible=reason,
        unjudged=None if reason else unjudged(asked, days),
        draws=draws,
        replications=days,
        response_s=response,
        slo_attainment=over([d.within_slo / d.requests for d in days if d.requests], impossible),
        utilisation=over([d.utilisation for d in days], impossible),
        mean_batch=over([d.mean_batch for d in days], impossible),
        response_curve_s=[
            None if None in points else float(np.mean([p for p in points if p is not None]))
            for points in zip(*curves, strict=True)
        ],
        caveats=[] if reason else list(carried_over(days)),
    )


def _unanswered(days: Sequence[Replication]) -> str | None:
    """What became of the requests that were not answered."""
    ways = ("shed", "timed_out", "lost", "in_flight")
    counts = {way: sum(getattr(day, way) for day in days) for way in ways}
    said = [f"{count:,} {way.replace('_', ' ')}" for way, count in counts.items() if count]
    total = sum(day.requests for day in days)
    return f"of {total:,} requests, {', '.join(said)}" if said else None


def _over(values: Sequence[float | None], reason: str | None, *, draws: bool) -> Estimate:
    """The mean over replications; none where any of them has no value."""
    known = [v for v in values if v is not None]
    if not known or len(known) < len(values):
        return Estimate.absent(reason or "no replication has one")
    return interval_of(known, draws=draws)
