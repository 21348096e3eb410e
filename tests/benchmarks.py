"""What this project holds its own changes against: ``nox -s gate``. Not collected with the tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.measure.backends import fake
from bench.measure.clock import WallClock
from bench.measure.recorder import Recorder
from bench.measure.service import Service
from bench.measure.tasks import ONE_STAGE
from bench.simulate.run import play, prepare
from tests.evidence.standard import fleet, real_time
from tests.plain_task import Plain

QUERIES = 2_000


@pytest.fixture(scope="module")
def _compiled() -> None:
    prepare()


@pytest.mark.usefixtures("_compiled")
def test_pool(benchmark: Any) -> None:
    """The fast method: twelve minutes of an autoscaled pool, 720,000 requests."""
    benchmark(play, real_time(0.2))


@pytest.mark.usefixtures("_compiled")
def test_devices(benchmark: Any) -> None:
    """The fast method: a day of a hundred devices, 864,000 requests."""
    benchmark(play, fleet(100, 0.1))


def test_reference(benchmark: Any) -> None:
    """The reference method: four seconds of the same pool."""
    benchmark(play, real_time(0.001, method="reference"))


def test_harness(benchmark: Any) -> None:
    """What a query costs beside its six steps, two thousand times: a backend and a task of no time."""
    script = fake.Options(load=0, first_call_extra=0, base=0, per_item=0, real_time=True)
    clock = WallClock()

    def loop() -> None:
        service = Service(
            Plain({"x": np.zeros((1, 1))}), {ONE_STAGE: fake.load(Path(), script, 1, clock)}, clock,
            Recorder("a", 0), np.random.default_rng(0), lambda *_: None,
        )  # fmt: skip
        service.closed_loop("loop", 1, QUERIES, 0, 60)

    benchmark(loop)
