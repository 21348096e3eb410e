"""The figure of a plan: cost over 99th percentile of what was found."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from markupsafe import escape
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from bench.compare import Ranked
from bench.plan import Plan, Planned
from bench.record import Estimate
from bench.report.drawing import COLOURS, STYLE, mark_times, svg
from bench.scenario import Objective
from bench.units import format_seconds, format_usd

KINDS = ("batch", "real_time", "edge", "hybrid", "line")
"""Each has the colour of its place, in every plan."""
MARKERS = {"measured": "o", "published": "s", "projected": "D", "assumed": "^"}
"""Shapes say what a figure rests on, where colours say the kind."""
FEW_DECADES = 1000
ROOM = 10
"""Points between the numbers of two marks, so that neither covers the other."""


@dataclass(frozen=True)
class Mark:
    """One deployment in the figure."""

    entry: Ranked
    number: int | None
    """Its place among the cheapest of every offer."""
    on_front: bool

    @property
    def at(self) -> tuple[float, float]:
        return self.entry.p99_s.value or 0.0, self.entry.usd_per_million.value or 0.0

    @property
    def said(self) -> str:
        entry = self.entry
        number = f"{self.number}. " if self.number else ""
        missed = "" if entry.feasible else f". Misses the objective: {'; '.join(entry.reasons)}"
        return (
            f"{number}{entry.deployment}: {format_usd(entry.usd_per_million.value)} per million, "
            f"p99 {format_seconds(entry.p99_s.value)}, {entry.provenance}{missed}"
        )


def colour_of_kind(kind: str) -> str:
    return COLOURS[KINDS.index(kind)]


def marks_of(plan: Plan) -> list[Mark]:
    """The cheapest of every offer, the front, and what misses; each once, where it has a place."""
    front = {planned.entry.deployment for planned in plan.front}
    marks: dict[str, Mark] = {}
    for number, planned in _all_of(plan):
        name = planned.entry.deployment
        mark = Mark(planned.entry, number, name in front)
        if name not in marks and min(mark.at) > 0:
            marks[name] = mark
    return list(marks.values())


def _all_of(plan: Plan) -> Iterator[tuple[int | None, Planned]]:
    yield from enumerate(plan.cheapest, 1)
    yield from ((None, planned) for planned in (*plan.front, *plan.near_misses))


def staircase(marks: Sequence[Mark]) -> list[tuple[float, float]]:
    """The least cost at which a p99 is kept: of the front, those that no other beats in both."""
    steps: list[tuple[float, float]] = []
    for at in sorted(mark.at for mark in marks if mark.on_front):
        if not steps or at[1] < steps[-1][1]:
            steps.append(at)
    return steps


def cost_over_latency(plan: Plan, objective: Objective) -> str:
    """Dollars per million over 99th percentile, both logarithmic; nothing if none has a place."""
    marks = marks_of(plan)
    if not marks:
        return ""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8, 4.6), layout="constrained")
        axes = figure.subplots()
        axes.set_xscale("log")
        axes.set_yscale("log")
        steps = staircase(marks)
        if len(steps) > 1:
            axes.step(
                [p99 for p99, _ in steps], [usd for _, usd in steps], where="post",
                color="#888888", linewidth=1.2, zorder=1,
            )  # fmt: skip
        for place, mark in enumerate(marks):
            _draw(axes, mark, f"mark-{place}")
        axes.margins(x=0.08, y=0.1)
        if objective.response is not None:
            _limit(axes, objective.response.percentile, objective.response.limit)
        _mark_latencies(axes)
        _mark_costs(axes)
        axes.set_xlabel("99th percentile of the response time")
        axes.set_ylabel("US dollars per million answered requests")
        figure.legend(
            handles=list(_legend(axes, marks)), loc="outside upper center", ncols=4, frameon=False
        )
        figure.draw_without_rendering()
        _number(axes, marks)
        drawn = svg(figure, "Cost over latency of the deployments found", _described(plan, marks))
    for place, mark in enumerate(marks):
        drawn = drawn.replace(
            f'<g id="mark-{place}">', f'<g id="mark-{place}"><title>{escape(mark.said)}</title>', 1
        )
    return drawn


def _draw(axes: Any, mark: Mark, gid: str) -> None:
    """A ring for the front, bars for the intervals; hollow where the objective is missed."""
    entry, (p99, usd) = mark.entry, mark.at
    colour = colour_of_kind(entry.kind)
    axes.errorbar(
        p99, usd, xerr=_reach(entry.p99_s), yerr=_reach(entry.usd_per_million), fmt="none",
        ecolor=colour, elinewidth=1, alpha=0.6, zorder=2,
    )  # fmt: skip
    if mark.on_front:
        axes.plot(
            p99, usd, linestyle="none", marker="o", markersize=13, markerfacecolor="none",
            markeredgecolor="#888888", zorder=2,
        )  # fmt: skip
    axes.plot(
        p99, usd, linestyle="none", marker=MARKERS[entry.provenance], markersize=6.5, color=colour,
        markerfacecolor=colour if entry.feasible else "none", zorder=3, gid=gid,
    )  # fmt: skip


def _reach(estimate: Estimate) -> list[list[float]] | None:
    """How far the interval goes down and up; down to what a logarithmic axis can show."""
    value, low, high = estimate.value, estimate.low, estimate.high
    if value is None or low is None or high is None:
        return None
    return [[value - max(min(low, value), value / 1000)], [max(high, value) - value]]


def _limit(axes: Any, percentile: float, limit: float) -> None:
    axes.axvline(limit, color="#888888", linestyle="--", linewidth=1, zorder=1)
    axes.annotate(
        f"SLO: p{percentile:g} within {format_seconds(limit)}", (limit, 1),
        xycoords=("data", "axes fraction"), xytext=(-4, -2), textcoords="offset points",
        rotation=90, ha="right", va="top", fontsize=8,
    )  # fmt: skip


def _mark_latencies(axes: Any) -> None:
    """As other figures have them, and closer where little more than a decade is shown."""
    low, high = axes.get_xlim()
    mark_times(axes)
    if high < 60 and high / low < FEW_DECADES:
        shown = _rounded(low, high)
        axes.set_xticks(shown, [format_seconds(tick) for tick in shown], minor=False)
    axes.xaxis.set_minor_formatter(NullFormatter())


def _mark_costs(axes: Any) -> None:
    shown = _rounded(*axes.get_ylim())
    axes.set_yticks(shown, [rf"\${tick:,.6g}" for tick in shown])
    axes.yaxis.set_minor_formatter(NullFormatter())


def _rounded(low: float, high: float) -> list[float]:
    """1, 2 and 5 where few decades are shown, powers of ten where there are more."""
    digits = (1, 2, 5) if high / low < FEW_DECADES else (1,)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = (digit * 10.0**decade for decade in decades for digit in digits)
    return [tick for tick in ticks if low <= tick <= high]


def _number(axes: Any, marks: Sequence[Mark]) -> None:
    """The place in the table, beside each mark that has room for it."""
    taken: list[tuple[float, float]] = []
    scale = 72 / axes.figure.dpi
    for mark in marks:
        x, y = axes.transData.transform(mark.at) * scale
        if mark.number and all(math.hypot(x - a, y - b) >= ROOM for a, b in taken):
            axes.annotate(
                str(mark.number), mark.at, xytext=(8, 1), textcoords="offset points",
                fontsize=8, va="bottom",
            )  # fmt: skip
            taken.append((x, y))


def _legend(axes: Any, marks: Sequence[Mark]) -> Iterator[Any]:
    """Kinds by colour, provenance by shape, and what a ring and a hollow mark are."""

    def key(label: str, **look: Any) -> Any:
        return axes.plot([], [], linestyle="none", label=label, **look)[0]

    for kind in KINDS:
        if any(mark.entry.kind == kind for mark in marks):
            yield key(kind.replace("_", "-"), marker="s", markersize=9, color=colour_of_kind(kind))
    for provenance, marker in MARKERS.items():
        if any(mark.entry.provenance == provenance for mark in marks):
            yield key(provenance, marker=marker, color="#777777")
    ring = {"marker": "o", "markersize": 11, "markerfacecolor": "none"}
    if any(mark.on_front for mark in marks):
        yield key("on the Pareto front", markeredgecolor="#888888", **ring)
    if not all(mark.entry.feasible for mark in marks):
        yield key("misses the objective", marker="^", color="#777777", markerfacecolor="none")


def _described(plan: Plan, marks: Sequence[Mark]) -> str:
    """For those who do not see it; one line without control characters."""
    kept = [mark for mark in marks if mark.entry.feasible]
    first = f" The cheapest is {kept[0].said}." if kept else ""
    text = (
        f"A scatter plot of {len(marks)} deployments, of which {len(kept)} meet the objective and "
        f"{sum(mark.on_front for mark in marks)} are on the Pareto front.{first} "
        "The tables below have every figure."
    )
    return re.sub(r"[\x00-\x1f]", " ", text)
