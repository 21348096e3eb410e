"""The figures of a report as inline SVG: small, text kept as text, the same bytes every time."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from bench.errors import shorten
from bench.measure import STEPS
from bench.report.view import View

# Okabe and Ito's palette, told apart by colour-blind readers (Nature Methods 8, 441, 2011).
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A7A7A")
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "inference-testbed",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#888888",
    "axes.labelcolor": "#777777",
    "text.color": "#777777",
    "xtick.color": "#777777",
    "ytick.color": "#777777",
}


_TIMES = (
    (1e-4, "0.1 ms"), (1e-3, "1 ms"), (1e-2, "10 ms"), (0.1, "100 ms"), (1.0, "1 s"),
    (10.0, "10 s"), (60.0, "1 min"), (600.0, "10 min"), (3600.0, "1 h"), (36000.0, "10 h"),
)  # fmt: skip


def colour_of(view: View, deployment: str) -> str:
    """One colour per deployment, by its place in the scenario, throughout the report."""
    names = [curve.deployment for curve in view.curves]
    return COLOURS[names.index(deployment) % len(COLOURS)]


def latency_ecdf(view: View) -> str:
    """Share of requests answered within a time, for every deployment, with the limit."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(8, 3.6), layout="constrained")
        axes = figure.subplots()
        for curve in view.curves:
            known = [(q, s) for q, s in enumerate(curve.quantiles_s) if s is not None]
            if not known:
                continue
            shares = [q / (len(curve.quantiles_s) - 1) for q, _ in known]
            axes.step(
                [s for _, s in known],
                shares,
                where="post",
                label=_plain(curve.deployment),
                color=colour_of(view, curve.deployment),
            )
        if view.objective.response is not None:
            limit = view.objective.response.limit
            axes.axvline(limit, color="#888888", linestyle="--", linewidth=1)
            axes.annotate(" SLO", (limit, 0.02))
            axes.axhline(view.objective.response.percentile / 100, color="#BBBBBB", linewidth=0.6)
        axes.set_xscale("log")
        _mark_times(axes)
        axes.set_xlabel("response time from the scheduled arrival")
        axes.set_ylabel("share of requests answered")
        axes.set_ylim(0, 1.01)
        if axes.get_legend_handles_labels()[0]:
            figure.legend(loc="outside upper center", ncols=3, frameon=False)
        return _svg(figure, "Latency: share of requests answered within a time")


_PANELS = (
    ("arrived_per_s", "requests/s"),
    ("waiting", "waiting"),
    ("ready", "servers ready"),
    ("power_w", "power (W)"),
    ("usd_per_hour", "$ an hour"),
)


def day_panels(view: View) -> str:
    """A simulated day: what came, what waited, what ran, what it drew and cost."""
    panels = [panel for panel in _PANELS if any(getattr(day, panel[0]) for day in view.day)]
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(8, 0.9 + 1.35 * len(panels)), layout="constrained")
        rows = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (column, label) in zip(rows, panels, strict=True):
            for day in view.day:
                values = getattr(day, column)
                if values is not None:
                    axes.step(
                        [t / 3600 for t in day.time_s], values, where="post", linewidth=1.1,
                        label=_plain(day.deployment), color=colour_of(view, day.deployment),
                    )  # fmt: skip
            axes.set_ylabel(label)
            axes.set_ylim(bottom=0)
        hours = max(day.time_s[-1] / 3600 for day in view.day)
        step = 3 if hours <= 48 else 24
        marks = np.arange(0, hours + step / 2, step)
        rows[-1].set_xticks(
            marks,
            [
                f"{mark % 24:02.0f}:00" if step < 24 else f"day {mark // 24 + 1:.0f}"
                for mark in marks
            ],
        )
        figure.legend(
            *rows[0].get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False
        )
        return _svg(figure, "A simulated day: requests, queue, servers and cost over time")


def step_bars(view: View) -> str:
    """The six steps of one request (batch size 1), stacked, for every measured arm."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(8, 1.6 + 0.55 * len(view.arms)), layout="constrained")
        axes = figure.subplots()
        names = [_plain(arm.arm) for arm in view.arms]
        left = np.zeros(len(view.arms))
        for step, colour in zip(STEPS, COLOURS, strict=False):
            widths = np.array([arm.steps[0].steps[step] * 1e3 for arm in view.arms])
            axes.barh(names, widths, left=left, label=step, color=colour, height=0.6)
            left += widths
        axes.set_xlabel("service time of one request (ms)")
        axes.invert_yaxis()
        figure.legend(loc="outside upper center", ncols=6, frameon=False)
        return _svg(figure, "Service time of one request by step")


def ledger_bars(view: View) -> str:
    """What each deployment's day costs, stacked by item."""
    with mpl.rc_context(_STYLE):
        costed = view.costs.deployments
        figure = Figure(figsize=(8, 1.8 + 0.55 * max(len(costed), 1)), layout="constrained")
        axes = figure.subplots()
        items = list(dict.fromkeys(line.item for c in costed for line in c.ledger.lines))
        left = np.zeros(len(costed))
        for index, item in enumerate(items):
            widths = np.array(
                [
                    float(sum(line.amount_usd for line in c.ledger.lines if line.item == item))
                    for c in costed
                ]
            )
            colour = COLOURS[index % len(COLOURS)]
            axes.barh([_plain(c.deployment) for c in costed], widths, left=left, label=item,
                      color=colour, height=0.6, alpha=1.0 if index < len(COLOURS) else 0.5)  # fmt: skip
            left += widths
        axes.set_xlabel("US dollars a day")
        axes.invert_yaxis()
        if items:
            figure.legend(loc="outside upper center", ncols=min(len(items), 5), frameon=False)
        return _svg(figure, "Cost of a day by item")


def _mark_times(axes: Any) -> None:
    """Ticks at the times people think in."""
    low, high = axes.get_xlim()
    shown = [(at, text) for at, text in _TIMES if low <= at <= high]
    if len(shown) > 1:
        axes.set_xticks([at for at, _ in shown], [text for _, text in shown], minor=False)
        axes.minorticks_off()


def _plain(name: str) -> str:
    """A name as matplotlib draws it verbatim: no mathematics, no control characters."""
    flat = shorten(re.sub(r"[\x00-\x1f]", " ", name), 36)
    return flat.replace("$", r"\$")


def _svg(figure: Figure, title: str) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata=_no_metadata())
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # Inside HTML, SVG needs no namespaces; without them the page holds no URL at all.
    text = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", text).replace("xlink:href", "href")
    return text.replace("<svg ", f'<svg role="img" aria-label="{title}" ', 1)


def _no_metadata() -> dict[str, None]:
    names: Sequence[str] = ("Date", "Creator", "Format", "Type")
    return dict.fromkeys(names)
