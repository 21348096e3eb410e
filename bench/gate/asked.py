"""What a gate is asked for: a file people write, and the two sides that are held against each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from bench import extensions
from bench.documents import read
from bench.errors import InputError
from bench.gate.revisions import base_of, commit_of, root_of, snapshot_of
from bench.gate.weigh import Rule
from bench.hardware import Catalogue
from bench.record import SCHEMA_VERSION, Record
from bench.scenario import Choice
from bench.units import Fraction, PositiveSeconds

SOURCES = "bench.gate.sources"
SideName = Literal["base", "head"]
SIDES: tuple[SideName, SideName] = ("base", "head")
MOST_GATED = 8
"""More metrics than so many need more rounds than a gate has time for."""
LEAST_EFFECT = 0.05
TIME_LIMIT_S = 600.0

Better = Literal["lower", "higher", "equal"]


class Metric(Record):
    """A metric that is declared: it must be there, on both sides, in every round."""

    name: str
    least_effect: Fraction = LEAST_EFFECT
    """The smallest change for the worse that matters."""
    better: Better | None = None
    """``None``: as its source says."""
    exact: bool | None = None
    """Whether it is compared once, to the last digit, since it has no noise; ``None``: as its source says."""
    tolerance: Fraction = 0.0
    """Of an exact one: how much worse it may be, as a share."""
    gated: bool = True
    """Otherwise it is shown, and decides nothing."""

    @model_validator(mode="after")
    def _noise_has_a_side(self) -> Metric:
        if self.better == "equal" and not self.exact:
            raise ValueError(
                f"{self.name}: only an exact metric can have to be equal (`exact: true`)"
            )
        return self


def _short_form(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


class SideFile(Record):
    """What one side has that the other has not."""

    revision: str | None = None
    """Of the repository; ``None``: as the command line says."""
    install: list[str] = Field(default=[])
    """Packages, as pip has them, beside those of both sides."""
    source: dict[str, Any] = Field(default={})
    """Options of the source, in place of those of both sides."""


class Environment(Record):
    """Where the programs of a side run."""

    kind: Literal["built", "current"] = "built"
    """``built``: an environment of its own for each side. ``current``: the one that runs the gate, with the
    side's files before whatever is installed."""
    install: list[str] = Field(default=["."])
    """What pip installs in the side's folder."""


def _kind_alone(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value


class GateFile(Record):
    """A gate, as it is written."""

    schema_version: Literal[1]
    name: str | None = None
    source: Choice
    metrics: list[Annotated[Metric, BeforeValidator(_short_form)]] = Field(min_length=1)
    base: SideFile = SideFile()
    head: SideFile = SideFile()
    folder: str = "."
    """Of the repository, where programs start."""
    environment: Annotated[Environment, BeforeValidator(_kind_alone)] = Environment()
    time_limit: PositiveSeconds = TIME_LIMIT_S
    """Of the rounds; what is open then is INCONCLUSIVE."""
    offer: str | None = None
    """A priced machine; times are then told in dollars per million, too."""

    @model_validator(mode="after")
    def _some(self) -> GateFile:
        names = [metric.name for metric in self.metrics]
        gated = sum(metric.gated for metric in self.metrics)
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"the metrics {', '.join(twice)} are declared twice")
        if not gated:
            raise ValueError("no metric is gated, so that nothing could ever fail")
        if gated > MOST_GATED:
            raise ValueError(
                f"{gated} metrics are gated (allowed: up to {MOST_GATED}, since each needs rounds; "
                "`gated: false` shows one only)"
            )
        return self


class Side(Record):
    """One side, every name in it looked up."""

    commit: str | None
    """``None``: the files as they are, of both sides."""
    install: list[str] = Field(default=[])
    source: Choice


class Asked(Record):
    """``asked.json``: all that a gate was asked for."""

    schema_version: int = SCHEMA_VERSION
    name: str
    metrics: list[Metric] | None
    """``None``: every figure that base has."""
    base: Side
    head: Side
    repository: str
    folder: str = "."
    environment: Environment
    time_limit: float = TIME_LIMIT_S
    seed: int
    """Of the coin."""
    rule: Rule = Rule()
    usd_per_hour: float | None = None
    """Of a priced machine."""
    command: str

    def side(self, name: SideName) -> Side:
        return self.base if name == "base" else self.head


def prepare(
    path: Path,
    revisions: Mapping[SideName, str | None],
    seed: int,
    catalogue: Catalogue,
    command: str,
) -> Asked:
    """A gate's file and the command line → what is to be done.

    Args:
        revisions: as the command line says; they go before the file's.

    Raises:
        InputError: it cannot be done.
    """
    written = read(path)
    file = written.record(GateFile)
    own: dict[SideName, SideFile] = {"base": file.base, "head": file.head}
    model: type[Record] = extensions.load(SOURCES, file.source.name).Options
    sources = {
        name: written.record(model, ("source",), {**file.source.options, **side.source})
        for name, side in own.items()
    }
    commits, where = _commits(
        path, {n: revisions[n] or own[n].revision for n in SIDES}, file.base != file.head
    )
    sides = {
        name: Side(
            commit=commits[name],
            install=own[name].install,
            source=Choice.model_validate(
                {"name": file.source.name, **sources[name].model_dump(mode="json")}
            ),
        )
        for name in SIDES
    }
    return Asked(
        name=file.name or path.stem,
        metrics=file.metrics,
        base=sides["base"],
        head=sides["head"],
        repository=str(where),
        folder=file.folder,
        environment=file.environment,
        time_limit=file.time_limit,
        seed=seed,
        usd_per_hour=_price(catalogue, file.offer, written.where(("offer",))),
        command=command,
    )


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
    path: Path, named: Mapping[SideName, str | None], differ: bool
) -> tuple[dict[SideName, str | None], Path]:
    """What is checked out for each side, and of which repository; where the sides differ in how they are
    set up and nobody names a revision, the files as they are."""
    here = path.resolve().parent
    if differ and not any(named.values()):
        return {"base": None, "head": None}, here
    root = root_of(here)
    head = commit_of(root, named["head"]) if named["head"] else snapshot_of(root)
    base = commit_of(root, named["base"]) if named["base"] else base_of(root, head)
    if base == head and not differ:
        raise InputError(
            f"base and head are the same commit, {head[:12]}", where=str(path),
            todo="Say what to hold it against with --base",
        )  # fmt: skip
    return {"base": base, "head": head}, root


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
