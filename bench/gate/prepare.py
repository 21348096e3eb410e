"""A gate's file and the command line → what is to be done, every name looked up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import extensions
from bench.documents import Source, read
from bench.errors import InputError, UnknownName
from bench.gate.asked import (
    SIDES,
    SOURCES,
    Asked,
    Environment,
    GateFile,
    Side,
    SideFile,
    SideName,
)
from bench.gate.floor import Floor
from bench.gate.revisions import base_of, commit_of, root_of, snapshot_of
from bench.hardware import Catalogue
from bench.measure import describe_environment
from bench.record import Record
from bench.scenario import Choice
from bench.store import read_record


@dataclass(frozen=True)
class Settings:
    """What the command line says."""

    base: str | None = None
    head: str | None = None
    minutes: float | None = None
    seed: int = 0
    command: str = "bench gate"
    equal: bool = False
    """One side twice, which tells of the machine."""
    runs: tuple[Path, Path] | None = None
    """Two that are there, of which nothing is run."""


def prepare(path: Path, settings: Settings, catalogue: Catalogue) -> Asked:
    """A gate's file and the command line → what is to be done.

    Raises:
        InputError: it cannot be done.
    """
    written = read(path)
    file = written.record(GateFile)
    own: dict[SideName, SideFile] = {"base": file.base, "head": file.head}
    if settings.equal:
        own["base"] = file.head
    # What stands in the file is complained of before where it stands.
    sources = {name: _source(written, file.source, one) for name, one in own.items()}
    commits, where = _commits(path, file, settings)
    base, head = (
        Side(commit=commits[name], install=own[name].install, source=sources[name])
        for name in SIDES
    )
    return Asked(
        name=file.name or path.stem,
        metrics=file.metrics,
        base=base,
        head=head,
        repository=str(where),
        folder=file.folder,
        environment=file.environment,
        time_limit=file.time_limit if settings.minutes is None else 60 * settings.minutes,
        seed=settings.seed,
        floors=_floors(path, file.floor, written.where(("floor",))),
        usd_per_hour=_price(catalogue, file.offer, written.where(("offer",))),
        command=settings.command,
    )


def _source(written: Source, asked: Choice, own: SideFile) -> Choice:
    """What a side is run with, its options as they were understood.

    Raises:
        InputError: there is no such source, or it has no such options.
    """
    known = extensions.names(SOURCES)
    if asked.name not in known and not extensions.is_own_file(asked.name):
        raise UnknownName("source", asked.name, known, where=written.where(("source", "name")))
    model: type[Record] = extensions.load(SOURCES, asked.name).Options
    options = written.record(model, ("source",), {**asked.options, **own.source})
    return Choice.model_validate({"name": asked.name, **options.model_dump(mode="json")})


def of_suite(
    folder: Path, arguments: Sequence[str], revision: str, most_s: float, seed: int, command: str
) -> Asked:
    """A gate of the benchmarks that ``pytest ARGUMENTS`` selects in ``folder``: all that base has.

    Raises:
        InputError: ``folder`` is in no repository, or there is no such revision.
    """
    root = root_of(folder)
    source = Choice.model_validate({"name": "pytest-benchmark", "arguments": list(arguments)})
    return Asked(
        name=folder.name,
        metrics=None,
        base=Side(commit=commit_of(root, revision), source=source),
        head=Side(commit=snapshot_of(root), source=source),
        repository=str(root),
        folder=str(folder.resolve().relative_to(root.resolve())),
        environment=Environment(kind="current"),
        time_limit=most_s,
        seed=seed,
        command=command,
    )


def _commits(
    path: Path, file: GateFile, settings: Settings
) -> tuple[dict[SideName, str | None], Path]:
    """What is checked out for each side, and of which repository.

    Where the sides differ in how they are set up and nobody names a revision, and where nothing is run, it is
    the files as they are.
    """
    here = path.resolve().parent
    base, head = settings.base or file.base.revision, settings.head or file.head.revision
    differ = file.base != file.head
    if settings.runs or (differ and base is None and head is None):
        return {"base": None, "head": None}, here
    root = root_of(here)
    found = commit_of(root, head) if head else snapshot_of(root)
    if settings.equal:
        return {"base": found, "head": found}, root
    other = commit_of(root, base) if base else base_of(root, found)
    if other == found and not differ:
        raise InputError(
            f"base and head are the same commit, {found[:12]}", where=str(path),
            todo="Say what to hold it against with --base, or see what the machine tells from nothing "
            "with --floor",
        )  # fmt: skip
    return {"base": other, "head": found}, root


def _floors(path: Path, floor: str | None, where: str) -> dict[str, float]:
    """Those of this machine.

    Raises:
        InputError: there is no such file, or it is of another machine.
    """
    if floor is None:
        return {}
    found, here = read_record(path.parent / floor, Floor), describe_environment()["cpu"]
    if found.cpu != here:
        raise InputError(
            f"the floor is that of another machine ({found.cpu}, and this is {here})", where=where,
            todo="Make one here, with `bench gate --floor`",
        )  # fmt: skip
    return found.floors


def _price(catalogue: Catalogue, offer: str | None, where: str) -> float | None:
    """Of an hour.

    Raises:
        InputError: there is no such offer, or it is bought.
    """
    if offer is None:
        return None
    machine = catalogue.offer(offer, where).machine
    if machine.kind != "rented":
        raise InputError(f"{offer} is bought, and has no price by the hour", where=where)
    return float(machine.rate.price)
