"""The records of a scenario file.

A :class:`Part` names a file of an extension folder (a task, a backend, an arrival process, a
batching or scaling policy) and carries its options; those are checked against the ``Options``
record in that very file, so that an extension is described in one place.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import ConfigDict, Field, model_validator

from bench.hardware import Assumptions, Device, Offer
from bench.record import SCHEMA_VERSION, Record
from bench.units import (
    DAY_S,
    BitsPerSecond,
    ClockTime,
    Fraction,
    PositiveSeconds,
    Seconds,
    UsdPerGB,
)

Residency = Literal["device", "site", "region", "any"]
BudgetName = Literal["smoke", "standard", "official"]
BUDGET_NAMES: tuple[str, ...] = get_args(BudgetName)
Name = Annotated[str, Field(min_length=1, max_length=120)]


class Part(Record):
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
    """The part of the day in which requests arrive."""

    start: ClockTime
    end: ClockTime

    @model_validator(mode="after")
    def _forward(self) -> Active:
        if self.end <= self.start:
            raise ValueError("the end of the active hours must be after their start")
        return self

    @property
    def length_s(self) -> float:
        return self.end - self.start


class Workload(Record):
    """Who asks, when: every source (camera, user, sensor) follows the arrival process."""

    sources: int = Field(default=1, ge=1, le=1_000_000)
    arrivals: Part
    active: Active = Active(start=0.0, end=DAY_S)


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

    @model_validator(mode="after")
    def _one_slo(self) -> Objective:
        if (self.response is None) == (self.due is None):
            raise ValueError("give exactly one of response and due")
        return self


class MeasurePlan(Record):
    """How much to measure."""

    budget: BudgetName = "smoke"
    max_batch: int = Field(default=8, ge=1, le=1024)
    loads: list[Part] = Field(default=[Part(name="single-stream")], max_length=20)
    """Load patterns beside the service profile."""
    min_agreement: Fraction | None = None
    """Share of answers that must be the fp32 reference's; by default 95 % for fp32, 50 % else."""
    stall_limit: PositiveSeconds = 120.0
    """A process that makes no progress for so long is given up."""


class SimulatePlan(Record):
    """How often to simulate the day."""

    replications: int = Field(default=6, ge=2, le=1000)


class Network(Record):
    """The path from the sources to a remote server: one shared link per site."""

    uplink: BitsPerSecond
    downlink: BitsPerSecond
    rtt: Seconds
    jitter: Seconds = 0.0
    """Mean of the exponential part added to every round trip."""
    price: UsdPerGB | None = None


class StartUp(Record):
    """What a new node takes before it can load the model; the load itself is measured."""

    node: Seconds
    image_pull: Seconds = 0.0


class Window(Record):
    """When the batch node starts, on the day whose requests it processes."""

    opens: ClockTime


class ArmSpec(Record):
    """A backend with its options, a device, and what differs in the task (a lighter model)."""

    backend: Part
    device: str
    """Whose measured service times stand for this deployment's machines."""
    task: dict[str, Any] = Field(default={})
    """Options of the task in place of the scenario's."""


class _DeploymentBase(ArmSpec):
    name: Name
    offer: str
    batching: Part = Part(name="none")


class BatchDeployment(_DeploymentBase):
    """A day's requests are stored and processed in one go."""

    kind: Literal["batch"]
    window: Window
    nodes: int = Field(default=1, ge=1, le=1000)
    start_up: StartUp
    network: Network


class RealTimeDeployment(_DeploymentBase):
    """Replicas behind a load balancer answer as requests come."""

    kind: Literal["real_time"]
    scaling: Part
    start_up: StartUp
    network: Network


class EdgeDeployment(_DeploymentBase):
    """Each device answers its own sources, with a queue of its own."""

    kind: Literal["edge"]
    fleet: int = Field(ge=1, le=1_000_000)


Deployment = Annotated[
    BatchDeployment | RealTimeDeployment | EdgeDeployment, Field(discriminator="kind")
]


class _Asked(Record):
    schema_version: Literal[1]
    name: Name
    title: str = Field(default="", max_length=300)
    task: Part
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


class Arm(Record):
    """One thing to measure: a backend with its options on a device, for one variant of a task."""

    name: str
    backend: Part
    device: Device
    task: dict[str, Any] = Field(default={})
    """Options of the task in place of the scenario's."""


class Asked(Record):
    """What is to be measured: all that a measurement needs to know of a scenario or a suite."""

    name: str
    task: Part
    plan: MeasurePlan
    arms: list[Arm]


class ResolvedScenario(Record):
    """A scenario with every default filled and every name looked up."""

    schema_version: int = SCHEMA_VERSION
    scenario: Scenario
    offers: dict[str, Offer]
    """By deployment name."""
    arms: dict[str, Arm]
    """By deployment name; deployments may share one."""
    assumptions: Assumptions

    @property
    def distinct_arms(self) -> list[Arm]:
        return list({arm.name: arm for arm in self.arms.values()}.values())

    def without(self, names: set[str]) -> ResolvedScenario:
        """The same scenario with fewer deployments."""
        kept = [d for d in self.scenario.deployments if d.name not in names]
        return self.model_copy(
            update={
                "scenario": self.scenario.model_copy(update={"deployments": kept}),
                "offers": {d.name: self.offers[d.name] for d in kept},
                "arms": {d.name: self.arms[d.name] for d in kept},
            }
        )

    @property
    def to_measure(self) -> Asked:
        return Asked(
            name=self.scenario.name,
            task=self.scenario.task,
            plan=self.scenario.measure,
            arms=self.distinct_arms,
        )
