"""Where a metric's history changed for good: advice beside a verdict, which never decides anything.

Change points of what earlier gates saw of head, on the same processor (Hunter: Fleming et al., ICPE 2023, as
Apache Otava has it). They tell of slow creep that no single gate could show.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.errors import InputError, MissingRequirement
from bench.gate.session import GATED, Gated
from bench.record import Record
from bench.store import Run

CERTAIN = 0.001
"""Otava's own default for what it reports."""
FEWEST = 8
"""Gates from which anything is said."""


class Change(Record):
    """A metric was another from this gate on."""

    metric: str
    since: str
    """When the gate's run was made, UTC."""
    commit: str | None
    by: float
    """Relative change of the mean; of a metric of which more is better, a loss is below zero."""


def require_trend(folder: Path) -> None:
    """Refuse at once what could not be done in the end.

    Raises:
        InputError: there is no such folder.
        MissingRequirement: Otava is not installed.
    """
    if not folder.is_dir():
        raise InputError("there is no such folder", where=str(folder))
    try:
        import otava.analysis  # noqa: F401
    except ImportError as error:
        raise MissingRequirement(
            "--history needs the Python package 'apache-otava', which is not installed: "
            "`pip install apache-otava`."
        ) from error


def trend(folder: Path, name: str, cpu: object) -> list[Change]:
    """The changes among the gates of a name in a folder, this machine's only."""
    gates = sorted(_gates(folder, name, cpu), key=lambda gate: gate[0])
    metrics = {row.metric.name for _, gate in gates for row in gate.judgement.rows}
    return [change for metric in sorted(metrics) for change in _changes(metric, gates)]


def _gates(folder: Path, name: str, cpu: object) -> list[tuple[str, Gated]]:
    """With when each was made; what is no gate, is unfinished or cannot be read is not among them."""
    found = []
    for path in sorted(folder.glob(f"*/{GATED}")):
        run = Run(path.parent)
        try:
            gate, created = run.load(GATED, Gated), run.header.created
        except InputError:
            continue
        if gate.asked.name == name and gate.environment["cpu"] == cpu:
            found.append((created, gate))
    return found


def _changes(metric: str, gates: Sequence[tuple[str, Gated]]) -> list[Change]:
    from otava.analysis import compute_change_points

    seen = [
        (created, gate.asked.head.commit, row.head)
        for created, gate in gates
        for row in gate.judgement.rows
        if row.metric.name == metric and row.head is not None
    ]
    if len(seen) < FEWEST:
        return []
    points, _ = compute_change_points([value for *_, value in seen], max_pvalue=CERTAIN)
    return [
        Change(
            metric=metric,
            since=seen[point.index][0],
            commit=seen[point.index][1],
            by=float(point.stats.forward_rel_change()),
        )
        for point in points
    ]
