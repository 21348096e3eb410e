"""The figures of what might be otherwise: a tornado, and cost over traffic."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from bench.compare import BreakEven, MovedInput, Sensitivity
from bench.report.drawing import COLOURS, STYLE, colour_of, plain, svg
from bench.report.quantities import format_input
from bench.report.view import View

MOST_BARS = 15
MARKERS = "osD^vPX"
"""Shapes tell the curves apart where colours do not."""


def tornado(found: Sensitivity, deployment: str) -> str:
    """Dollars per million of one deployment, with each input at its low and at its high."""
    bars = [
        (moved, reading)
        for moved in found.inputs
        for reading in moved.readings
        if reading.deployment == deployment and reading.swing
    ]
    bars = sorted(bars, key=lambda bar: -bar[1].swing)[:MOST_BARS]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8, 1.3 + 0.42 * len(bars)), layout="constrained")
        axes = figure.subplots()
        places = range(len(bars))
        base = bars[0][1].base or 0.0
        for side, colour, hatch in (("low", COLOURS[0], ""), ("high", COLOURS[1], "///")):
            ends = [getattr(reading, side) for _, reading in bars]
            drawn = axes.barh(
                places, [(base if end is None else end) - base for end in ends], left=base,
                color=colour, hatch=hatch, edgecolor="white", linewidth=0.5, height=0.6,
                label=f"input at its {side}",
            )  # fmt: skip
            _say_bounds(axes, drawn, [moved for moved, _ in bars], side, base)
        axes.axvline(base, color="#888888", linewidth=1)
        axes.set_yticks(places, [plain(moved.name) for moved, _ in bars])
        axes.margins(x=0.18)
        axes.invert_yaxis()
        axes.set_xlabel("US dollars per million answered requests")
        figure.legend(loc="outside upper center", ncols=2, frameon=False)
        return svg(figure, "Tornado: cost with each input at its low and at its high")


def _say_bounds(axes: Any, drawn: Any, moved: list[MovedInput], side: str, base: float) -> None:
    """The bound itself, at the end of its bar."""
    for bar, what in zip(drawn, moved, strict=True):
        if bar.get_width():
            right = bar.get_width() > 0
            axes.annotate(
                plain(format_input(getattr(what, side), what.unit)),
                (base + bar.get_width(), bar.get_y() + bar.get_height() / 2),
                xytext=(4 if right else -4, 0), textcoords="offset points", fontsize=8,
                va="center", ha="left" if right else "right",
            )  # fmt: skip


def cost_over_traffic(view: View, found: BreakEven) -> str:
    """Cost per million over requests a day; hollow where the objective is missed."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8, 3.8), layout="constrained")
        axes = figure.subplots()
        names = [cost.deployment for cost in found.points[0].deployments]
        for place, name in enumerate(names):
            _curve(axes, found, name, colour_of(view, name), MARKERS[place % len(MARKERS)])
        for border in found.cheapest[1:]:
            axes.axvline(border.from_requests_per_day, color="#888888", linestyle=":", linewidth=1)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.yaxis.set_major_formatter(lambda value, _: rf"\${value:,.6g}")
        axes.set_xlabel("requests a day")
        axes.set_ylabel("$ per million")
        if axes.get_legend_handles_labels()[0]:
            figure.legend(loc="outside upper center", ncols=3, frameon=False)
        return svg(figure, "Break-even: cost per million over requests a day")


def _curve(axes: Any, found: BreakEven, name: str, colour: str, marker: str) -> None:
    costs = [
        (point.requests_per_day, cost.usd_per_million or float("nan"), cost.feasible)
        for point in found.points
        for cost in point.deployments
        if cost.deployment == name
    ]
    if all(usd != usd for _, usd, _ in costs):  # a gap is not a number, and so is what is free
        return
    axes.plot([x for x, _, _ in costs], [usd for _, usd, _ in costs], color=colour, linewidth=1.2)
    for kept in (True, False):
        shown = [(x, usd) for x, usd, feasible in costs if feasible == kept]
        axes.plot(
            [x for x, _ in shown], [usd for _, usd in shown], linestyle="none", marker=marker,
            color=colour, markerfacecolor=colour if kept else "none",
        )  # fmt: skip
    axes.plot([], [], color=colour, marker=marker, label=plain(name))
