"""The records of a scenario file.

A :class:`Choice` names a file of an extension folder (a task, a backend, an arrival process, a
batching or scaling policy) and carries its options; those are checked against the ``Options``
record in that very file, so that an extension is described in one place.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal, Self, cast, get_args

from pydantic import ConfigDict, Discriminator, Field, Tag, model_validator

from bench import extensions
from bench.errors import InputError
from bench.hardware import Assumptions, Device, Offer, Region
from bench.record import SCHEMA_VERSION, Record
from bench.units import (
    DAY_S,
    BitsPerSecond,
    Bytes,
    ClockTime,
    Fraction,
    Joules,
    MeanTime,
    Period,
    PositiveSeconds,
    Seconds,
    SecondsOfADay,
    UsdPerGB,
    Watts,
)

MOST_DAYS = 366
"""In one replication."""
Residency = Literal["device", "site", "region", "any"]
Country = Annotated[str, Field(pattern="^[A-Z]{3}$")]
BudgetName = Literal["smoke", "standard", "official"]
BUDGET_NAMES: tuple[str, ...] = get_args(BudgetName)
NAME_LENGTH = 200
PLACES = "bench.simulate.places"
"""The folder with a file for each place; a scenario's stage may name another file."""
STAGE = "stage"
"""The option of a chain that says which of its tasks is meant: by default ``all``, as one program."""
Name = Annotated[str, Field(min_length=1, max_length=NAME_LENGTH)]


class Choice(Record):
    """``{name: dynamic, max_batch: 8}``, or just ``none`` where no option is needed."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class Active(Record):
    """A part of the day, such as that in which requests arrive."""

    start: ClockTime
    end: ClockTime

    @model_validator(mode="after")
    def _forward(self) -> Active:
        if self.end <= self.start:
            raise ValueError(
                "the end of the active hours must be after their start (for a night, give two spans, "
                "or for requests a diurnal process with hours of zero)"
            )
        return self

    @property
    def length_s(self) -> float:
        return self.end - self.start


class Workload(Record):
    """Who asks, when: every source (camera, user, sensor) follows the arrival process."""

    sources: int = Field(default=1, ge=1, le=1_000_000)
    sites: int | None = Field(default=None, ge=1, le=1_000_000)
    """Places the sources are spread over, evenly. A device at the edge serves the sources of its own
    place. By default as many as the ``network.sites`` of the deployment that has the most."""
    arrivals: Choice
    sizes: Choice | None = None
    """How large requests are. By default as large as the inputs that were measured, where the task has
    sizes, or as the trace says."""
    active: Active = Active(start=0.0, end=DAY_S)
    country: Country | None = None
    """Where the sources are, and with them the machines at the edge and on the premises (ISO 3166
    alpha-3): its grid feeds them. By default that of ``regions.yaml``."""


class ResponseLimit(Record):
    """SLO: this percentile of the response times stays within the limit."""

    percentile: float = Field(default=99.0, gt=0, lt=100)
    limit: PositiveSeconds


class DueTime(Record):
    """SLO: this share of a day's requests is answered by a time on the next day."""

    by: ClockTime
    share: Fraction = 0.999


class AccuracyLimit(Record):
    """A floor (or ceiling, for error rates) under the accuracy measured during the run."""

    metric: str
    at_most: Fraction | None = None
    at_least: Fraction | None = None

    @model_validator(mode="after")
    def _one_bound(self) -> AccuracyLimit:
        if (self.at_most is None) == (self.at_least is None):
            raise ValueError("give exactly one of at_most and at_least")
        return self


class Objective(Record):
    """What a deployment must keep to be feasible: a response limit or a due time, and more."""

    response: ResponseLimit | None = None
    due: DueTime | None = None
    accuracy: AccuracyLimit | None = None
    residency: Residency = "any"
    countries: list[Country] = Field(default=[], max_length=250)
    """Where data may be processed (ISO 3166 alpha-3), of machines that are rented; by default
    anywhere. Machines at the edge and on the premises stand where the data is made."""

    @model_validator(mode="after")
    def _one_slo(self) -> Objective:
        if (self.response is None) == (self.due is None):
            raise ValueError("give exactly one of response and due")
        return self


class MeasurePlan(Record):
    """How much to measure."""

    budget: BudgetName = "smoke"
    max_batch: int = Field(default=8, ge=1, le=1024)
    loads: list[Choice] = Field(default=[Choice(name="single-stream")], max_length=20)
    """Load patterns beside the service profile."""
    min_agreement: Fraction | None = None
    """Share of answers that must be the fp32 reference's; by default 95 % for fp32, 50 % else."""
    stall_limit: PositiveSeconds = 120.0
    """A process that makes no progress for so long is given up."""


class SimulatePlan(Record):
    """What to simulate, and how often."""

    replications: int = Field(default=6, ge=2, le=1000)
    days: int = Field(default=1, ge=1, le=MOST_DAYS)
    """Consecutive days of one replication; costs are those of the mean day."""
    start: Literal["midnight", "steady"] = "midnight"
    """``midnight``: everything is empty at first, as a service is after a night. ``steady``: the
    warm-up is found (MSER-5) and left out of the latencies."""
    profile_uncertainty: bool = True
    """Every replication draws the measured batches anew, so that intervals include how well the
    service times are known."""


class Spread(Record):
    """A duration by three of its percentiles; straight between them on the normal scale."""

    p50: Seconds
    p90: Seconds
    p99: Seconds

    @model_validator(mode="after")
    def _in_order(self) -> Spread:
        if not self.p50 <= self.p90 <= self.p99:
            raise ValueError("p50, p90 and p99 must not decrease")
        return self


Duration = Seconds | Spread


class MeanTimes(Record):
    """Times between failures and to repair, exponential with these means."""

    mtbf: MeanTime
    mttr: PositiveSeconds


class Network(Record):
    """The path from the sources to a remote server: one shared link per site."""

    uplink: BitsPerSecond
    downlink: BitsPerSecond
    rtt: Duration
    """Round trip of an empty message; each way takes half."""
    jitter: SecondsOfADay = 0.0
    """Mean of the exponential part added to every round trip."""
    loss: Fraction = Field(default=0.0, lt=1)
    """Share of messages that are lost and sent again."""
    retransmission: Annotated[SecondsOfADay, Field(gt=0)] = 0.2
    """After so long the first time, and twice as long each further time."""
    sites: int = Field(default=1, ge=1, le=100_000)
    """Sites with a link of their own; the sources are spread over them."""
    outages: MeanTimes | None = None
    price: UsdPerGB | None = None


class StartUp(Record):
    """What a new replica takes before it serves."""

    node: Duration
    image_pull: Duration = 0.0
    model_load: Duration | None = None
    """By default what was measured."""


class Spot(Record):
    """A node the provider may take back."""

    mean_life: MeanTime
    """Mean time to the eviction of a node, exponential."""
    notice: Seconds = 120.0


class Shed(Record):
    """Random early drop: from one queue length to another, a growing share is turned away."""

    begin: int = Field(ge=0)
    end: int = Field(ge=1)

    @model_validator(mode="after")
    def _in_order(self) -> Shed:
        if self.end <= self.begin:
            raise ValueError("end must be above begin")
        return self


class AdmissionPlan(Record):
    """Who is turned away. Shed and timed-out requests count against the SLO."""

    queue_limit: int | None = Field(default=None, ge=0)
    """Requests that may wait in a queue while none of its servers is free."""
    timeout: PositiveSeconds | None = None
    """Longest wait in a queue."""
    shed: Shed | None = None


class Checkpoint(Record):
    """Results are safe once written; a failure loses what was done since."""

    every: Period
    cost: Seconds = 0.0
    """Time that writing takes."""


class Window(Record):
    """When the batch nodes start, and when they must be done."""

    opens: ClockTime
    closes: ClockTime | None = None
    """On the next day if it is not after ``opens``; by default they work until all is done."""

    @property
    def length_s(self) -> float:
        """One that never closes has the day until the next opens."""
        return DAY_S if self.closes is None else (self.closes - self.opens) % DAY_S or DAY_S


class Fill(Record):
    """Work without requests that fills the troughs: done when a replica would be idle."""

    items: int = Field(ge=1)
    """A day. They are to be done before the next day's come."""
    at: ClockTime = 0.0
    optional: bool = False
    """A deployment that leaves some undone meets the objective all the same."""


class DutyCycle(Record):
    """A device that wakes for ``on`` of every ``period``, each from a phase of its own."""

    period: PositiveSeconds
    on: PositiveSeconds

    @model_validator(mode="after")
    def _part(self) -> DutyCycle:
        if self.on > self.period:
            raise ValueError("on must not be longer than period")
        return self


class PowerMode(Record):
    """A mode in which the device is slower than the one it was measured in."""

    slowdown: float = Field(default=1.0, ge=1, le=1000)
    active: Watts | None = None
    """Power while it serves."""


class BatteryPlan(Record):
    """What a device runs on between charges."""

    capacity: Joules
    idle: Watts
    active: Watts
    charger: Watts
    charging: list[Active] = Field(default=[], max_length=48)
    """Hours in which the charger is connected, every day."""
    restart: Fraction = 0.05
    """A device that ran flat starts again at this charge."""
    saver_below: Fraction = 0.0
    """Below this charge the device runs in its power-saving mode."""
    saver: PowerMode = PowerMode()


class Cellular(Record):
    """A device that reports over a mobile network, with a SIM card of its own."""

    report: Bytes
    """Sent for each answer."""


class SpillPlan(Record):
    """Which requests go on from the device to the cloud."""

    queue: int | None = Field(default=None, ge=0)
    """Those that find so many waiting."""
    unsure: Fraction = 0.0
    """The share whose answer by the device is not sure enough, and is asked again."""
    on_line: list[Active] = Field(default=[], max_length=48)
    """Hours in which the cloud can be reached, every day; by default always."""

    @model_validator(mode="after")
    def _some(self) -> SpillPlan:
        if self.queue is None and not self.unsure:
            raise ValueError("give queue or unsure, or nothing ever spills")
        return self


class PlanSpace(Record):
    """What ``bench plan`` searches. Whatever is left out has a default that covers the usual."""

    offers: list[str] = Field(default=["*"], min_length=1, max_length=100)
    """Patterns of names: ``aws/*``, ``*/eu-west-1/*``."""
    batching: list[Choice] | None = Field(default=None, min_length=1, max_length=100)
    scaling: list[Choice] | None = Field(default=None, min_length=1, max_length=100)
    """Of real-time deployments."""
    nodes: list[Annotated[int, Field(ge=1, le=1000)]] = Field(
        default=[1, 2, 4, 8], min_length=1, max_length=50
    )
    """Of batch deployments."""
    share_devices: list[Annotated[int, Field(ge=1, le=1000)]] = Field(
        default=[1, 2, 3, 4, 6], min_length=1, max_length=50
    )
    """Devices of a fleet may each take the sources of so many; there is one at least at each of
    the workload's sites, and nobody shares a phone or what runs on a battery."""
    within: float = Field(default=1.5, ge=1, le=1000)
    """The Pareto front is exact up to so many times the cost of the cheapest. The further it goes,
    the more has to be simulated."""
    spot: Spot | None = None
    """How long spot nodes live; nobody publishes it. By default as in the first of the scenario's
    deployments that says so, or else a day on average."""
    rtt: dict[str, Duration] = Field(default={}, max_length=200)
    """Round trip to a region, in place of the deployment's own."""


class ArmSpec(Record):
    """A backend with its options, a device, and what differs in the task (a lighter model)."""

    backend: Choice
    device: str
    """Whose measured service times stand for this deployment's machines."""
    task: dict[str, Any] = Field(default={})
    """Options of the task in place of the scenario's."""


class _Part(ArmSpec):
    """What all parts share. What a part has not stands in its class as ``None``, so that whoever looks
    at one need not ask for its kind."""

    COUNT: ClassVar[str | None]
    """The field that says how many servers there are; ``None`` where a scaling policy does."""
    NOUN: ClassVar[str]
    """What one of them is called."""
    at_sources: ClassVar[bool] = False
    """Whether each stands at a site, and answers the sources there only."""
    offer: str
    batching: Choice = Choice(name="none")
    admission: AdmissionPlan = AdmissionPlan()
    failures: MeanTimes | None = None
    in_flight: Literal["retry", "lost"] = "retry"
    """What becomes of requests on a machine that fails."""

    @property
    def number(self) -> int | None:
        """How many servers there are; ``None`` where a scaling policy says so."""
        return None if self.COUNT is None else int(getattr(self, self.COUNT))


class _CloudPart(_Part):
    start_up: StartUp
    network: Network
    spot: Spot | None = None


class RealTimePart(_CloudPart):
    """Replicas behind a load balancer answer as requests come."""

    COUNT, NOUN = None, "replica"
    window: ClassVar[None] = None
    cellular: ClassVar[None] = None
    scaling: Choice
    routing: Literal["central", "round_robin", "shortest_queue", "two_choices", "sticky"] = (
        "central"
    )
    """One queue for all replicas, or who of those with a queue of their own gets a request."""
    per_node: int = Field(default=1, ge=1, le=64)
    """Replicas that fit on one machine of the offer."""
    fill: Fill | None = None


class EdgePart(_Part):
    """Each device answers its own sources, with a queue of its own."""

    COUNT, NOUN = "fleet", "device"
    at_sources = True
    network: ClassVar[None] = None
    spot: ClassVar[None] = None
    scaling: ClassVar[None] = None
    window: ClassVar[None] = None
    per_node: ClassVar[int] = 1
    fleet: int = Field(ge=1, le=1_000_000)
    awake: list[Active] = Field(default=[], max_length=48)
    """Hours in which devices serve, every day; by default always."""
    duty_cycle: DutyCycle | None = None
    power_mode: PowerMode = PowerMode()
    battery: BatteryPlan | None = None
    cellular: Cellular | None = None


class BatchPart(_CloudPart):
    """A day's requests are stored and processed in one go."""

    COUNT, NOUN = "nodes", "node"
    scaling: ClassVar[None] = None
    cellular: ClassVar[None] = None
    per_node: ClassVar[int] = 1
    window: Window
    nodes: int = Field(default=1, ge=1, le=1000)
    checkpoint: Checkpoint | None = None


Part = BatchPart | RealTimePart | EdgePart
"""What runs on one kind of machine."""


Takes = Literal["all", "found"] | SpillPlan


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
    def spill(self) -> SpillPlan | None:
        """What devices pass on to it instead of answering it, or to be answered again."""
        return self.takes if isinstance(self.takes, SpillPlan) else None


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
    spill: SpillPlan

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
        if not issubclass(options, _Part):
            raise InputError(
                "the Options of a place are those of a part", where=self.place,
                todo="Derive them from EdgePart, RealTimePart or BatchPart of bench.scenario",
            )  # fmt: skip
        return cast("Part", options.model_validate(self.options))


Staged = BatchStage | RealTimeStage | EdgeStage | OtherStage
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
            if isinstance(stage.takes, SpillPlan) and before.place in ("batch", "real_time"):
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


class _Asked(Record):
    schema_version: Literal[1]
    name: Name
    title: str = Field(default="", max_length=300)
    task: Choice
    measure: MeasurePlan = MeasurePlan()


class Suite(_Asked):
    """A scenario file that only measures: a task on the arms to compare."""

    arms: list[ArmSpec] = Field(min_length=1, max_length=100)


class Scenario(_Asked):
    """One scenario file, as written."""

    workload: Workload
    objective: Objective
    simulate: SimulatePlan = SimulatePlan()
    deployments: list[Deployment] = Field(min_length=1, max_length=100)
    sweep: dict[str, Annotated[list[Any], Field(min_length=1)]] = Field(default={}, max_length=8)
    """Other values for fields, by path (``deployments.NAME.scaling.max_replicas``): every
    combination is simulated too."""
    plan: PlanSpace = PlanSpace()


class Arm(Record):
    """One thing to measure: a backend with its options on a device, for one variant of a task."""

    name: str
    backend: Choice
    device: Device
    task: dict[str, Any] = Field(default={})
    """Options of the task in place of the scenario's."""

    @property
    def stage(self) -> str | None:
        """Which task of a chain it runs; ``None`` where it runs all that the scenario names."""
        found = self.task.get(STAGE)
        return None if found in (None, "all") else str(found)

    @property
    def is_lighter(self) -> bool:
        """Whether its model, or its data, are not those that the scenario names."""
        return bool(self.task.keys() - {STAGE})


class Asked(Record):
    """What is to be measured: all that a measurement needs to know of a scenario or a suite."""

    name: str
    task: Choice
    plan: MeasurePlan
    arms: list[Arm]


class ResolvedScenario(Record):
    """A scenario with every default filled and every name looked up."""

    schema_version: int = SCHEMA_VERSION
    scenario: Scenario
    offers: dict[str, Offer]
    """By the name of the deployment's part."""
    arms: dict[str, Arm]
    """By the name of the deployment's part; several may share one."""
    regions: dict[str, Region | None]
    """By the name of the deployment's part; ``None`` where nothing is known of it."""
    assumptions: Assumptions

    @property
    def distinct_arms(self) -> list[Arm]:
        return list({arm.name: arm for arm in self.arms.values()}.values())

    def arms_of(self, deployment: Deployment) -> list[str]:
        """The names of the arms a deployment needs."""
        return list(dict.fromkeys(self.arms[part].name for part in deployment.parts))

    def without(self, names: set[str]) -> ResolvedScenario:
        """The same scenario with fewer deployments."""
        kept = [d for d in self.scenario.deployments if d.name not in names]
        parts = [part for d in kept for part in d.parts]
        return self.model_copy(
            update={
                "scenario": self.scenario.model_copy(update={"deployments": kept}),
                "offers": {part: self.offers[part] for part in parts},
                "arms": {part: self.arms[part] for part in parts},
                "regions": {part: self.regions[part] for part in parts},
            }
        )

    @property
    def to_measure(self) -> Asked:
        """What runs on this machine; other devices' profiles are kept, published or projected."""
        return Asked(
            name=self.scenario.name,
            task=self.scenario.task,
            plan=self.scenario.measure,
            arms=[arm for arm in self.distinct_arms if arm.device.here],
        )
