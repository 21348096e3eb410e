"""The records of a scenario file: the workload, the objective, what to measure, and the deployments."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import Field, model_validator

from bench.hardware import Assumptions, Device, Offer, Region
from bench.record import SCHEMA_VERSION, Record
from bench.scenario.deployments import Deployment, Name
from bench.scenario.parts import Active, ArmSpec, Choice, Duration, Spot
from bench.units import (
    DAY_S,
    ClockTime,
    Fraction,
    PositiveSeconds,
)

MOST_DAYS = 366
"""In one replication."""
Residency = Literal["device", "site", "region", "any"]
Country = Annotated[str, Field(pattern="^[A-Z]{3}$")]
BudgetName = Literal["smoke", "gate", "standard", "official"]
BUDGET_NAMES: tuple[str, ...] = get_args(BudgetName)
STAGE = "stage"
"""The option of a chain that says which of its tasks is meant: by default ``all``, as one program."""


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


class MeasureOptions(Record):
    """How much to measure."""

    budget: BudgetName = "smoke"
    max_batch: int = Field(default=8, ge=1, le=1024)
    loads: list[Choice] = Field(default=[Choice(name="single-stream")], max_length=20)
    """Load patterns beside the service profile."""
    min_agreement: Fraction | None = None
    """Share of answers that must be the fp32 reference's; by default 95 % for fp32, 50 % else."""
    stall_limit: PositiveSeconds = 120.0
    """A process that makes no progress for so long is given up."""


class SimulateOptions(Record):
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


class _Asked(Record):
    schema_version: Literal[1]
    name: Name
    title: str = Field(default="", max_length=300)
    task: Choice
    measure: MeasureOptions = MeasureOptions()


class Suite(_Asked):
    """A scenario file that only measures: a task on the arms to compare."""

    arms: list[ArmSpec] = Field(min_length=1, max_length=100)


class Scenario(_Asked):
    """One scenario file, as written."""

    workload: Workload
    objective: Objective
    simulate: SimulateOptions = SimulateOptions()
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


class Campaign(Record):
    """What is to be measured: all that a measurement needs to know of a scenario or a suite."""

    name: str
    task: Choice
    options: MeasureOptions
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
    def to_measure(self) -> Campaign:
        """What runs on this machine; other devices' profiles are kept, published or projected."""
        return Campaign(
            name=self.scenario.name,
            task=self.scenario.task,
            options=self.scenario.measure,
            arms=[arm for arm in self.distinct_arms if arm.device.here],
        )
