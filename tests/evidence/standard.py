"""The deployments that speed is measured on."""

from __future__ import annotations

import numpy as np

from bench.profile import Profile
from bench.record import Origin
from bench.scenario import (
    Active,
    Choice,
    EdgeDeployment,
    Network,
    Objective,
    RealTimeDeployment,
    ResponseLimit,
    SimulateOptions,
    StartUp,
    Workload,
)
from bench.simulate.run import Job

HOUR_S = 3600.0


def profile() -> Profile:
    """Service times made up for the purpose: 2 ms and 1 ms for each request of a batch."""
    spread = np.linspace(0.8, 1.4, 200)
    return Profile(
        device="none", models=[], arm="made up", task="none", threads=1, status="valid",
        status_reason="",
        service_s={n: ((0.002 + 0.001 * n) * spread).tolist() for n in range(1, 9)},
        steps_s={}, loop_overhead_s=None, load_s=20, first_call_s=0, memory_bytes=0,
        input_bytes=20_000, output_bytes=500, accuracy={}, power=[], environment={},
        origin=Origin(subject="service times", provenance="assumed", source="made up"),
    )  # fmt: skip


def real_time(
    hours: float,
    rate: float = 1000.0,
    days: int = 1,
    method: str = "fast",
    scaling: dict[str, object] | None = None,
) -> Job:
    """4 to 16 autoscaled replicas, batches of up to 8 that wait 5 ms, a link with jitter."""
    policy = scaling or {"name": "hpa", "min_replicas": 4, "max_replicas": 16, "target": 0.6}
    deployment = RealTimeDeployment(
        name="standard", kind="real_time", backend=Choice(name="fake"), device="none", offer="none",
        batching=Choice.model_validate({"name": "dynamic", "max_batch": 8, "max_wait": 0.005}),
        scaling=Choice.model_validate(policy),
        start_up=StartUp(node=60.0, image_pull=20.0),
        network=Network(uplink=1e10, downlink=1e10, rtt=0.02, jitter=0.005),
    )  # fmt: skip
    arrivals = Choice.model_validate({"name": "poisson", "rate": rate / 1000})
    workload = Workload(
        sources=1000, arrivals=arrivals, active=Active(start=0.0, end=hours * HOUR_S)
    )
    return _job(deployment, workload, days, method)


def fleet(devices: int, rate: float) -> Job:
    """A day of devices that answer on the spot, ``rate`` requests a second each."""
    deployment = EdgeDeployment(
        name="fleet", kind="edge", backend=Choice(name="fake"), device="none", offer="none",
        fleet=devices,
    )  # fmt: skip
    arrivals = Choice.model_validate({"name": "poisson", "rate": rate})
    return _job(deployment, Workload(sources=devices, arrivals=arrivals), 1, "fast")


def _job(
    deployment: RealTimeDeployment | EdgeDeployment, workload: Workload, days: int, method: str
) -> Job:
    return Job(
        deployment=deployment, profiles={deployment.name: profile()}, workload=workload,
        objective=Objective(response=ResponseLimit(limit=0.1)), options=SimulateOptions(days=days),
        method=method, seed=1, replication=0,
    )  # fmt: skip
