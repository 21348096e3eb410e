"""What a gate is asked for: the file that people write, and the same with every name looked up."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from bench.gate.weigh import Rule
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
    least_effect: Annotated[Fraction, Field(gt=0)] = LEAST_EFFECT
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
    floor: str | None = None
    """A `floor.json` of this machine, as `bench gate --floor` makes it, seen from this file."""
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
    floors: dict[str, float] = Field(default={})
    """By metric, the smallest effect that this machine can tell from none."""
    usd_per_hour: float | None = None
    """Of a priced machine."""
    command: str

    def side(self, name: SideName) -> Side:
        return self.base if name == "base" else self.head
