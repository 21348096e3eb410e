"""A plan for the terminal: the cheapest, the Pareto front, the near misses, and what was left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bench.plan import Plan, Planned, Unknown
from bench.record import Estimate
from bench.report.terminal import plain
from bench.units import format_seconds, format_usd

ROWS = 10


def plan_tables(plan: Plan) -> Group:
    """Names are plain text, never markup."""
    return Group(*_blocks(plan))


def _blocks(plan: Plan) -> Iterator[RenderableType]:
    if plan.cheapest:
        yield plain("The cheapest that meet the objective")
        yield _table(plan.cheapest[:ROWS])
        yield Text()
        yield plain("The Pareto front: none is better in cost, p99 and carbon at once")
        yield _table(plan.front[:ROWS])
        if len(plan.front) > ROWS:
            yield plain(f"  … and {len(plan.front) - ROWS} more in plan.json")
        yield Text()
    if plan.near_misses:
        yield plain("Cheaper, but")
        for planned in plan.near_misses[:ROWS]:
            entry = planned.entry
            cost = format_usd(entry.usd_per_million.value)
            yield plain(f"–  {entry.deployment} ({cost}): {'; '.join(entry.reasons)}")
        yield Text()
    yield plain(
        f"{plan.candidates:,} candidates: {plan.judged:,} judged from {plan.simulated:,} simulated "
        f"deployments; {plan.too_dear:,} cannot cost less than {plan.within:g} times the cheapest, "
        f"or are worse in everything; {sum(plan.dismissed.values()):,} cannot meet the objective:"
    )
    for reason, number in list(plan.dismissed.items())[:ROWS]:
        yield plain(f"–  {number:,}: {reason}")
    if plan.refused:
        number = sum(len(unknown.offers) for unknown in plan.refused)
        yield plain(f"Nothing is known of {number} offers:")
        yield from map(_unknown, plan.refused)


def _unknown(unknown: Unknown) -> Text:
    """One line: what it is of, why, and what to do. All offers are on the page."""
    offers, devices = unknown.offers, unknown.devices
    more = f" and {len(offers) - 1} more" if offers[1:] else ""
    on = f" (on {', '.join(devices)})" if devices else ""
    todo = f". {unknown.todo}" if unknown.todo else ""
    return plain(f"–  {offers[0]}{more}{on}: {unknown.reason}{todo}")


def _kg(estimate: Estimate) -> str:
    return "–" if estimate.value is None else f"{estimate.value:.3g}"


def _table(rows: Sequence[Planned]) -> Group:
    """Two lines each: what it is, and its figures."""
    figures = Table(box=None, pad_edge=False)
    headings = ("", "$/million", "$/month", "p99", "kg CO2e/million", "of making", "rests on")
    for heading in headings:
        figures.add_column(heading, no_wrap=True)
    names = []
    for number, planned in enumerate(rows, 1):
        entry = planned.entry
        figures.add_row(
            str(number),
            format_usd(entry.usd_per_million.value),
            format_usd(entry.usd_per_month.value),
            format_seconds(entry.p99_s.value),
            *map(_kg, (entry.carbon_kg_per_million, entry.embodied_kg_per_million)),
            entry.provenance,
        )
        alike = f" (and {planned.alike} like it)" if planned.alike else ""
        names.append(plain(f"{number}  {entry.deployment}{alike}"))
        names += [plain(f"   !  {caveat.text}") for caveat in entry.caveats]
    return Group(figures, *names)
