"""How fast the simulator is, one pytest-benchmark run on one core: ``nox -s speed``."""

from __future__ import annotations

from typing import Any

import pytest

from bench.simulate.run import Job, play, prepare
from tests.evidence.standard import fleet, real_time

HPA = {"name": "hpa", "min_replicas": 4, "max_replicas": 16, "target": 0.6}


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    prepare()
    play(real_time(hours=0.05))
    play(fleet(10, 0.1))


def simulate(benchmark: Any, job: Job, rounds: int, **kept: object) -> None:
    requests = []

    def once() -> None:
        requests.append(play(job)[2].offered)

    benchmark.pedantic(once, rounds=rounds)
    benchmark.extra_info.update(requests=requests[0], **kept)


@pytest.mark.parametrize(("method", "hours", "rounds"), [("fast", 24.0, 3), ("reference", 0.1, 3)])
def test_standard(benchmark: Any, method: str, hours: float, rounds: int) -> None:
    simulate(benchmark, real_time(hours, method=method), rounds, method=method)


def test_a_day_of_ten_thousand_devices(benchmark: Any) -> None:
    simulate(benchmark, fleet(10_000, 0.1), 1)


@pytest.mark.parametrize("hours", [1.0, 2.0, 4.0, 8.0, 16.0])
def test_growth_with_requests(benchmark: Any, hours: float) -> None:
    simulate(benchmark, real_time(hours), 1, hours=hours)


@pytest.mark.parametrize("replicas", [4, 16, 64, 256])
def test_growth_with_replicas(benchmark: Any, replicas: int) -> None:
    scaling = {"name": "fixed", "replicas": replicas}
    rate = 250.0 * replicas
    job = real_time(4000.0 / rate, rate=rate, scaling=scaling)
    simulate(benchmark, job, 2, replicas=replicas)


@pytest.mark.parametrize("period", [60.0, 15.0, 5.0, 1.0])
def test_growth_with_control_events(benchmark: Any, period: float) -> None:
    job = real_time(1.0, scaling=HPA | {"period": period})
    simulate(benchmark, job, 2, control_events=round(86_400 / period))


@pytest.mark.parametrize("devices", [100, 1_000, 10_000, 100_000])
def test_growth_with_devices(benchmark: Any, devices: int) -> None:
    simulate(benchmark, fleet(devices, 100.0 / devices), 1, devices=devices)
