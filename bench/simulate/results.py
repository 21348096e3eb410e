"""The simulation record: what happened to the requests, and what was held to serve them."""

from __future__ import annotations

from pydantic import Field

from bench.record import SCHEMA_VERSION, Caveat, Estimate, Record

PERCENTILES = (50.0, 90.0, 95.0, 99.0)
CURVE_POINTS = 201


class Holding(Record):
    """A machine held from one moment to another (seconds of the simulated time)."""

    start_s: float
    end_s: float


class Usage(Record):
    """What one replication used of one kind of machine: the quantities a ledger prices."""

    holdings: list[Holding]
    """Rented machines, one entry for each time one is held."""
    devices: int
    """Of a fleet, the machines there are, used or not; of a pool, the most held at once."""
    served: int
    """Requests it worked on to the end."""
    busy_s: float
    """Server-seconds spent on batches."""
    uploaded_bytes: float
    downloaded_bytes: float
    stored_byte_s: float
    """Bytes in object storage × seconds."""
    replacing_s: float = 0.0
    """Held by nodes in place of evicted ones, until they served."""

    @classmethod
    def least(cls, devices: int, held_s: float, served: int, uploaded_bytes: float) -> Usage:
        """Machines held for ``held_s`` from midnight on, that take no time for what they serve."""
        return cls(
            holdings=[Holding(start_s=0.0, end_s=held_s)] * devices,
            devices=devices,
            served=served,
            busy_s=0.0,
            uploaded_bytes=uploaded_bytes,
            downloaded_bytes=0.0,
            stored_byte_s=0.0,
        )


class OtherWork(Record):
    """Work that filled the troughs."""

    done: int
    left: int
    """At the end of the last day."""
    ended_s: float
    """When the last item was done."""
    asked: int = 0
    """A day."""
    overdue: int = 0
    """The most that were left when the next day's came, or at the end if none had a whole day."""
    had_a_day: bool = True
    """Whether a day's work had a whole day before the simulation ended."""
    optional: bool = False
    """Whether leaving some undone is no miss of the objective."""


class Replication(Record):
    """One simulated period. Every request is done, shed, timed out, lost or in flight."""

    days: int
    requests: int
    """Those that count: after the warm-up, if one was left out."""
    done: int
    shed: int
    timed_out: int
    lost: int
    in_flight: int
    within_slo: int
    carried: int = 0
    """Not ended when the work of the day after the last would begin."""
    utilisation: float
    """Busy server-seconds ÷ server-seconds ready, from the first midnight to the last; of batch
    nodes, over all of their windows."""
    load: float = 0.0
    """Server-seconds of work that came ÷ server-seconds there were for it, with as many servers as
    there may be: beyond one, the next day begins with more undone. Of batch nodes, the utilisation."""
    mean_batch: float
    mean_s: float | None
    percentiles_s: dict[str, float | None]
    """By name, ``p50`` …, of the response times; requests without an answer count as endless."""
    makespan_s: float
    """From the first scheduled arrival to the last answer."""
    max_replicas: int
    warm_up_s: float
    """What was left out at the beginning."""
    usage: dict[str, Usage]
    """By the name of the deployment's part."""
    other_work: OtherWork | None = None


class DeploymentResult(Record):
    """All replications of one deployment, and the estimates over them."""

    deployment: str
    arms: list[str]
    impossible: str | None
    """Why the deployment cannot keep up or keep the limit, or ``None``. Such a one has no latency."""
    unjudged: str | None = None
    """Why too few requests came to tell whether it keeps the objective."""
    draws: bool = False
    """Whether one of its profiles was published or projected. Each replication then draws what the
    truth may be, and intervals say where the truth may lie."""
    replications: list[Replication]
    response_s: dict[str, Estimate]
    """``mean``, ``p50``, ``p90``, ``p95``, ``p99``."""
    slo_attainment: Estimate
    utilisation: Estimate
    mean_batch: Estimate
    response_curve_s: list[float | None]
    """Quantiles of the response time at 0, 0.5, …, 100 %, averaged over replications."""
    caveats: list[Caveat] = Field(default=[])
    """What the simulation of this deployment left out."""


class Simulation(Record):
    """Every deployment of the scenario on the same simulated days."""

    schema_version: int = SCHEMA_VERSION
    method: str
    seed: int
    replications: int
    deployments: list[DeploymentResult]
    caveats: list[Caveat] = Field(default=[])
    """What was left out for all of them alike, such as a part of the workload."""
