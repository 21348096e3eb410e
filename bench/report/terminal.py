"""Tables for the terminal: the ranking, and what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

from bench.compare import Comparison
from bench.measure import ArmMeasurement, LoadResult, Measurement, Verdict
from bench.plain import visible
from bench.record import Estimate
from bench.units import format_percent, format_seconds, format_usd
from bench.validate import Compared, Judgement, Validation

LISTED = ("p50", "p90", "p99")


def ranking_table(comparison: Comparison) -> Group:
    """The ranking, and under it why the infeasible are; names are plain text, never markup."""
    table = Table(box=None, pad_edge=False)
    for heading in ("#", "deployment", "kind", "$/million", "p50", "p99", "within SLO"):
        table.add_column(heading, overflow="fold")
    reasons = []
    for entry in comparison.ranking:
        table.add_row(
            str(entry.rank or "–"),
            plain(entry.deployment),
            entry.kind.replace("_", "-"),
            format_usd(entry.usd_per_million.value),
            format_seconds(entry.p50_s.value),
            format_seconds(entry.p99_s.value),
            format_percent(entry.slo_attainment.value),
        )
        if not entry.feasible:
            reasons.append(plain(f"–  {entry.deployment}: {'; '.join(entry.reasons)}"))
    reasons += [
        plain(f"!  {entry.deployment}: {caveat.text}")
        for entry in comparison.ranking
        for caveat in entry.caveats
    ]
    reasons += [plain(f"!  {caveat.text}") for caveat in comparison.caveats]
    reasons += [
        plain(f"–  {name} is not compared: {reason}")
        for name, reason in comparison.excluded.items()
    ]
    return Group(table, *([Text()] if reasons else []), *reasons)


def response_table(rows: Mapping[str, Mapping[str, Estimate]]) -> Table:
    """Percentiles of response times, a line for each service that has some."""
    table = Table(box=None, pad_edge=False)
    for heading in ("", *LISTED):
        table.add_column(heading, overflow="fold")
    for name, times in rows.items():
        if times:
            table.add_row(plain(name), *(format_seconds(times[p].value) for p in LISTED))
    return table


def measurement_table(measurement: Measurement) -> Group:
    """A block per arm with a line per load; under all, rules that are not kept, or not checked."""
    blocks: list[Text | Table] = []
    for arm in measurement.arms:
        table = Table(box=None, pad_edge=False)
        for heading in ("", "verdict", *LISTED, "throughput", "capacity"):
            table.add_column(heading, no_wrap=True)
        one = next((row.service.value for row in arm.steps if row.batch_size == 1), None)
        table.add_row("  batch of one", _verdict(arm), f"mean {format_seconds(one)}")
        for load in arm.loads:
            table.add_row(f"  {load.phase}", _verdict(load), *_figures(load))
        blocks += [plain(arm.arm), table, Text()]
    for arm in measurement.arms:
        ruled = [("service times", arm.verdicts), *((x.phase, x.verdicts) for x in arm.loads)]
        blocks += [
            plain(f"–  {arm.arm}, {what}: {v.status.upper()} by the rule '{v.rule}': {v.reason}")
            for what, verdicts in ruled
            for v in verdicts
            if v.status in ("invalid", "unstable")
        ]
        blocks += _unchecked(arm.arm, ruled)
    blocks += [plain(f"–  {f.arm}: no measurement: {f.error}") for f in measurement.failed]
    return Group(*blocks)


def validation_table(found: Validation) -> Group:
    """Live beside simulated, a block for each level."""
    blocks: list[Text | Table] = []
    for level in found.levels:
        table = Table(box=None, pad_edge=False, padding=(0, 1))
        for heading in ("", "live", "simulated", "error", "95 % of it", "live/live", "within"):
            table.add_column(heading, no_wrap=True, justify="left" if not heading else "right")
        for stage, compared in by_stage(level.compared).items():
            if stage:
                table.add_row(plain(f"at {stage}"))
            for one in compared:
                cells = comparison_cells(one)
                table.add_row(
                    cells[0].removesuffix(f" ({stage})"), *cells[1:], _within(one.verdict)
                )
        said = (
            f"utilisation {level.level:g}: {level.rate:.4g}/s, {level.requests:,} requests in "
            f"{level.blocks} blocks, {level.unanswered:,} unanswered: {level.verdict}"
        )
        blocks += [plain(said), table, Text()]
    services = [
        plain(
            f"service times of all loads{one.figure.removeprefix('service')}: "
            f"{100 * (one.error.value or 0):+.1f} % by calibration: {one.verdict}"
        )
        for one in found.services
    ]
    outside = [plain(found.outside.in_words)] if found.outside else []
    return Group(*blocks, *services, *outside)


def by_stage(compared: Sequence[Compared]) -> dict[str, list[Compared]]:
    """The figures of the whole, and of each stage of a line, by its name."""
    found: dict[str, list[Compared]] = {"": []}
    for one in compared:
        _, _, stage = one.figure.partition(" (")
        found.setdefault(stage.removesuffix(")"), []).append(one)
    return found


def _within(verdict: Judgement) -> str:
    """``tolerance``, ``spread``, ``undecided`` or ``OFF``."""
    return verdict if verdict == "OFF" else verdict.removeprefix("WITHIN ").lower()


def comparison_cells(one: Compared) -> list[str]:
    """Its name, live, simulated, the error, its interval, and what two live runs differ by."""
    form = {
        "s": format_seconds,
        "1/s": lambda value: f"{value:.4g}/s",
        "": format_percent if one.in_points else lambda value: f"{value:.3g}",
    }[one.unit]
    error, unit = one.error, "pt" if one.in_points else "%"
    between = (
        "–"
        if error.low is None or error.high is None
        else f"{100 * error.low:+.1f} … {100 * error.high:+.1f}"
    )
    return [
        one.figure.replace("_", " ").replace("slo attainment", "within SLO"),
        form(one.live.value),
        form(one.simulated.value),
        "–" if error.value is None else f"{100 * error.value:+.1f} {unit}",
        between,
        "–" if one.spread is None else f"{100 * one.spread:.1f} {unit}",
    ]


def plain(text: str) -> Text:
    """Neither markup nor control characters have an effect."""
    return Text(visible(text))


def _verdict(judged: ArmMeasurement | LoadResult) -> str:
    """The status, with a mark where it does not rest on every rule."""
    partly = any(v.status == "not checked" for v in judged.verdicts)
    return f"{judged.status}{'*' if partly else ''}"


def _unchecked(arm: str, ruled: Sequence[tuple[str, Sequence[Verdict]]]) -> list[Text]:
    """Each rule that could not be checked, once for all that it is a rule of."""
    why: dict[tuple[str, str], list[str]] = {}
    for what, verdicts in ruled:
        for v in verdicts:
            if v.status == "not checked":
                why.setdefault((v.rule, v.reason), []).append(what)
    return [
        Text(f"*  {arm}, {', '.join(of)}: not checked by the rule '{rule}': {reason}")
        for (rule, reason), of in why.items()
    ]


def _figures(load: LoadResult) -> list[str]:
    times = [format_seconds(load.response[p].value) if load.response else "" for p in LISTED]
    rates = [load.throughput.value, load.capacity.value if load.capacity else None]
    return [*times, *(f"{rate:.4g}/s" if rate is not None else "" for rate in rates)]
