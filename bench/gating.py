"""A gate in a run folder: what was asked, every round, and what follows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from bench import __version__
from bench.gate import Asked, Floor, Gated, OnLook, SideName, floor, gate, junit, markdown, stored
from bench.lock import owned
from bench.store import Header, Run, place_of
from bench.work import ASKED, Notify, quiet

MARKDOWN, JUNIT = "gate.md", "junit.xml"
Found = TypeVar("Found")


def gate_into(
    asked: Asked, out: Path, on_look: OnLook, notify: Notify = quiet
) -> tuple[Run, Gated]:
    """Hold two sides against each other.

    Raises:
        InputError: a side cannot be built.
    """
    return _into(asked, out, lambda run: _told(run, gate(asked, run, _steps(notify), on_look)))


def stored_into(asked: Asked, out: Path, places: Mapping[SideName, Path]) -> tuple[Run, Gated]:
    """Hold what two runs left against each other.

    Raises:
        InputError: there is nothing to compare in one of them.
    """
    return _into(asked, out, lambda run: _told(run, stored(asked, run, places)))


def floor_into(
    asked: Asked, out: Path, on_look: OnLook, notify: Notify = quiet
) -> tuple[Run, Floor]:
    """Hold a side against itself, which tells of the machine.

    Raises:
        InputError: it cannot be built, or there was too little time.
    """
    return _into(asked, out, lambda run: floor(asked, run, _steps(notify), on_look))


def _into(asked: Asked, out: Path, do: Callable[[Run], Found]) -> tuple[Run, Found]:
    header = Header(
        scenario=asked.name,
        seed=asked.seed,
        bench_version=__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        command=asked.command,
    )
    target = place_of(out)
    with owned(target):
        run = Run.create(target, header, {ASKED: asked})
        found = do(run)
        run.finish()
    return run, found


def _told(run: Run, found: Gated) -> Gated:
    """For those who read no JSON: a comment of a pull request, and what CI shows as tests."""
    run.save_text(MARKDOWN, markdown(found))
    run.save_text(JUNIT, junit(found))
    return found


def _steps(notify: Notify) -> Callable[[str], None]:
    return lambda what: notify("gate", 0, 1, what)
