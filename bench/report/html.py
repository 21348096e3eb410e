"""View → one HTML file that needs nothing else: no script, no network, everything escaped."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from bench.compare import PLANNED_UTILISATION
from bench.record import Estimate
from bench.report import charts, what_if_charts
from bench.report.drawing import colour_of
from bench.report.quantities import format_input
from bench.report.view import View
from bench.units import format_chance, format_percent, format_seconds, format_usd


@functools.cache
def environment() -> Environment:
    """What every page is made with: autoescaped, figures as ``bench.units`` writes them."""
    page = Environment(
        loader=PackageLoader("bench.report"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page.filters.update(
        usd=lambda e: _with_interval(e, format_usd),
        seconds=lambda e: _with_interval(e, format_seconds),
        percent=lambda e: _with_interval(e, format_percent),
        kg=lambda e: _with_interval(e, _kg),
        joules=lambda e: _with_interval(e, lambda value: f"{value:.4g} J"),
        watts=lambda e: _with_interval(e, lambda value: f"{value:.4g} W"),
        plain_seconds=format_seconds,
        interval=_interval,
        input=format_input,
        json=lambda value: json.dumps(value, indent=2, ensure_ascii=False),
    )
    page.globals["forms"] = {
        "usd": format_usd,
        "seconds": format_seconds,
        "percent": format_percent,
        "chance": format_chance,
        "kg": _kg,
        "bytes": _kilobytes,
    }
    return page


def render_html(view: View) -> str:
    """The report as one HTML document."""
    template = environment().get_template("report.html.j2")
    # Charts escape their own text (XML written by matplotlib); everything else is autoescaped.
    return template.render(
        planned=PLANNED_UTILISATION,
        view=view,
        latency=Markup(charts.latency_ecdf(view)),  # noqa: S704
        day=Markup(charts.day_panels(view) if view.day else ""),  # noqa: S704
        steps=Markup(charts.step_bars(view) if view.arms else ""),  # noqa: S704
        ledger=Markup(charts.ledger_bars(view)),  # noqa: S704
        sizes=Markup(charts.size_lines(view)),  # noqa: S704
        colour=lambda name: colour_of(view, name),
        **_what_if(view),
    )


def _what_if(view: View) -> dict[str, object]:
    """The figures and the sentence of the what-ifs, where the run has them."""
    if view.what_if is None:
        return {}
    found, even = view.what_if.sensitivity, view.what_if.break_even
    moved = {r.deployment for i in found.inputs for r in i.readings if r.swing}
    ranked = [entry.deployment for entry in view.comparison.ranking]
    shown = next((name for name in ranked if name in moved), None)
    drawn = "" if shown is None else what_if_charts.tornado(found, shown)
    return {
        "shown": shown,
        "moved_sentence": _moved_sentence(view, shown),
        "tornado": Markup(drawn),  # noqa: S704
        "traffic": Markup(what_if_charts.cost_over_traffic(view, even)),  # noqa: S704
    }


def _moved_sentence(view: View, shown: str | None) -> str:
    assert view.what_if is not None  # noqa: S101
    found = view.what_if.sensitivity
    deciding = [moved.name for moved in found.inputs if moved.changes_winner]
    if not view.comparison.objective_met:
        said = "No deployment keeps the objective, at any price."
    elif deciding:
        said = f"Within their bounds, these change which deployment is the cheapest: {', '.join(deciding)}."
    else:
        said = "No input, within its bounds, changes which deployment is the cheapest."
    if found.subject is not None and shown != found.subject:
        said += f" No price or assumption of {found.subject} has bounds that move its cost."
    return said


def _kg(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g} kg"


def _kilobytes(value: float) -> str:
    return f"{value / 1000:.3g} kB"


def _with_interval(estimate: Estimate, form: Callable[[float | None], str]) -> str:
    """For running text: the value, and its interval in brackets."""
    if estimate.value is None:
        return f"none: {estimate.reason}"
    interval = _interval(estimate, form)
    return form(estimate.value) + (f" ({interval})" if interval else "")


def _interval(estimate: Estimate, form: Callable[[float | None], str]) -> str:
    """The interval, or nothing where it is narrower than the digits shown."""
    if estimate.low is None or estimate.high is None:
        return ""
    low, high = form(estimate.low), form(estimate.high)
    return "" if low == high == form(estimate.value) else f"{low} – {high}"
