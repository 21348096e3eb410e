"""Plan → one HTML file that needs nothing else, as the report is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from bench.compare import SITE
from bench.plan import Plan, Planned
from bench.report import plan_charts
from bench.report.html import environment
from bench.scenario import (
    ArmSpec,
    Choice,
    Deployment,
    Part,
    ResolvedScenario,
)
from bench.store import Header
from bench.units import format_percent, format_seconds

MOST_ROWS = 50
"""Of the front; all of it is in the figure and in ``plan.json``."""
_SECONDS = ("max_wait", "deadline", "period", "down_stabilisation", "cooldown")
_SHARES = ("target", "tolerance")


@dataclass(frozen=True)
class PartSaid:
    """One part of a deployment in the words of a table."""

    role: str
    """Its stage (``edge`` or ``cloud`` of a hybrid); empty where there is one part only."""
    offer: str
    arm: str
    arm_options: str
    batching: str
    scaling: str


def render_plan(header: Header, scenario: ResolvedScenario, plan: Plan) -> str:
    """The page of a plan as one HTML document."""
    page = environment()
    page.globals.update(
        parts_of=lambda planned: list(parts_of(planned.deployment)),
        colour=plan_charts.colour_of_kind,
    )
    found = _named(plan)
    shown = plan_charts.marks_of(plan)
    return page.get_template("plan.html.j2").render(
        header=header,
        title=scenario.scenario.title or scenario.scenario.name,
        plan=plan,
        own={deployment.name for deployment in scenario.scenario.deployments},
        replications=scenario.scenario.simulate.replications,
        days=scenario.scenario.simulate.days,
        objective=scenario.scenario.objective,
        front=plan.front[:MOST_ROWS],
        tied=[name for name in plan.indistinguishable if name not in _names(plan.cheapest)],
        # Escapes its own text (XML written by matplotlib); everything else is autoescaped.
        chart=Markup(plan_charts.cost_over_latency(plan, scenario.scenario.objective)),  # noqa: S704
        missing=len(_names([*plan.cheapest, *plan.front, *plan.near_misses])) - len(shown),
        sources=found,
        warnings=_warnings(scenario, plan),
    )


def parts_of(deployment: Deployment) -> Iterator[PartSaid]:
    """Offer, arm, batching and scaling of each stage."""
    several = len(deployment.parts) > 1
    for name, part in deployment.parts.items():
        yield PartSaid(
            role=name.removeprefix(deployment.name).strip(" ()") if several else "",
            offer=part.offer,
            arm=f"{part.backend.name}@{part.device}",
            arm_options=_arm_options(part),
            batching=_said(part.batching),
            scaling=_scaling(part),
        )


def _arm_options(part: ArmSpec) -> str:
    return _options({**part.backend.options, **part.task})


def _scaling(part: Part) -> str:
    if part.scaling is None:
        return _number(part.number or 0, part.NOUN)
    said = _said(part.scaling)
    return said if part.per_node == 1 else f"{said}; {part.per_node} on a machine"


def _number(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _said(part: Choice) -> str:
    options = _options(part.options)
    return f"{part.name}: {options}" if options else part.name


def _options(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{key.replace('_', ' ')} {_value(key, options[key])}" for key in options)


def _value(key: str, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if key in _SECONDS:
        return format_seconds(value)
    if key in _SHARES:
        return format_percent(value, 0)
    return f"{value:g}"


def _named(plan: Plan) -> dict[str, Planned]:
    """What the tables of the feasible show, each once, the cheapest first."""
    found: dict[str, Planned] = {}
    for planned in (*plan.cheapest, *plan.front[:MOST_ROWS]):
        found.setdefault(planned.entry.deployment, planned)
    return found


def _names(rows: list[Planned]) -> set[str]:
    return {planned.entry.deployment for planned in rows}


def _warnings(scenario: ResolvedScenario, plan: Plan) -> list[str]:
    """What devices stand in for others, and what the cheapest rests on that bears no date."""
    shown = _named(plan).values()
    used = {part.device for planned in shown for part in planned.deployment.parts.values()}
    notes = [arm.device.note for arm in scenario.distinct_arms if arm.device.name in used]
    undated = [
        origin.subject
        for planned in plan.cheapest[:1]
        for origin in planned.entry.origins
        if origin.provenance == "published" and origin.as_of is None
    ]
    said = [
        f"The {SITE} is {origin.source}."
        for planned in shown
        for origin in planned.entry.origins
        if origin.subject == SITE
    ]
    said += [f"Published without a date, of the cheapest: {', '.join(undated)}."] if undated else []
    return list(dict.fromkeys([*filter(None, notes), *said]))
