"""A gate in a run folder: what was asked, every round, and what follows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from bench.gate import (
    EXIT_CODES,
    SIDES,
    Asked,
    Gated,
    OnLook,
    Settings,
    floor,
    gate,
    junit,
    markdown,
    prepare,
    stored,
)
from bench.hardware import Catalogue
from bench.lock import owned
from bench.store import Header, Run, place_of
from bench.work import ASKED, Notify, quiet

MARKDOWN, JUNIT = "gate.md", "junit.xml"
Found = TypeVar("Found")


def play(
    file: Path, settings: Settings, out: Path, on_look: OnLook, notify: Notify = quiet
) -> tuple[Run, int]:
    """A gate of a file, as the command line has it; and the code that it ends with.

    Raises:
        InputError: the file cannot be used, a side cannot be built, or there is too little to compare.
    """
    asked = prepare(file, settings, Catalogue())
    if settings.equal:
        return _into(asked, out, lambda run: floor(asked, run, _steps(notify), on_look))[0], 0
    if settings.runs is None:
        return gate_into(asked, out, on_look, notify)
    runs = dict(zip(SIDES, settings.runs, strict=True))
    return _coded(*_into(asked, out, lambda run: _told(run, stored(asked, run, runs))))


def gate_into(asked: Asked, out: Path, on_look: OnLook, notify: Notify = quiet) -> tuple[Run, int]:
    """Hold two sides against each other.

    Raises:
        InputError: a side cannot be built.
    """
    return _coded(
        *_into(asked, out, lambda run: _told(run, gate(asked, run, _steps(notify), on_look)))
    )


def _coded(run: Run, found: Gated) -> tuple[Run, int]:
    return run, EXIT_CODES[found.judgement.verdict]


def _into(asked: Asked, out: Path, do: Callable[[Run], Found]) -> tuple[Run, Found]:
    header = Header.now(asked.name, asked.seed, asked.command)
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
