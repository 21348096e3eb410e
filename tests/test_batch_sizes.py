"""A batch of a size between those measured takes as long as the next larger one that was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.compare import compare
from bench.cost import cost_simulation
from bench.errors import InputError
from bench.executor import Inline
from bench.gather import load_profiles
from bench.plan import Runs, candidates, search
from bench.prepare import Settings, prepare
from bench.profile import Profile
from bench.scenario import ResolvedScenario
from bench.simulate import simulate
from bench.simulate.service import ServiceTimes, service_times

pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).parents[1] / "reports" / "example"
MEASURED = (*range(1, 17), 24, 32)
"""As `bench measure` chooses them for measure.max_batch: 32."""
SCENARIO = """
schema_version: 1
name: sizes
task: {name: text-recognition, labels: 48}
workload:
  arrivals: {name: poisson, rate: 30/s}
  active: {start: "08:00", end: "08:04"}
objective:
  due: {by: "06:00", share: 99 %}
simulate: {replications: 2}
deployments:
  - name: night
    kind: batch
    backend: onnxruntime-cpu
    device: this-host
    offer: aws/c7i.xlarge/us-east-1/on-demand
    batching: {name: greedy, max_batch: 32}
    window: {opens: "22:00"}
    start_up: {node: 60 s}
    network: &net {uplink: 400 Mbit/s, downlink: 400 Mbit/s, rtt: 4 ms}
  - name: cloud
    kind: real_time
    backend: onnxruntime-cpu
    device: this-host
    offer: aws/c7i.xlarge/us-east-1/on-demand
    batching: {name: greedy, max_batch: 23}
    scaling: {name: fixed, replicas: 1}
    start_up: {node: 60 s}
    network: *net
plan:
  offers: ["aws/c7i.xlarge/us-east-1/on-demand"]
  nodes: [1]
"""


def seconds(size: int) -> float:
    """A batch is hardly slower than a request, so that batches grow large."""
    return 0.35 + 0.001 * size


def profile(sizes: dict[int, int]) -> dict[str, Profile]:
    """``sizes``: by batch size, that whose time it takes."""
    (own,) = (p for p in load_profiles(EXAMPLE).values() if p.device == "this-host")
    times = {size: [seconds(taken)] for size, taken in sizes.items()}
    return {
        own.arm: own.model_copy(update={"service_s": times, "loop_overhead_s": 0.0, "sizes": None})
    }


@pytest.fixture
def asked(tmp_path: Path) -> ResolvedScenario:
    path = tmp_path / "sizes.yaml"
    path.write_text(SCENARIO)
    return prepare(path, Settings())


SPARSE = profile({size: size for size in MEASURED})
PADDED = profile(
    {size: min(one for one in MEASURED if one >= size) for size in range(1, MEASURED[-1] + 1)}
)


@pytest.mark.parametrize(
    ("size", "taken"), [(1, 1), (16, 16), (17, 24), (24, 24), (25, 32), (32, 32)]
)
def test_the_next_larger_one_is_taken(size: int, taken: int) -> None:
    (own,) = SPARSE.values()
    assert own.measured_size(size) == taken
    assert own.mean_service_s(size) == seconds(taken)
    assert service_times(own).of_size(size).tolist() == [round(seconds(taken) * 1e9)]


def test_beyond_the_largest_nothing_is_known() -> None:
    (own,) = SPARSE.values()
    with pytest.raises(ValueError, match=r"a batch of 33 .*measured up to 32"):
        own.measured_size(33)


def test_a_model_of_one_size_serves_what_is_smaller() -> None:
    times = ServiceTimes.of({4: [0.003, 0.004]})
    assert all(times.of_size(size).tolist() == [3_000_000, 4_000_000] for size in (1, 2, 3, 4))
    assert np.array_equal(times.slowed(2.0).of_size(1), [6_000_000, 8_000_000])


@pytest.mark.parametrize("method", ["reference", "fast"])
def test_it_is_as_if_the_batch_were_filled_up(asked: ResolvedScenario, method: str) -> None:
    sparse, padded = (
        simulate(asked, profiles, 1, Inline(), method=method) for profiles in (SPARSE, PADDED)
    )
    assert sparse == padded
    assert max(d.mean_batch.value or 0.0 for d in sparse.deployments) > 16


def test_what_was_not_measured_is_said(asked: ResolvedScenario) -> None:
    simulation = simulate(asked, SPARSE, 1, Inline(), method="reference")
    costs = cost_simulation(asked, SPARSE, simulation)
    said = {
        entry.deployment: [o for o in entry.origins if "not measured" in o.source]
        for entry in compare(asked, SPARSE, simulation, costs, {}).ranking
    }
    ((night,), (cloud,)) = said["night"], said["cloud"]
    assert "17 to 23, 25 to 31" in night.subject
    assert night.source.endswith("the next larger one that was: 24, 32")
    assert "batches of 17 to 23 of" in cloud.subject
    assert night.provenance == cloud.provenance == "assumed"


def test_a_plan_of_such_a_profile(asked: ResolvedScenario) -> None:
    offer = asked.offers["night"]
    made = list(candidates(asked, [Runs(offer, None, asked.distinct_arms)], SPARSE))
    assert any("max_batch=32" in one.deployment.name for one in made)
    assert search(asked, made, SPARSE, 1, Inline()).objective_met


def test_a_larger_batch_than_was_measured_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sizes.yaml"
    path.write_text(SCENARIO.replace("max_batch: 32", "max_batch: 33"))
    with pytest.raises(InputError, match=r"batches of up to 33, .* measured for up to 32"):
        simulate(prepare(path, Settings()), SPARSE, 1, Inline(), method="reference")
