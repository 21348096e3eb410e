"""Validation → one HTML file that needs nothing else: live and simulated, side by side."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from bench.report.drawing import COLOURS, STYLE, mark_times, svg
from bench.report.html import environment
from bench.report.terminal import comparison_cells
from bench.scenario import ResolvedScenario
from bench.store import Header
from bench.validate import Level, Observation, Validation


def render_validation(
    header: Header, scenario: ResolvedScenario, observed: Observation, found: Validation
) -> str:
    """The page of a validation as one HTML document."""
    page = environment()
    return page.get_template("validation.html.j2").render(
        header=header,
        title=scenario.scenario.title or scenario.scenario.name,
        observed=observed,
        found=found,
        cells=comparison_cells,
        # Escapes its own text (XML written by matplotlib); everything else is autoescaped.
        curves=Markup(_curves(found)),  # noqa: S704
        drift=Markup(_drift(found)),  # noqa: S704
    )


def _curves(found: Validation) -> str:
    """Share of requests answered within a time, at every level: live and simulated."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8, 3.8), layout="constrained")
        axes = figure.subplots()
        for level, colour in zip(found.levels, _colours(found.levels), strict=True):
            for curve, line, who in (
                (level.live_curve_s, "-", "live"),
                (level.simulated_curve_s, ":", "simulated"),
            ):
                if curve:
                    axes.step(
                        curve, np.linspace(0, 1, len(curve)), line, where="post", color=colour,
                        label=f"{level.level:g} {who}",
                    )  # fmt: skip
        axes.set_xscale("log")
        mark_times(axes)
        axes.set_xlabel("response time from when it was due")
        axes.set_ylabel("share of requests answered")
        axes.set_ylim(0, 1.01)
        figure.legend(loc="outside upper center", ncols=max(len(found.levels), 2), frameon=False)
        return svg(figure, "Live and simulated: share of requests answered within a time")


def _drift(found: Validation) -> str:
    """The machine's speed from one block of calibration to the next."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8, 1.8), layout="constrained")
        axes = figure.subplots()
        axes.plot(found.drift.factors, "o-", color=COLOURS[0], markersize=4, linewidth=1)
        axes.axhline(1.0, color="#BBBBBB", linewidth=0.6)
        axes.set_ylabel("service time")
        axes.set_xlabel("block of calibration")
        return svg(figure, "Service times of each block of calibration, in those of all")


def _colours(levels: list[Level]) -> list[str]:
    return [COLOURS[place % len(COLOURS)] for place in range(len(levels))]
