"""Parts of deployments: what runs on one kind of machine, where, and all that can be said of it.

A :class:`Choice` names a file of an extension folder (a task, a backend, an arrival process, a
batching or scaling policy) and carries its options; those are checked against the ``Options``
record in that very file, so that an extension is described in one place.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, model_validator

from bench.record import Record
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


class AdmissionOptions(Record):
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


class BatteryOptions(Record):
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


class ArmSpec(Record):
    """A backend with its options, a device, and what differs in the task (a lighter model)."""

    backend: Choice
    device: str
    """Whose measured service times stand for this deployment's machines."""
    task: dict[str, Any] = Field(default={})
    """Options of the task in place of the scenario's."""


class PlacedPart(ArmSpec):
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
    admission: AdmissionOptions = AdmissionOptions()
    failures: MeanTimes | None = None
    in_flight: Literal["retry", "lost"] = "retry"
    """What becomes of requests on a machine that fails."""

    @property
    def number(self) -> int | None:
        """How many servers there are; ``None`` where a scaling policy says so."""
        return None if self.COUNT is None else int(getattr(self, self.COUNT))


class _CloudPart(PlacedPart):
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


class EdgePart(PlacedPart):
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
    battery: BatteryOptions | None = None
    cellular: Cellular | None = None


class BatchPart(_CloudPart):
    """A day's requests are stored and processed in one go."""

    COUNT, NOUN = "nodes", "node"
    scaling: ClassVar[None] = None
    routing: ClassVar[str] = "central"
    cellular: ClassVar[None] = None
    per_node: ClassVar[int] = 1
    window: Window
    nodes: int = Field(default=1, ge=1, le=1000)
    checkpoint: Checkpoint | None = None


Part = BatchPart | RealTimePart | EdgePart
"""What runs on one kind of machine."""
