"""A gate in a run folder: what was asked, every round, and the verdict in four forms."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from bench import __version__
from bench.gate import Asked, Gated, OnLook, SideName, gate, junit, markdown, prepare
from bench.hardware import Catalogue
from bench.lock import owned
from bench.store import Header, Run, place_of
from bench.work import ASKED, Notify, quiet

MARKDOWN, JUNIT = "gate.md", "junit.xml"


def gate_into(
    path: Path,
    revisions: Mapping[SideName, str | None],
    out: Path,
    seed: int,
    command: str,
    on_look: OnLook,
    notify: Notify = quiet,
) -> tuple[Run, Gated]:
    """Hold the two sides of a gate's file against each other, into a run folder.

    Raises:
        InputError: the file cannot be used, or a side cannot be built.
    """
    return play(prepare(path, revisions, seed, Catalogue(), command), out, on_look, notify)


def play(asked: Asked, out: Path, on_look: OnLook, notify: Notify = quiet) -> tuple[Run, Gated]:
    """As :func:`gate_into`, of a gate whose names are looked up."""
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
        found = gate(asked, run, lambda what: notify("gate", 0, 1, what), on_look)
        run.save_text(MARKDOWN, markdown(found))
        run.save_text(JUNIT, junit(found))
        run.finish()
    return run, found
