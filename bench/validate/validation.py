"""The record of a session: live beside simulated, level by level."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from bench.record import SCHEMA_VERSION, Estimate, Record

Judgement = Literal["WITHIN TOLERANCE", "WITHIN SPREAD", "UNDECIDED", "OFF"]
WORST_LAST: tuple[Judgement, ...] = ("WITHIN TOLERANCE", "WITHIN SPREAD", "UNDECIDED", "OFF")

SHARED = (
    "What answers may take every core here, and whoever asks takes some of them from it: service under load "
    "is then longer than alone, and a device that leaves a core (`this-host-one-thread`) shows the rest."
)


class Session(Record):
    """What is asked of a session."""

    deployment: str
    """Empty: the first that can be served from here."""
    levels: list[Annotated[float, Field(gt=0, le=2)]] = Field(min_length=1, max_length=20)
    """Utilisations: requests per second, in what the replicas answer when batches are full."""
    length_s: float = Field(ge=5, le=86_400)
    replicas: int = Field(default=1, ge=1, le=256)
    runs: int = Field(default=2, ge=1, le=100)
    """How often the same requests are played."""


class Block(Record):
    """A stretch of a session: rows of ``observed.parquet`` with its number."""

    level: float | None = None
    """``None``: calibration."""
    traffic: int = 0
    """Blocks of the same number, at the same level, are the same requests."""
    run: int = 0
    killed_s: float | None = None
    """Of a job: when one of its replicas was killed, from the first request on."""
    waves: list[int] = Field(default=[])
    """Of calibration: requests sent together, wave by wave."""


class Observation(Record):
    """What a live service was asked, block by block in the order of time."""

    schema_version: int = SCHEMA_VERSION
    arm: str
    started_utc: str
    full: int
    """Requests in the largest batch."""
    capacity: float
    """Requests per second of all replicas when batches are full, as the session began."""
    restart_s: list[float] = Field(default=[])
    """Of a job: how long it took for a replica that was killed to be replaced, again and again."""
    blocks: list[Block]
    environment: dict[str, object]
    inside: bool = True
    """Whether the server said what each request met; else it is told from waves (:class:`Outside`)."""
    shares_cores: bool = False
    """Whether the service may take every core, so that whoever asks takes some of them from it."""


class Compared(Record):
    """One figure, live and simulated."""

    figure: str
    unit: str
    in_points: bool
    """Whether ``error``, ``spread`` and ``tolerance`` are differences of shares; else they are relative."""
    live: Estimate
    simulated: Estimate
    error: Estimate
    """Simulated against live."""
    spread: float | None
    """What two live runs of the same requests differ by; ``None`` where none was repeated."""
    tolerance: float
    verdict: Judgement


class Level(Record):
    """All blocks of one utilisation."""

    level: float
    """Requests per second, in what the replicas answer when batches are full."""
    rate: float
    blocks: int
    requests: int
    unanswered: int
    """Of these: shed, timed out or failed, live."""
    unanswered_simulated: float
    """The same, on average over the simulations."""
    compared: list[Compared]
    verdict: Judgement
    live_curve_s: list[float]
    simulated_curve_s: list[float]
    """Response times at even shares, from the quickest to the slowest."""


class Drift(Record):
    """How the machine's speed changed from one block of calibration to the next."""

    factors: list[float]
    """Of each block: the service times of its batches, in those of all blocks of the same size."""
    spread: float
    """Their standard deviation."""


class StageFound(Record):
    """What a session found of a stage of a line."""

    name: str
    service_s: dict[int, float]
    drift: Drift
    service: Compared | None
    """See :class:`Validation`."""


class Outside(Record):
    """Of a server that says nothing of itself: what it did with waves was told from their answers."""

    waves: int
    left_out: int
    """Beside these: answers that did not come in the batches that the scenario says."""
    doubts: list[str]
    """What else does not go with the scenario."""

    @property
    def in_words(self) -> str:
        """For people."""
        said = (
            f"service times were told from outside, from {self.waves:,} waves"
            f"{f' ({self.left_out:,} more do not fit the batching)' * (self.left_out > 0)}; what "
            "requests met inside under load is not seen"
        )
        return "; ".join([said, *self.doubts])


class Validation(Record):
    """What a session found."""

    schema_version: int = SCHEMA_VERSION
    session: Session
    service_s: dict[int, float]
    """By batch size: on average, as the server saw it in calibration, or as ``outside`` tells it."""
    way_s: float
    """Of a request that comes alone: what is neither waiting nor service."""
    drift: Drift
    service: Compared | None
    """Of all blocks of load: what their batches took, against what calibration says of such batches;
    ``None``: nobody saw it."""
    outside: Outside | None = None
    later: list[StageFound] = Field(default=[])
    """Of a line, whose first stage these are of: the same of each stage after it."""
    shares_cores: bool = False
    """As of the observation."""
    levels: list[Level]
    verdict: Judgement

    @property
    def services(self) -> list[Compared]:
        """Service times of all loads, of each stage, as far as they were seen."""
        found = (self.service, *(stage.service for stage in self.later))
        return [one for one in found if one is not None]

    @property
    def sentence(self) -> str:
        """The verdict, in words."""
        count = {name: [x.level for x in self.levels if x.verdict == name] for name in WORST_LAST}
        said = [
            f"{name} at {', '.join(f'{level:g}' for level in levels)}"
            for name, levels in reversed(count.items())
            if levels
        ]
        if any(one.verdict == "OFF" for one in self.services):
            said.append("and service times are OFF")
        verdict = f"{self.session.deployment}: the simulation is {'; '.join(said)}."
        return f"{verdict} {SHARED}" if self.shares_cores else verdict


def worst(found: list[Judgement]) -> Judgement:
    """The worst of them."""
    return max(found, key=WORST_LAST.index)
