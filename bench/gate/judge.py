"""What all rounds so far say: of each declared metric, and of the gate."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from bench.gate.asked import SIDES, Better, Metric, SideName
from bench.gate.evidence import Floats
from bench.gate.figures import Unit
from bench.gate.rounds import Round
from bench.gate.weigh import Finding, Rule, Weighed, weigh
from bench.record import Record

Verdict = Literal["PASS", "IMPROVED", "REGRESSED", "INCONCLUSIVE", "MISSING"]
EXIT_CODES: Mapping[Verdict, int] = {
    "PASS": 0,
    "IMPROVED": 0,
    "REGRESSED": 1,
    "INCONCLUSIVE": 3,
    "MISSING": 4,
}
CONTROL_MOVES = 0.05
"""By more, and the machine was not the same for both sides."""
FALSE_ADVICE = 0.05
"""Share of those advisory metrics that are named, that may be named falsely."""


class Part(Record):
    """A figure that adds up to a metric."""

    name: str
    base: float
    head: float


class Row(Record):
    """One metric."""

    metric: Metric
    unit: Unit | None = None
    base: float | None = None
    """Median over rounds, as is ``head``."""
    head: float | None = None
    exact: bool = False
    weighed: Weighed | None = None
    """Of one with noise."""
    finding: Finding = "open"
    missing: str | None = None
    """Why it can never pass."""
    note: str | None = None
    parts: list[Part] = Field(default=[])
    """What it is made of, that which grew most first."""


class Judgement(Record):
    """All metrics, and what follows."""

    verdict: Verdict
    why: str
    rounds: int
    rows: list[Row]
    controls: dict[str, float]
    """By how much the machine was slower for head than for base."""
    decided: bool
    """More rounds change nothing, or are not worth it."""


def judge(
    metrics: Sequence[Metric],
    rounds: Sequence[Round],
    rule: Rule,
    floors: Mapping[str, float] | None = None,
) -> Judgement:
    """Judge what there is.

    Args:
        floors: by metric, the smallest effect that this machine can tell from none.
    """
    gated = sum(metric.gated for metric in metrics)
    rows = [
        _row(metric, rounds, gated, rule, (floors or {}).get(metric.name, 0.0))
        for metric in metrics
    ]
    rows = _advised(rows)
    controls = _controls(rounds)
    verdict, why = _verdict([row for row in rows if row.metric.gated], controls)
    promising = any(row.weighed and row.weighed.promising for row in rows if row.metric.gated)
    return Judgement(
        verdict=verdict,
        why=why,
        rounds=len(rounds),
        rows=rows,
        controls=controls,
        decided=verdict != "INCONCLUSIVE" and not (verdict in ("PASS", "IMPROVED") and promising),
    )


def _verdict(gated: Sequence[Row], controls: Mapping[str, float]) -> tuple[Verdict, str]:
    def named(finding: Finding, *, exact: bool | None = None) -> str:
        return ", ".join(
            row.metric.name
            for row in gated
            if row.finding == finding and exact in (None, row.exact) and not row.missing
        )

    missing = [f"{row.metric.name} ({row.missing})" for row in gated if row.missing]
    moved = [
        f"{name} by {change:+.1%}"
        for name, change in controls.items()
        if abs(change) > CONTROL_MOVES
    ]
    if worse := named("worse", exact=True):
        return "REGRESSED", f"{worse}: worse, to the last digit"
    if missing or not gated:
        return "MISSING", "; ".join(missing) or "no metric is gated"
    if moved:
        return "INCONCLUSIVE", (
            f"the machine itself changed between the sides: {', '.join(moved)} in work that no change can touch"
        )
    if worse := named("worse"):
        return "REGRESSED", f"{worse}: worse"
    if still_open := named("open"):
        return "INCONCLUSIVE", f"{still_open}: neither worse nor the same could be shown"
    if better := named("better"):
        return "IMPROVED", f"{better}: better"
    return "PASS", "no metric is worse by as much as matters"


def _row(metric: Metric, rounds: Sequence[Round], gated: int, rule: Rule, floor: float) -> Row:
    if why := _missing(metric.name, rounds):
        return Row(metric=metric, missing=why)
    if not rounds:
        return Row(metric=metric, note="no round was played")
    about = rounds[0].base.figures[metric.name]
    better = metric.better or about.better
    base, head = (_values(rounds, side, metric.name) for side in SIDES)
    row = Row(
        metric=metric,
        unit=about.unit,
        base=float(np.median(base)),
        head=float(np.median(head)),
        exact=not noisy(metric, rounds),
    )
    if row.exact:
        return row.model_copy(update=_compared(base, head, metric.tolerance, better))
    if min(base.min(), head.min()) <= 0:
        return Row(metric=metric, missing="it is not above zero, so that there is no ratio")
    weighed = weigh(changes(metric, rounds), max(metric.least_effect, floor), gated, rule)
    return row.model_copy(
        update={
            "weighed": weighed,
            "finding": weighed.finding,
            "parts": _parts(metric.name, rounds),
        }
    )


def noisy(metric: Metric, rounds: Sequence[Round]) -> bool:
    """Whether a metric has to be seen more than once; of one that is not there, as it is declared."""
    if metric.exact is not None:
        return not metric.exact
    figure = rounds[0].base.figures.get(metric.name) if rounds else None
    return figure is None or not figure.exact


def changes(metric: Metric, rounds: Sequence[Round]) -> Floats:
    """Of each round, log(head ÷ base) of a metric that is there, turned so that more is worse."""
    base, head = (_values(rounds, side, metric.name) for side in SIDES)
    better = metric.better or rounds[0].base.figures[metric.name].better
    change: Floats = np.log(head / base) * (-1 if better == "higher" else 1)
    return change


def _missing(name: str, rounds: Sequence[Round]) -> str | None:
    """Why a metric was not seen in every process of both sides."""
    for number, one in enumerate(rounds, 1):
        for side in SIDES:
            process = one.of(side)
            if process.failure:
                return f"{side} failed in round {number}: {process.failure}"
            figure = process.figures.get(name)
            if figure is None:
                return f"{side} did not say it in round {number}"
            if figure.value is None:
                return f"{side}, round {number}: {figure.reason}"
    return None


def _values(rounds: Sequence[Round], side: SideName, name: str) -> Floats:
    return np.array([one.of(side).figures[name].value for one in rounds], float)


def _compared(base: Floats, head: Floats, tolerance: float, better: Better) -> dict[str, str]:
    """Two figures without noise."""
    if np.any(base != base[0]) or np.any(head != head[0]):
        return {"note": "it varies between processes of one side, and is not exact"}
    change = head[0] - base[0]
    if abs(change) <= tolerance * abs(base[0]):
        return {"finding": "same"}
    is_worse = better == "equal" or (change > 0) == (better == "lower")
    return {"finding": "worse" if is_worse else "better"}


def _parts(name: str, rounds: Sequence[Round]) -> list[Part]:
    """What a metric is made of; that which grew most first."""
    made_of = [key for key, figure in rounds[0].base.figures.items() if figure.part_of == name]
    found = [
        Part(
            name=key,
            base=float(np.median(_values(rounds, "base", key))),
            head=float(np.median(_values(rounds, "head", key))),
        )
        for key in made_of
        if not _missing(key, rounds)
    ]
    return sorted(found, key=lambda part: part.base - part.head)


def _advised(rows: Sequence[Row]) -> list[Row]:
    """Of the metrics that decide nothing, those of which evidence says that they are worse: as many as keep
    the share of false ones (e-BH: Wang and Ramdas, JRSS B 2022)."""
    advisory = [row for row in rows if not row.metric.gated and row.weighed]
    ordered = sorted((row.weighed.worse for row in advisory if row.weighed), reverse=True)
    enough = [
        value
        for rank, value in enumerate(ordered, 1)
        if value * rank >= len(advisory) / FALSE_ADVICE
    ]
    least = min(enough, default=math.inf)
    return [
        row.model_copy(update={"finding": "worse" if row.weighed.worse >= least else "open"})
        if row.weighed and not row.metric.gated
        else row
        for row in rows
    ]


def _controls(rounds: Sequence[Round]) -> dict[str, float]:
    """By how much the work of the controls took longer before head's processes, in the median."""
    if not rounds:
        return {}
    slower = {
        name: [np.log(one.head.controls[name] / one.base.controls[name]) for one in rounds]
        for name in rounds[0].base.controls
    }
    return {name: float(np.expm1(np.median(own))) for name, own in slower.items()}
