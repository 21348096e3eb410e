"""A verdict in words: rows of cells for the terminal and for pull requests, and JUnit's XML for CI."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator

from rich.markup import escape
from rich.table import Table

from bench.gate.asked import SIDES, Asked, SideName
from bench.gate.floor import Floor
from bench.gate.judge import Judgement, Row
from bench.gate.session import Gated
from bench.units import HOUR_S, format_percent, format_seconds, format_usd

COLUMNS = ("metric", "base", "head", "worse by", "95 % of it", "finding", "evidence")
PER_MILLION = 1_000_000
MARKS = {"PASS": "✅", "IMPROVED": "🚀", "REGRESSED": "❌", "INCONCLUSIVE": "❔", "MISSING": "⛔"}


def rows_of(gated: Gated) -> Iterator[tuple[str, ...]]:
    """A row of cells for each metric; after a time, what a million of it cost where an offer is named."""
    for row in gated.judgement.rows:
        yield cells(row, gated.judgement, gated.asked)
        if gated.asked.usd_per_hour is not None and row.unit == "s" and not row.exact:
            yield _dollars(row, gated.asked.usd_per_hour)


def cells(row: Row, judgement: Judgement, asked: Asked) -> tuple[str, ...]:
    """Those of :data:`COLUMNS`."""
    name = row.metric.name if row.metric.gated else f"{row.metric.name} (advisory)"
    if row.missing:
        return (name, "–", "–", "–", "–", "MISSING", row.missing)
    sides = (amount(row.base, row.unit), amount(row.head, row.unit))
    if row.weighed is None:
        return (name, *sides, "–", "–", row.finding, "exact" if row.exact else "–")
    effect, gated = row.weighed.effect, sum(one.metric.gated for one in judgement.rows)
    shares = [f"{one:+.1%}" for one in (effect.value, effect.low, effect.high) if one is not None]
    evidence = (
        f"worse {row.weighed.worse:.3g}/{gated / asked.rule.false_alarm:.0f}, "
        f"same {row.weighed.same:.3g}/{1 / asked.rule.missed:.0f}, sign flips {row.weighed.sign_flip:.2g}"
    )
    return (name, *sides, shares[0], " … ".join(shares[1:]), row.finding, evidence)


def amount(value: float | None, unit: str | None) -> str:
    """A figure with its unit."""
    if value is None:
        return "–"
    if unit == "s":
        return format_seconds(value)
    if unit == "USD":
        return format_usd(value)
    if unit == "share":
        return format_percent(value)
    if unit == "bytes":
        return f"{value / 1e6:,.1f} MB"
    return f"{value:,.4g}" + ("" if unit == "count" else f" {unit}")


def _dollars(row: Row, usd_per_hour: float) -> tuple[str, ...]:
    each = [
        format_usd(value * usd_per_hour / HOUR_S * PER_MILLION) if value is not None else "–"
        for value in (row.base, row.head)
    ]
    return ("  a million of them", *each, "", "", "", "")


def because(row: Row) -> str | None:
    """Which part of a metric grew most, where it has parts."""
    grown = [part for part in row.parts if part.head > part.base]
    if row.finding != "worse" or not grown:
        return None
    first, change = grown[0], grown[0].head - grown[0].base
    return f"{row.metric.name}: most of it in {first.name}, {format_seconds(first.base)} → {format_seconds(first.head)} (+{format_seconds(change)})"


def sentences(gated: Gated) -> list[str]:
    """The verdict, and what there is to know about it."""
    judgement = gated.judgement
    said = [f"{judgement.verdict}: {judgement.why}."]
    said += [f"{text}." for row in judgement.rows if (text := because(row))]
    said += [f"{row.metric.name}: {row.note}." for row in judgement.rows if row.note]
    if changed := differing(gated):
        said.append(f"What is installed differs: {', '.join(changed)}.")
    return said


def differing(gated: Gated) -> list[str]:
    """Packages that the sides have in different versions."""
    base, head = (gated.packages.get(side, {}) for side in SIDES)
    return [
        f"{name} {base.get(name, 'none')} → {head.get(name, 'none')}"
        for name in sorted(base.keys() | head.keys())
        if base.get(name) != head.get(name)
    ]


def table_of(gated: Gated) -> Table:
    """For a terminal."""
    table = Table(*COLUMNS, box=None, header_style="bold")
    for row in rows_of(gated):
        table.add_row(*(escape(cell) for cell in row))
    return table


def floor_table(floor: Floor) -> Table:
    """What each least effect means on a machine."""
    table = Table(
        "least effect", "equal sides pass", "half as much again is found", "nine in ten pass within",
        box=None, header_style="bold",
    )  # fmt: skip
    for one in floor.promises:
        table.add_row(
            f"{one.least_effect:.0%}",
            f"{one.passes:.0%}",
            f"{one.finds:.0%}",
            format_seconds(one.seconds),
        )
    return table


def recommended(floor: Floor) -> str:
    """What to write into a gate's file for this machine."""
    floors = ", ".join(f"{name} {effect:.1%}" for name, effect in floor.floors.items())
    said = f"Told from nothing over twenty rounds: {floors}."
    if (best := floor.recommended) is None:
        return (
            f"{said} No least effect passes and finds nine times in ten in this time: give it more."
        )
    return (
        f"{said} Recommended: `least_effect: {best.least_effect:.0%}`, and a `time_limit` of "
        f"{format_seconds(1.5 * best.seconds)}."
    )


def progress_line(judgement: Judgement, seconds: float) -> str:
    """What is known after a round: of each metric that is not the same yet, the evidence."""
    told = []
    for row in judgement.rows:
        if row.weighed is not None and row.metric.gated and row.finding != "same":
            effect = row.weighed.effect.value or 0.0
            told.append(
                f"{row.metric.name} {effect:+.1%} (worse {row.weighed.worse:.3g}, same {row.weighed.same:.3g})"
            )
    same = sum(row.finding == "same" for row in judgement.rows if row.metric.gated)
    told += [f"{same} the same"] if same else []
    return (
        f"round {judgement.rounds}, {format_seconds(seconds)}: {'; '.join(told) or judgement.why}"
    )


def markdown(gated: Gated) -> str:
    """For a comment on a pull request."""
    judgement = gated.judgement
    lines = [
        f"### {MARKS[judgement.verdict]} {gated.asked.name}: {judgement.verdict}",
        "",
        *sentences(gated),
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "|" + "---|" * len(COLUMNS),
        *("| " + " | ".join(_in_cell(cell) for cell in row) + " |" for row in rows_of(gated)),
        "",
        f"{judgement.rounds} rounds of one fresh process of each side in {format_seconds(gated.seconds)}, "
        + ", ".join(f"{side} {_commit(gated.asked, side)}" for side in SIDES)
        + f", on {gated.environment.get('cpu') or 'an unknown processor'}. "
        f"Again: `{gated.asked.command}`",
        "",
    ]
    return "\n".join(lines)


def _in_cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def _commit(asked: Asked, side: SideName) -> str:
    commit = asked.side(side).commit
    return commit[:12] if commit else "the files as they are"


def junit(gated: Gated) -> str:
    """A test case for each gated metric, as CI systems show them."""
    judgement = gated.judgement
    gates = [row for row in judgement.rows if row.metric.gated]
    said = {row.metric.name: _outcome(row, judgement) for row in gates}
    suite = ET.Element("testsuite", {
        "name": gated.asked.name, "tests": str(len(gates)), "time": f"{gated.seconds:.3f}",
        **{f"{kind}s": str(sum(one == kind for one in said.values())) for kind in ("failure", "error")},
        "skipped": "0",
    })  # fmt: skip
    for row in gates:
        case = ET.SubElement(
            suite, "testcase", {"classname": gated.asked.name, "name": row.metric.name}
        )
        kind = said[row.metric.name]
        text = "; ".join(cells(row, judgement, gated.asked)[1:])
        if kind:
            ET.SubElement(
                case, kind, {"type": judgement.verdict, "message": row.missing or row.finding}
            ).text = text
        else:
            ET.SubElement(case, "system-out").text = text
    suites = ET.Element("testsuites")
    suites.append(suite)
    ET.indent(suites)
    return ET.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _outcome(row: Row, judgement: Judgement) -> str | None:
    """``failure``: it is worse. ``error``: nothing is known, of it or of the gate."""
    if row.finding == "worse" and judgement.verdict == "REGRESSED":
        return "failure"
    passed = judgement.verdict in ("PASS", "IMPROVED", "REGRESSED")
    return None if passed and row.finding in ("same", "better") else "error"
