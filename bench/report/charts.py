"""The figures of what was simulated and measured, as inline SVG: small, text kept as text."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from bench.measure import STEPS
from bench.report.drawing import COLOURS, STYLE, colour_of, mark_times, plain, svg
from bench.report.view import View


def latency_ecdf(view: View) -> str:
    """Share of requests answered within a time, for every deployment, with the limit."""
    with mpl.rc_context(STYLE):
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
                label=plain(curve.deployment),
                color=colour_of(view, curve.deployment),
            )
        if view.objective.response is not None:
            limit = view.objective.response.limit
            axes.axvline(limit, color="#888888", linestyle="--", linewidth=1)
            axes.annotate(" SLO", (limit, 0.02))
            axes.axhline(view.objective.response.percentile / 100, color="#BBBBBB", linewidth=0.6)
        axes.set_xscale("log")
        mark_times(axes)
        axes.set_xlabel("response time from the scheduled arrival")
        axes.set_ylabel("share of requests answered")
        axes.set_ylim(0, 1.01)
        if axes.get_legend_handles_labels()[0]:
            figure.legend(loc="outside upper center", ncols=3, frameon=False)
        return svg(figure, "Latency: share of requests answered within a time")


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
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8, 0.9 + 1.35 * len(panels)), layout="constrained")
        rows = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (column, label) in zip(rows, panels, strict=True):
            for day in view.day:
                values = getattr(day, column)
                if values is not None:
                    axes.step(
                        [t / 3600 for t in day.time_s], values, where="post", linewidth=1.1,
                        label=plain(day.deployment), color=colour_of(view, day.deployment),
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
        return svg(figure, "A simulated day: requests, queue, servers and cost over time")


def step_bars(view: View) -> str:
    """The six steps of one request (batch size 1), stacked, for every measured arm."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8, 1.6 + 0.55 * len(view.arms)), layout="constrained")
        axes = figure.subplots()
        names = [plain(arm.arm) for arm in view.arms]
        left = np.zeros(len(view.arms))
        for step, colour in zip(STEPS, COLOURS, strict=False):
            widths = np.array([arm.steps[0].steps[step] * 1e3 for arm in view.arms])
            axes.barh(names, widths, left=left, label=step, color=colour, height=0.6)
            left += widths
        axes.set_xlabel("service time of one request (ms)")
        axes.invert_yaxis()
        figure.legend(loc="outside upper center", ncols=6, frameon=False)
        return svg(figure, "Service time of one request by step")


def size_lines(view: View) -> str:
    """Service time of one request against its size: the medians measured, and the line."""
    alone = [line for line in view.sizes if line.classes and line.batch_size == 1]
    if not alone:
        return ""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8, 3.4), layout="constrained")
        axes = figure.subplots()
        for line, colour in zip(alone, COLOURS * len(alone), strict=False):
            work = np.array([one.work for one in line.classes])
            axes.scatter(work, [one.median * 1e3 for one in line.classes], color=colour, s=18)
            ends = np.array([0.0, work.max()])
            axes.plot(
                ends, (line.fixed_s + line.per_unit_s * ends) * 1e3, color=colour, linewidth=1,
                label=plain(line.arm),
            )  # fmt: skip
        axes.set_xlabel(plain(f"size of the request ({alone[0].unit})"))
        axes.set_ylabel("service time (ms)")
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=0)
        figure.legend(loc="outside upper center", ncols=2, frameon=False)
        return svg(figure, "Service time of one request against its size")


def ledger_bars(view: View) -> str:
    """What each deployment's day costs, stacked by item."""
    with mpl.rc_context(STYLE):
        costed = view.costs.deployments
        figure = Figure(figsize=(8, 1.8 + 0.55 * max(len(costed), 1)), layout="constrained")
        axes = figure.subplots()
        items = list(dict.fromkeys(_kind(line.item) for c in costed for line in c.ledger.lines))
        left = np.zeros(len(costed))
        for index, item in enumerate(items):
            widths = np.array(
                [
                    float(
                        sum(line.amount_usd for line in c.ledger.lines if _kind(line.item) == item)
                    )
                    for c in costed
                ]
            )
            colour = COLOURS[index % len(COLOURS)]
            axes.barh([plain(c.deployment) for c in costed], widths, left=left, label=item,
                      color=colour, height=0.6, alpha=1.0 if index < len(COLOURS) else 0.5)  # fmt: skip
            left += widths
        axes.set_xlabel("US dollars a day")
        axes.invert_yaxis()
        if items:
            figure.legend(loc="outside upper center", ncols=min(len(items), 5), frameon=False)
        return svg(figure, "Cost of a day by item")


def _kind(item: str) -> str:
    """The tiers of a price are one item."""
    return item.partition(",")[0]
