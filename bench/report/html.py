"""View → one HTML file that needs nothing else: no script, no network, everything escaped."""

from __future__ import annotations

import json
from collections.abc import Callable

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from bench.record import Estimate
from bench.report import charts
from bench.report.view import View
from bench.units import format_percent, format_seconds, format_usd


def render_html(view: View) -> str:
    """The report as one HTML document."""
    environment = Environment(
        loader=PackageLoader("bench.report"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        usd=lambda e: _with_interval(e, format_usd),
        seconds=lambda e: _with_interval(e, format_seconds),
        percent=lambda e: _with_interval(e, format_percent),
        joules=lambda e: _with_interval(e, lambda value: f"{value:.4g} J"),
        watts=lambda e: _with_interval(e, lambda value: f"{value:.4g} W"),
        plain_seconds=format_seconds,
        interval=_interval,
        json=lambda value: json.dumps(value, indent=2, ensure_ascii=False),
    )
    template = environment.get_template("report.html.j2")
    # Charts escape their own text (XML written by matplotlib); everything else is autoescaped.
    return template.render(
        forms={"usd": format_usd, "seconds": format_seconds, "percent": format_percent},
        view=view,
        latency=Markup(charts.latency_ecdf(view)),  # noqa: S704
        day=Markup(charts.day_panels(view) if view.day else ""),  # noqa: S704
        steps=Markup(charts.step_bars(view)),  # noqa: S704
        ledger=Markup(charts.ledger_bars(view)),  # noqa: S704
        colour=lambda name: charts.colour_of(view, name),
    )


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
