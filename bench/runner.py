"""How a run is begun, done, and gone on with: one arrow after another, each once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import arrows, gather
from bench.executor import opened
from bench.lock import owned
from bench.prepare import Goal, Order, Settings
from bench.profile import file_name
from bench.store import Header, Run, place_of
from bench.work import ASKED, Notify, Profiles, Work, asked_of, records_of


@dataclass(frozen=True)
class Arrow:
    """One step of a run. It has been done where the file is that it leaves."""

    leaves: str
    do: Callable[[Work], object]
    asked: Callable[[Order], bool] = lambda order: True


Table = Mapping[Goal, Sequence[Arrow]]
"""By what a run is asked for, its arrows in order."""


def begin(
    table: Table,
    asked: Order,
    out: Path,
    settings: Settings,
    notify: Notify,
    profiles: Profiles | None = None,
) -> Run:
    """A new run: it has all that was asked, and the profiles given, from its first moment."""
    if profiles is None:
        arrows.require_one(asked.to_measure)
    elif asked.scenario is not None:
        gather.require_task(asked.scenario, profiles)
    header = Header.now(asked.name, asked.seed, settings.command)
    given = {f"profiles/{file_name(one.arm)}": one for one in (profiles or {}).values()}
    target = place_of(out)
    with opened(settings.engine) as workers, owned(target):
        run = Run.create(target, header, {ASKED: asked, **given})
        return _do(table, Work(run, asked, settings, workers, notify))


def go_on(table: Table, folder: Path, settings: Settings, notify: Notify) -> Run:
    """An incomplete run, to its end."""
    target = place_of(folder)
    with opened(settings.engine) as workers, owned(target):
        run = Run.unfinished(target)
        asked = asked_of(run, settings.allow_code)
        return _do(table, Work(run, asked, settings, workers, notify))


def _do(table: Table, work: Work) -> Run:
    """What is left of a run."""
    run = work.run
    with records_of(run):
        for arrow in table[work.order.goal]:
            if arrow.asked(work.order) and not run.has(arrow.leaves):
                arrow.do(work)
    work.journal.remove()
    run.finish()
    return run
