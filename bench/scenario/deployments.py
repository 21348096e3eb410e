"""Deployments: lines of stages, each at a place, and the shorter ways to write them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, Literal, Self, cast

from pydantic import ConfigDict, Discriminator, Field, Tag, model_validator

from bench import extensions
from bench.errors import InputError
from bench.record import Record
from bench.scenario.parts import Active, BatchPart, EdgePart, Part, PlacedPart, RealTimePart
from bench.units import (
    Fraction,
)

PLACES = "bench.simulate.places"
"""The folder with a file for each place; a scenario's stage may name another file."""
NAME_LENGTH = 200
Name = Annotated[str, Field(min_length=1, max_length=NAME_LENGTH)]


class SpillOptions(Record):
    """Which requests go on from the device to the cloud."""

    queue: int | None = Field(default=None, ge=0)
    """Those that find so many waiting."""
    unsure: Fraction = 0.0
    """The share whose answer by the device is not sure enough, and is asked again."""
    on_line: list[Active] = Field(default=[], max_length=48)
    """Hours in which the cloud can be reached, every day; by default always."""

    @model_validator(mode="after")
    def _some(self) -> SpillOptions:
        if self.queue is None and not self.unsure:
            raise ValueError("give queue or unsure, or nothing ever spills")
        return self


Takes = Literal["all", "found"] | SpillOptions


def file_of(place: str) -> str:
    """The member of :data:`PLACES` that a place is."""
    return place if extensions.is_own_file(place) else place.replace("_", "-")


@dataclass(frozen=True)
class Stage:
    """One place that requests pass, and which of them: all that a line is made of."""

    name: str
    """Of the part, in records and tables."""
    place: str
    """Where it is: the file in ``bench/simulate/places``, or one of the user's own."""
    part: Part
    takes: Takes
    """Of what the stage before has."""
    path: tuple[str | int, ...]
    """Where in its deployment it is written."""
    own_luck: bool = True
    """Whether times and decisions there have nothing to do with those of the stage before. The cloud of
    a hybrid is asked by the request as it is, with the luck that it had at the device."""

    @property
    def takes_all(self) -> bool:
        return self.takes == "all"

    @property
    def only_found(self) -> bool:
        """Whether it takes the requests in which the task before has found something."""
        return self.takes == "found"

    @property
    def spill(self) -> SpillOptions | None:
        """What devices pass on to it instead of answering it, or to be answered again."""
        return self.takes if isinstance(self.takes, SpillOptions) else None


class _Deployment(Record):
    """A line of stages; the shorter ways to write one are kinds of their own."""

    name: Name

    @property
    @abstractmethod
    def line(self) -> list[Stage]:
        """The stages, in the order in which requests pass them."""

    @property
    def parts(self) -> dict[str, Part]:
        """By the name of their stage."""
        return {stage.name: stage.part for stage in self.line}

    @property
    def answering(self) -> list[str]:
        """The stages whose answers go back to the source, and not only on to the next stage."""
        after = [*self.line[1:], None]
        return [
            stage.name
            for stage, following in zip(self.line, after, strict=True)
            if following is None or following.spill is not None
        ]

    @abstractmethod
    def with_parts(self, parts: Sequence[Part]) -> Self:
        """The same line through other parts, one for each stage."""


class _Whole(_Deployment):
    """A deployment that is one stage; its kind is its place."""

    kind: str

    @property
    def line(self) -> list[Stage]:
        return [Stage(self.name, self.kind, cast("Part", self), "all", ())]

    def with_parts(self, parts: Sequence[Part]) -> Self:
        (whole,) = parts
        return cast("Self", whole)


class BatchDeployment(BatchPart, _Whole):
    """A day's requests are stored and processed in one go."""

    kind: Literal["batch"]


class RealTimeDeployment(RealTimePart, _Whole):
    """Replicas behind a load balancer answer as requests come."""

    kind: Literal["real_time"]


class EdgeDeployment(EdgePart, _Whole):
    """Each device answers its own sources, with a queue of its own."""

    kind: Literal["edge"]


class HybridDeployment(_Deployment):
    """Devices answer what they can, and pass the rest on to replicas in the cloud."""

    kind: Literal["hybrid"]
    edge: EdgePart
    cloud: RealTimePart
    spill: SpillOptions

    @property
    def line(self) -> list[Stage]:
        return [
            Stage(f"{self.name} (edge)", "edge", self.edge, "all", ("edge",)),
            Stage(
                f"{self.name} (cloud)",
                "real_time",
                self.cloud,
                self.spill,
                ("cloud",),
                own_luck=False,
            ),
        ]

    def with_parts(self, parts: Sequence[Part]) -> Self:
        edge, cloud = parts
        return self.model_copy(update={"edge": edge, "cloud": cloud})


class _Staged(Record):
    """A stage of a line, as written."""

    name: Name
    takes: Takes = "all"
    """Which requests of the stage before: all that it answers, those in which it has ``found`` something,
    or those that it passes on."""


class BatchStage(BatchPart, _Staged):
    """Stored, and processed in one go."""

    place: Literal["batch"]


class RealTimeStage(RealTimePart, _Staged):
    """Replicas behind a load balancer."""

    place: Literal["real_time"]


class EdgeStage(EdgePart, _Staged):
    """Devices, each with its own sources."""

    place: Literal["edge"]


class OtherStage(_Staged):
    """At a place of the user's own, whose file says in its ``Options`` what may be set."""

    model_config = ConfigDict(frozen=True, extra="allow")

    place: Annotated[str, Field(json_schema_extra={"pattern": r"\.py$"})]

    @property
    def options(self) -> dict[str, Any]:
        """What is set beside the name, the place and what it takes."""
        return dict(self.model_extra or {})

    @property
    def part(self) -> Part:
        """As the file of the place has it.

        Raises:
            InputError: its ``Options`` is no part of a deployment.
        """
        options = extensions.load(PLACES, file_of(self.place)).Options
        if not issubclass(options, PlacedPart):
            raise InputError(
                "the Options of a place are those of a part", where=self.place,
                todo="Derive them from EdgePart, RealTimePart or BatchPart of bench.scenario",
            )  # fmt: skip
        return cast("Part", options.model_validate(self.options))


KNOWN_PLACES = ("batch", "real_time", "edge")


def _tag(stage: Any) -> str:
    """Which record a stage is, written or made."""
    place = stage.get("place") if isinstance(stage, dict) else getattr(stage, "place", None)
    return place if place in KNOWN_PLACES else "other"


class LineDeployment(_Deployment):
    """Stages that requests pass one after the other."""

    kind: Literal["line"]
    stages: list[
        Annotated[
            Annotated[BatchStage, Tag("batch")]
            | Annotated[RealTimeStage, Tag("real_time")]
            | Annotated[EdgeStage, Tag("edge")]
            | Annotated[OtherStage, Tag("other")],
            Discriminator(_tag),
        ]
    ] = Field(min_length=1, max_length=8)

    @model_validator(mode="after")
    def _can_be_passed(self) -> LineDeployment:
        names = [stage.name for stage in self.stages]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"two stages are called {twice!r}")
        if self.stages[0].takes != "all":
            raise ValueError("the first stage takes all requests: leave its 'takes' out")
        for before, stage in pairwise(self.stages):
            if stage.place == "edge" and before.place in ("batch", "real_time"):
                raise ValueError(
                    f"{stage.name!r} is at the edge, after {before.name!r}, which is not: answers go "
                    "back to the source, and not to another model there"
                )
            if isinstance(stage.takes, SpillOptions) and before.place in ("batch", "real_time"):
                raise ValueError(
                    f"{stage.name!r} takes what devices pass on, and {before.name!r} is not at the "
                    "edge: say takes: all, or takes: found"
                )
        return self

    @property
    def line(self) -> list[Stage]:
        return [
            Stage(f"{self.name} ({stage.name})", stage.place, part, stage.takes, ("stages", index))
            for index, stage in enumerate(self.stages)
            for part in [stage.part if isinstance(stage, OtherStage) else stage]
        ]

    def with_parts(self, parts: Sequence[Part]) -> Self:
        stages = [
            stage.model_copy(update=part.model_dump()) if isinstance(stage, OtherStage) else part
            for stage, part in zip(self.stages, parts, strict=True)
        ]
        return self.model_copy(update={"stages": stages})


Deployment = Annotated[
    BatchDeployment | RealTimeDeployment | EdgeDeployment | HybridDeployment | LineDeployment,
    Field(discriminator="kind"),
]
