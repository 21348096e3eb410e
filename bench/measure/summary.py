"""Raw times of all replicates of an arm → its measurement, with verdicts. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench import extensions
from bench.measure import validity
from bench.measure.arm_requests import ArmRequest, phases
from bench.measure.budget import BUDGETS, Budget
from bench.measure.limits import usable_cores
from bench.measure.loads import Aim
from bench.measure.measurement import (
    Accuracy,
    Agreement,
    ArmMeasurement,
    LoadResult,
    Replicate,
    StepStats,
    Trial,
    Verdict,
    overall,
)
from bench.measure.procedure import LOADS
from bench.measure.service import PROFILE
from bench.measure.tasks import STEPS
from bench.record import Estimate
from bench.scenario import Choice
from bench.stats import block_mean, mean_interval, quantile, queued_quantile

PERCENTILES = (50, 90, 95, 99, 99.9)
DRIFT_TOLERANCE = 0.10
Floats = npt.NDArray[np.float64]


def summarise(
    request: ArmRequest,
    replicates: Sequence[Replicate],
    batches: pd.DataFrame,
    requests: pd.DataFrame,
) -> ArmMeasurement:
    """The measurement of one arm; the tables hold this arm alone."""
    budget = BUDGETS[request.budget]
    profile = batches[batches["phase"] == PROFILE]
    steps = _step_stats(profile)
    loads = [
        _load_result(phase, part, budget, replicates, requests)
        for phase, part in phases(request.loads).items()
    ]
    accuracy = _accuracy(replicates)
    agreements = [r.agreement for r in replicates if r.agreement]
    served = requests[requests["error"].isna()]
    precision = str(request.arm.backend.options.get("precision", "fp32"))
    verdicts = _verdicts(request, replicates, requests, precision)
    return ArmMeasurement(
        arm=request.arm.name,
        task=request.task.name,
        backend=request.arm.backend.name,
        precision=precision,
        device=request.arm.device.name,
        threads=_threads(request),
        budget=request.budget,
        load=mean_interval([r.load_s for r in replicates]),
        first_call=mean_interval([r.first_call_s for r in replicates]),
        loop_overhead=_loop_overhead(profile),
        steps=steps,
        loads=loads,
        accuracy=accuracy,
        accuracy_reason=None if accuracy else "no input comes with a known truth",
        agreement=_sum(agreements),
        input_bytes=float(served["input_bytes"].mean()) if len(served) else 0.0,
        output_bytes=float(served["output_bytes"].mean()) if len(served) else 0.0,
        power=[reading for r in replicates for reading in r.power],
        replicates=list(replicates),
        status=overall(verdicts),
        verdicts=verdicts,
        warnings=_warnings(request, replicates, profile, steps, loads),
    )


def _threads(request: ArmRequest) -> int:
    return request.arm.device.threads or usable_cores()


def _verdicts(
    request: ArmRequest,
    replicates: Sequence[Replicate],
    requests: pd.DataFrame,
    precision: str,
) -> list[Verdict]:
    failed = requests[(requests["phase"] == PROFILE) & requests["error"].notna()]["error"]
    asked = int((requests["phase"] == PROFILE).sum())
    return [
        validity.placement([p for r in replicates for p in r.placements]),
        validity.output(
            [r.agreement for r in replicates if r.agreement],
            [p for r in replicates for p in r.parity],
            same_model=precision == "fp32" and not request.arm.is_lighter,
            floor=request.min_agreement,
            no_reference=request.no_reference,
        ),
        validity.fresh_inputs([r.freshness for r in replicates]),
        validity.clock([r.clock_drift for r in replicates]),
        validity.errors(failed.tolist(), asked),
    ]


def _load_result(
    phase: str,
    part: Choice,
    budget: Budget,
    replicates: Sequence[Replicate],
    requests: pd.DataFrame,
) -> LoadResult:
    module = extensions.load(LOADS, part.name)
    aim: Aim = module.aim(module.Options.model_validate(part.options), budget)
    trials = [trial for r in replicates for trial in r.capacity.get(phase, [])]
    in_trials = requests["phase"].str.startswith(f"{phase} at ")
    rows = requests[in_trials] if trials else requests[requests["phase"] == phase]
    runs = [run for _, run in rows.groupby("replicate", sort=True)]
    response = _per_query(rows, "scheduled_ns")
    reported = None if trials else _percentiles(response)
    checks = [r.generator[phase] for r in replicates if phase in r.generator]
    failed = rows["error"].dropna()
    verdicts = [validity.errors(failed.tolist(), len(rows))]
    if trials:
        verdicts = []  # a failed request is what a trial above the capacity is for
    else:
        counted = len(response) if aim.percentile else len(rows)
        verdicts.append(_duration(runs, counted, aim, budget))
        verdicts += [
            _steady(run, aim.percentile)
            for run in runs
            if run["batch_id"].nunique() >= validity.STEADY_QUERIES
        ]
    if checks:
        p99 = reported["p99"].value if reported else _kept_p99(trials)
        verdicts.append(validity.generator(checks, p99))
    good = rows[rows["error"].isna()]
    return LoadResult(
        phase=phase,
        kind=part.name,
        queries=len(response),
        errors=len(failed),
        duration_s=max((_seconds(run) for run in runs), default=0.0),
        throughput=Estimate.absent("the rates of a capacity search differ")
        if trials
        else _throughput(runs),
        offered=aim.offered,
        response=reported or {},
        service={} if trials else _percentiles(_per_query(good, "started_ns")),
        early_stopping=validity.early_stopping(response, aim.percentile, aim.limit_s)
        if aim.percentile and not trials
        else None,
        capacity=_capacity(replicates, phase) if trials else None,
        trials=trials,
        status=overall(verdicts),
        verdicts=_worst_by_rule(verdicts),
    )


def _per_query(rows: pd.DataFrame, since: str) -> Floats:
    """Seconds from ``since`` to the end of each query, in the order of the schedule.

    A query is a batch (of one request, but for multi-stream); failed ones last for ever.
    """
    if rows.empty:
        return np.array([])
    rows = rows.drop_duplicates(["replicate", "phase", "batch_id", since])
    rows = rows.sort_values(["replicate", "scheduled_ns"], kind="stable")
    seconds = (rows["finished_ns"] - rows[since]).to_numpy(dtype=float) / 1e9
    seconds[rows["error"].notna().to_numpy()] = np.inf
    return seconds


def _percentiles(seconds: Floats) -> dict[str, Estimate]:
    finite = seconds[np.isfinite(seconds)]
    lost = len(seconds) - len(finite)
    result = {"mean": block_mean(finite) if len(finite) else Estimate.absent("nothing answered")}
    for p in PERCENTILES:
        estimate = queued_quantile(np.where(np.isfinite(seconds), seconds, 1e9), p / 100)
        if estimate.value is not None and estimate.value >= 1e9:
            estimate = Estimate.absent(
                f"{lost} of {len(seconds)} requests were never answered, so p{p:g} has no value"
            )
        elif estimate.high is not None and estimate.high >= 1e9:
            estimate = estimate.model_copy(
                update={"high": None, "reason": "the upper bound falls on unanswered requests"}
            )
        result[f"p{p:g}"] = estimate
    return result


def _throughput(runs: Sequence[pd.DataFrame]) -> Estimate:
    """Answers per second of each process; the interval is over processes, or over blocks of one."""
    rates = [float(run["error"].isna().sum()) / max(_seconds(run), 1e-12) for run in runs]
    if len(rates) != 1:
        return mean_interval(rates)
    ends = np.sort(runs[0]["finished_ns"].to_numpy(dtype=float)) / 1e9
    gaps = block_mean(np.diff(ends)) if len(ends) > 2 else None
    if gaps is None or gaps.low is None or gaps.high is None or gaps.low <= 0:
        return mean_interval(rates)
    return Estimate(
        value=rates[0],
        low=min(1 / gaps.high, rates[0]),
        high=max(1 / gaps.low, rates[0]),
        n=len(ends),
    )


def _seconds(run: pd.DataFrame) -> float:
    return float(run["finished_ns"].max() - run["scheduled_ns"].min()) / 1e9


def _duration(runs: Sequence[pd.DataFrame], queries: int, aim: Aim, budget: Budget) -> Verdict:
    shortest = min((_seconds(run) for run in runs), default=0.0)
    return validity.duration(queries, shortest, aim.queries, aim.duration_s, budget.caveat)


def _steady(run: pd.DataFrame, percentile: float | None) -> Verdict:
    """Three windows of equal length, by when a request was due and by when it was answered."""
    start, end = run["scheduled_ns"].min(), run["finished_ns"].max()
    edges = np.linspace(start, end, validity.STEADY_WINDOWS + 1)
    length_s = (end - start) / validity.STEADY_WINDOWS / 1e9
    due = np.clip(np.searchsorted(edges, run["scheduled_ns"], "right") - 1, 0, 2)
    done = np.clip(np.searchsorted(edges, run["finished_ns"], "right") - 1, 0, 2)
    response = ((run["finished_ns"] - run["scheduled_ns"]) / 1e9).to_numpy(dtype=float)
    windows = [
        (int((done == k).sum()), max(length_s, 1e-12), response[due == k])
        for k in range(validity.STEADY_WINDOWS)
    ]
    return validity.steady_state(windows, percentile)


def _worst_by_rule(verdicts: Sequence[Verdict]) -> list[Verdict]:
    worst: dict[str, Verdict] = {}
    order = ("valid", "not checked", "unstable", "invalid")
    for verdict in verdicts:
        kept = worst.get(verdict.rule)
        if kept is None or order.index(verdict.status) > order.index(kept.status):
            worst[verdict.rule] = verdict
    return list(worst.values())


def _kept_p99(trials: Sequence[Trial]) -> float | None:
    kept = [t.response.value for t in trials if t.kept and t.response.value is not None]
    return max(kept, default=None)


def _capacity(replicates: Sequence[Replicate], phase: str) -> Estimate:
    """Highest rate kept, over the processes; with one process, the bracket of its search."""
    kept = [max((t.rate for t in r.capacity[phase] if t.kept), default=0.0) for r in replicates]
    if not any(kept):
        return Estimate.absent("no rate kept the limit")
    if len(kept) > 1:
        return mean_interval(kept)
    above = [t.rate for t in replicates[0].capacity[phase] if not t.kept and t.rate > kept[0]]
    return Estimate(
        value=kept[0], low=kept[0], high=min(above, default=None), n=1,
        reason="the bracket of one search, not an interval",
    )  # fmt: skip


def _step_stats(profile: pd.DataFrame) -> list[StepStats]:
    stats = []
    for size, rows in profile.groupby("batch_size"):
        service = ((rows["finished_ns"] - rows["started_ns"]) / 1e9).to_numpy(dtype=float)
        by_process = [
            float(((run["finished_ns"] - run["started_ns"]) / 1e9).mean())
            for _, run in rows.groupby("replicate")
        ]
        stats.append(
            StepStats(
                batch_size=int(str(size)),
                batches=len(service),
                service=mean_interval(by_process)
                if len(by_process) > 1
                else mean_interval(service),
                steps={step: float(rows[f"{step}_s"].mean()) for step in STEPS},
                variation=float(service.std(ddof=1) / service.mean())
                if len(service) > 1 and service.mean()
                else None,
            )
        )
    return stats


def _loop_overhead(profile: pd.DataFrame) -> Estimate:
    """Time beside the steps: inside a batch, and from its end to the next one's start."""
    costs: list[Any] = []
    for _, run in profile.groupby("replicate"):
        run = run.sort_values("started_ns")
        inside = (run["finished_ns"] - run["started_ns"]) / 1e9 - run[
            [f"{step}_s" for step in STEPS]
        ].sum(axis=1)
        gap = (run["started_ns"].shift(-1) - run["finished_ns"]) / 1e9
        costs.append((inside + gap).dropna())
    return quantile(np.concatenate(costs), 0.5) if costs else Estimate.absent("no batches")


def _accuracy(replicates: Sequence[Replicate]) -> list[Accuracy]:
    """Each process answered the same samples; their figures are weighted by their counts."""
    groups: dict[tuple[str, str], list[Accuracy]] = {}
    for replicate in replicates:
        for entry in replicate.accuracy:
            groups.setdefault((entry.metric, entry.group), []).append(entry)
    return [
        Accuracy(
            metric=metric,
            group=group,
            value=sum(e.value * e.samples for e in entries) / sum(e.samples for e in entries),
            samples=sum(e.samples for e in entries),
        )
        for (metric, group), entries in groups.items()
    ]


def _sum(agreements: Sequence[Agreement]) -> Agreement | None:
    if not agreements:
        return None
    return Agreement(
        agreeing=sum(a.agreeing for a in agreements),
        answered=sum(a.answered for a in agreements),
        reference=agreements[0].reference,
    )


def _warnings(
    request: ArmRequest,
    replicates: Sequence[Replicate],
    profile: pd.DataFrame,
    steps: Sequence[StepStats],
    loads: Sequence[LoadResult],
) -> list[str]:
    budget, name = BUDGETS[request.budget], request.arm.name
    warnings = [budget.caveat] if budget.caveat else []
    warnings += [f"{name}: {c}" for c in {r.caveat for r in replicates} if c]
    for replicate in replicates:
        if not replicate.warm_up.settled:
            warnings.append(
                f"{name}: the warm-up reached its limit of {replicate.warm_up.batches} batches "
                "before two windows agreed within 5 %"
            )
    by_size = {
        int(str(size)): ((rows["finished_ns"] - rows["started_ns"]) / 1e9).to_numpy(dtype=float)
        for size, rows in profile.groupby("batch_size")
    }
    limits = [r.environment.get("cpu_limit_cores") for r in replicates]
    if throttled := validity.quota_warning(_threads(request), limits):
        warnings.append(f"{name}: {throttled}")
    if wide := validity.service_time_warning(by_size):
        warnings.append(f"{name}: {wide}")
    alone = next(
        (load.service["mean"].value for load in loads if load.kind == "single-stream"), None
    )
    mixed = steps[0].service.value if steps else None
    if alone and mixed and abs(alone - mixed) > DRIFT_TOLERANCE * mixed:
        warnings.append(
            f"{name}: batches of one took {mixed * 1e3:.2f} ms among other sizes and "
            f"{alone * 1e3:.2f} ms one after another; the machine drifted, or sizes influence "
            "each other"
        )
    return warnings
