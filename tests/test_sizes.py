"""Sizes of requests: where they come from, how times follow them, and what a run makes of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from bench import extensions
from bench.arrivals import Span, trace
from bench.errors import InputError
from bench.executor import Inline
from bench.gather import load_profiles
from bench.pipeline import run
from bench.prepare import Settings, prepare
from bench.profile import Growth, MeasuredSizes, Profile
from bench.profile.growth import better, growth_of, work_of
from bench.scenario import Choice, Workload
from bench.simulate import simulate, sized
from bench.simulate.bounds import least_response_s
from bench.simulate.demand import Demand
from bench.simulate.plane import occupied
from bench.simulate.service import ServiceTimes, draw, joined_work, service_times
from bench.simulate.sized import size_caveats
from bench.sizes import fixed, histogram, lognormal
from bench.store import Run
from bench.streams import Streams
from tests.test_simulation import profile

pytestmark = pytest.mark.slow

SHARES = (np.arange(200_000) + 0.5) / 200_000


# Where sizes come from ------------------------------------------------------------------------


def test_a_lognormal_is_the_one_with_these_percentiles() -> None:
    found = lognormal.distribution(lognormal.Options(p50=100.0, p99=800.0))
    exact = stats.lognorm(s=np.log(8.0) / stats.norm.ppf(0.99), scale=100.0)
    assert found.quantile(SHARES) == pytest.approx(exact.ppf(SHARES))
    assert found.mean == pytest.approx(exact.mean())
    assert found.largest_of(4) == pytest.approx(
        4 * (exact.ppf(SHARES) * exact.cdf(exact.ppf(SHARES)) ** 3).mean(), rel=1e-3
    )


def test_what_is_larger_than_the_most_is_cut() -> None:
    found = lognormal.distribution(lognormal.Options(p50=100.0, p99=800.0, most=500.0))
    sizes = found.draw(100_000, np.random.default_rng(1))
    assert sizes.max() == found.most == 500.0
    assert found.mean == pytest.approx(sizes.mean(), rel=0.02)


def test_a_histogram_has_its_weights() -> None:
    options = histogram.Options(sizes=[30.0, 10.0, 20.0], weights=[1.0, 2.0, 0.0])
    found = histogram.distribution(options)
    assert (found.mean, found.least, found.most) == (pytest.approx(50 / 3), 10.0, 30.0)
    assert (found.quantile(SHARES) == 10.0).mean() == pytest.approx(2 / 3, abs=1e-4)
    # The larger of two is 30 unless both are 10.
    assert found.largest_of(2) == pytest.approx(30 - 20 * 4 / 9, rel=1e-3)


def test_one_size_is_one_size() -> None:
    found = fixed.distribution(fixed.Options(size=7.0))
    assert (found.mean, found.least, found.most, found.largest_of(9)) == (7.0, 7.0, 7.0, 7.0)


@pytest.mark.parametrize(
    ("module", "options"),
    [
        (histogram, {"sizes": [1.0], "weights": [1.0, 2.0]}),
        (histogram, {"sizes": [1.0], "weights": [0.0]}),
        (histogram, {"sizes": []}),
        (histogram, {"sizes": [0.0]}),
        (lognormal, {"p50": 5.0, "p99": 4.0}),
        (lognormal, {"p50": 5.0, "p99": 6.0, "most": 4.0}),
        (fixed, {"size": -1.0}),
    ],
)
def test_impossible_sizes_are_refused(module: Any, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        module.Options.model_validate(options)


def test_every_member_is_tested_here() -> None:
    tested = {m.__name__.rpartition(".")[2] for m in (fixed, histogram, lognormal)}
    assert set(extensions.names("bench.sizes")) == tested


@pytest.mark.parametrize("rate", [None, 50.0])
def test_a_row_of_a_trace_keeps_its_size(tmp_path: Path, rate: float | None) -> None:
    """However it is resampled: the fraction of a second says which row it was."""
    file = tmp_path / "trace.csv"
    rows = [f"{k + k / 1000:.4f},{k + 1}" for k in range(100)]
    file.write_text("time_s,pages\n" + "\n".join(rows) + "\n")
    options = trace.Options(file=file, sizes="pages", rate=rate, window=3600.0)
    chunks = list(trace.stream(options, Span(1, 99.0), np.random.default_rng(0)))
    times, _, sizes = (np.concatenate(column) for column in zip(*chunks, strict=True))
    assert len(times) == len(sizes) > 90
    assert np.floor(times + 1e-6).tolist() == (sizes - 1).tolist()


@pytest.mark.parametrize("bad", ["-3", "", "many", "nan", "1e12"])
def test_what_is_no_size_is_said_with_its_line(tmp_path: Path, bad: str) -> None:
    file = tmp_path / "trace.csv"
    file.write_text(f"time_s,pages\n0,1\n1,{bad}\n2,3\n")
    with pytest.raises(InputError, match="no size") as said:
        trace.mean_rate(trace.Options(file=file, sizes="pages"), 1)
    assert said.value.where == f"{file}:3"


# How times follow them -----------------------------------------------------------------------


def batches(
    seconds: Callable[[list[float]], float], count: int, size: int, noise: float = 0.02
) -> tuple[list[list[float]], list[float]]:
    """Batches of random inputs, and times by a rule, some of them far off."""
    rng = np.random.default_rng([count, size])
    sizes = rng.choice([100.0, 200.0, 300.0, 700.0], (count, size)).tolist()
    times = [seconds(batch) * float(np.exp(noise * rng.standard_normal())) for batch in sizes]
    times[3] *= 20  # the machine was busy
    return sizes, times


def test_the_line_is_found_through_noise_and_outliers() -> None:
    sizes, times = batches(lambda batch: 0.004 + 2e-5 * sum(batch), 300, 1)
    work = [work_of(batch, "sum") for batch in sizes]
    found = growth_of(work, times)
    level = 0.004 + 2e-5 * found.work
    assert found.rate == pytest.approx(2e-5 / level, rel=0.03)
    assert found.held_out_error is not None
    assert found.without is not None
    assert found.held_out_error < 0.06 < 0.2 < found.without
    assert [one.work for one in found.classes] == [100.0, 200.0, 300.0, 700.0]
    assert sum(one.batches for one in found.classes) == 300


def test_the_standard_error_is_that_of_other_batches() -> None:
    """A hundred other measurements of the same would differ by as much as is said."""
    rates, errors = [], []
    work = np.random.default_rng(1).uniform(1, 10, 200)
    for seed in range(100):
        noise = np.exp(np.random.default_rng(seed).normal(0, 0.1, 200))
        found = growth_of(work.tolist(), ((1 + work) * noise).tolist())
        rates.append(found.rate)
        errors.append(found.rate_error)
    assert np.std(rates) == pytest.approx(np.mean(errors), rel=0.3)


@pytest.mark.parametrize("joined", ["longest", "sum"])
def test_how_sizes_add_up_is_learnt_from_batches(joined: Any) -> None:
    seen = {
        size: batches(lambda batch: 0.002 + 1e-5 * work_of(batch, joined), 120, size)
        for size in (1, 2, 4)
    }
    sizes, times = ({n: pair[k] for n, pair in seen.items()} for k in (0, 1))
    assert better(sizes, times) == joined


def test_too_few_batches_or_one_size_have_no_line() -> None:
    assert growth_of([1.0, 2.0], [1.0, 2.0]).rate == 0.0
    assert growth_of([5.0] * 50, [1.0] * 50).rate == 0.0
    assert growth_of(list(range(1, 51)), list(range(50, 0, -1))).rate == 0.0  # no line falls


# What simulation makes of it ------------------------------------------------------------------

LINE = Growth(work=4.0, rate=0.1)


class Anybody:
    block_left = 0


def test_a_batch_takes_as_long_as_its_work() -> None:
    for padded, work in ((True, 9.0), (False, 13.0)):
        times = ServiceTimes.of({2: [0.001]}, growth={2: LINE}, padded=padded)
        together = joined_work(padded, joined_work(padded, 0.0, 4.0), 9.0)
        assert together == work
        length = draw(Anybody(), times, 2, 0.5, together, 0.0)
        assert length == pytest.approx(1e6 * (1 + 0.1 * (work - 4)), abs=1)


def test_a_batch_between_measured_sizes_is_as_if_filled_up_with_its_like() -> None:
    times = ServiceTimes.of({4: [0.001]}, growth={4: LINE})
    # Three requests that are as large as those of an average batch of four.
    assert draw(Anybody(), times, 3, 0.5, 3.0, 0.0) == 1_000_000
    assert draw(Anybody(), times, 3, 0.5, 6.0, 0.0) == draw(Anybody(), times, 4, 0.5, 8.0, 0.0)


def test_a_message_without_sizes_takes_what_it_takes() -> None:
    assert occupied(7, 0.0, 1e300) == 7
    assert occupied(7, 2.5, 3.0) == 14


def with_sizes(joined: str = "sum") -> Profile:
    """Times of 10 ms + 5 ms a unit, one request or two at once; inputs of 1, 2 and 3 units."""
    work = {1: [1.0, 2.0, 3.0], 2: [2.0, 4.0, 6.0]}
    seconds = {size: [0.01 + 0.005 * w for w in own] for size, own in work.items()}
    growth = {
        size: Growth(work=float(np.mean(own)), rate=0.005 / float(np.mean(seconds[size])))
        for size, own in work.items()
    }
    byte = Growth(work=2.0, rate=0.5)
    return profile(
        seconds, input_bytes=2000.0, output_bytes=10.0, loop_overhead_s=0.0,
        sizes=MeasuredSizes(
            unit="units", joined=joined, inputs=[1.0, 2.0, 3.0], least=1.0, work=work,
            growth=growth, input_bytes=byte, output_bytes=Growth(work=2.0, rate=0.0),
        ),
    )  # fmt: skip


def test_a_profile_is_carried_along_its_line() -> None:
    found = with_sizes().for_requests(10.0, 8.0, lambda count: 12.0)
    assert found.service_s[1] == pytest.approx([0.06] * 3)
    assert found.service_s[2] == pytest.approx([0.11] * 3)
    assert found.input_bytes == pytest.approx(10_000.0)
    assert found.output_bytes == 10.0
    assert found.shortest_s(1) == pytest.approx(0.05)
    assert found.least_input_bytes == pytest.approx(8000.0)
    again = found.for_requests(10.0, 8.0, lambda count: 12.0)
    assert again.service_s == found.service_s
    padded = with_sizes("longest").for_requests(10.0, 8.0, lambda count: 12.0)
    assert padded.service_s[1] == pytest.approx([0.07] * 3)


def test_the_loop_adds_the_same_to_small_and_large() -> None:
    slow = with_sizes().for_requests(2.0, 1.0, lambda n: 2.0).model_copy(
        update={"loop_overhead_s": 0.01}
    )  # fmt: skip
    times = service_times(slow)
    assert draw(Anybody(), times, 1, 0.5, 2.0, 0.0) == pytest.approx(30e6, abs=2)
    assert draw(Anybody(), times, 1, 0.5, 6.0, 0.0) == pytest.approx(50e6, abs=2)


# The whole way --------------------------------------------------------------------------------

SCENARIO = """\
schema_version: 1
name: sizes
task: {name: synthetic, samples: 40, payload_bytes: 1000, sizes: [1, 2, 3, 10]}
workload:
  arrivals: {name: poisson, rate: 20/s}
  active: {start: "08:00", end: "08:10"}
WORKLOAD
objective:
  response: {percentile: 99, limit: 2 s}
simulate: {replications: 2, profile_uncertainty: false}
deployments:
  - name: cloud
    kind: real_time
    backend: {name: fake, base: 2 ms, per_item: 1 ms, per_unit: 4 ms, padded: PADDED}
    device: this-host
    offer: civo/standard-2c-4g/any/on-demand
    batching: {name: greedy, max_batch: 2}
    scaling: {name: fixed, replicas: 3}
    start_up: {node: 60 s}
    network: {uplink: 10 Mbit/s, downlink: 10 Mbit/s, rtt: 4 ms}
"""


def written(folder: Path, workload: str = "", padded: bool = False) -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / "sizes.yaml"
    text = SCENARIO.replace("WORKLOAD\n", f"  {workload}\n" if workload else "")
    file.write_text(text.replace("PADDED", str(padded).lower()))
    return file


@pytest.fixture(scope="module")
def measured_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("sizes")
    return run(written(folder), folder / "out", Settings(engine="inline"))


def test_a_run_measures_how_time_follows_size(measured_run: Run) -> None:
    (found,) = load_profiles(measured_run.path).values()
    assert found.sizes is not None
    assert (found.sizes.unit, found.sizes.joined) == ("units", "sum")
    line, mean = found.sizes.growth[1], float(np.mean(found.at_average()[1]))
    assert line.rate * mean == pytest.approx(0.004, rel=0.01)
    assert line.factor(0.0) * mean == pytest.approx(0.003, rel=0.02)
    assert found.sizes.input_bytes.rate * found.input_bytes == pytest.approx(1000.0, rel=0.01)
    requests = measured_run.table("requests.parquet")
    assert set(requests["size"]) == {1.0, 2.0, 3.0, 10.0}
    page = (measured_run.path / "report.html").read_text()
    assert "How service time follows size" in page
    assert "Service time of one request against its size" in page


def simulated(run_: Run, file: Path, method: str = "fast") -> Any:
    return simulate(prepare(file, Settings()), load_profiles(run_.path), 1, Inline(), method=method)


def test_sizes_make_the_tail_and_not_the_mean(measured_run: Run, tmp_path: Path) -> None:
    """The inputs measured, against as many requests that are all of their mean size."""
    spread = simulated(measured_run, written(tmp_path)).deployments[0]
    flat = simulated(measured_run, written(tmp_path, "sizes: {name: fixed, size: 4}")).deployments[
        0
    ]
    for name in ("p99", "p50"):
        assert spread.response_s[name].value is not None
        assert flat.response_s[name].value is not None
    assert spread.response_s["p99"].value > 1.5 * flat.response_s["p99"].value
    assert spread.utilisation.value == pytest.approx(flat.utilisation.value, rel=0.05)
    day = spread.replications[0]
    used = day.usage["cloud"]
    assert used.uploaded_bytes == pytest.approx(4000.0 * day.requests, rel=0.05)


def test_both_methods_agree_on_what_was_measured(measured_run: Run, tmp_path: Path) -> None:
    fast, slow = (simulated(measured_run, written(tmp_path), m) for m in ("fast", "reference"))
    assert fast.deployments == slow.deployments


def test_sizes_are_drawn_anew_in_every_chunk() -> None:
    workload = Workload.model_validate(
        {
            "arrivals": {"name": "poisson", "rate": 2.0},
            "sizes": {"name": "lognormal", "p50": 10.0, "p99": 90.0},
        }
    )
    demand = Demand(workload, Streams(1, 0), 1, "fast")
    sizes = np.concatenate([chunk.size for chunk in demand.requests()])
    assert len(sizes) > 100_000
    assert len(np.unique(sizes)) == len(sizes)


def test_bounds_are_those_of_the_sizes_asked_for(measured_run: Run, tmp_path: Path) -> None:
    file = written(tmp_path, "sizes: {name: histogram, sizes: [50, 60]}")
    asked = prepare(file, Settings())
    profiles = sized(asked, load_profiles(measured_run.path))
    (deployment,) = asked.scenario.deployments
    own = {deployment.name: next(iter(profiles.values()))}
    # 2 ms and 1 ms and 50 times 4 ms; 50,000 bytes up and 12 down at 10 Mbit/s; the round trip.
    least = least_response_s(deployment, own, asked.scenario.workload)
    assert pytest.approx(least, rel=0.01) == 0.203 + 0.040 + 0.004
    found = simulate(asked, profiles, 1, Inline())
    assert [caveat.kind for caveat in found.caveats] == ["sizes-beyond"]
    assert "1 to 10 units" in found.caveats[0].text
    crowded = simulated(
        measured_run, written(tmp_path, "sizes: {name: fixed, size: 100}")
    ).deployments[0]  # fmt: skip
    assert crowded.impossible is not None


def test_sizes_of_a_task_without_any_are_said_to_count_for_nothing(tmp_path: Path) -> None:
    asked = prepare(written(tmp_path, "sizes: {name: fixed, size: 5}"), Settings())
    (arm,) = asked.arms.values()
    plain = {arm.name: with_sizes().model_copy(update={"sizes": None, "arm": arm.name})}
    found = simulate(asked, plain, 1, Inline())
    assert [caveat.kind for caveat in found.caveats] == ["sizes-ignored"]


def test_a_request_that_takes_days_is_refused(measured_run: Run, tmp_path: Path) -> None:
    file = written(tmp_path, "sizes: {name: lognormal, p50: 1000, p99: 1000000}")
    with pytest.raises(InputError, match="would take") as said:
        simulated(measured_run, file)
    assert said.value.where == "workload.sizes"


def test_sizes_from_two_places_are_refused(measured_run: Run, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("time_s,pages\n0,1\n1,2\n2,3\n")
    file = written(tmp_path, "sizes: {name: fixed, size: 5}")
    text = file.read_text().replace(
        "{name: poisson, rate: 20/s}", "{name: trace, file: t.csv, sizes: pages, rate: 20/s}"
    )
    file.write_text(text)
    with pytest.raises(InputError, match="from the trace and from"):
        simulated(measured_run, file)
    file.write_text(text.replace("  sizes: {name: fixed, size: 5}\n", ""))
    assert simulated(measured_run, file).deployments[0].impossible is None


def test_a_padded_backend_is_found_to_pad(tmp_path: Path) -> None:
    settings = Settings(engine="inline")
    done = run(written(tmp_path, padded=True), tmp_path / "out", settings)
    (found,) = load_profiles(done.path).values()
    assert found.sizes is not None
    assert found.sizes.joined == "longest"
    line, mean = found.sizes.growth[2], float(np.mean(found.at_average()[2]))
    assert line.rate * mean == pytest.approx(2 * 0.004, rel=0.01)


@pytest.mark.parametrize(
    ("missed", "said"), [([0.05, 0.3, 0.06], False), ([0.3, 0.05, 0.25], True)]
)
def test_lines_that_miss_what_was_held_out_are_said_to(missed: list[float], said: bool) -> None:
    """One batch size that was measured in a bad minute is no reason."""
    profile = with_sizes()
    assert profile.sizes is not None
    line = next(iter(profile.sizes.growth.values()))
    growth = {n: line.model_copy(update={"held_out_error": e}) for n, e in enumerate(missed, 1)}
    sizes = profile.sizes.model_copy(update={"growth": growth})
    workload = Workload(sources=1, arrivals=Choice.model_validate({"name": "poisson", "rate": 1.0}))
    found = size_caveats(workload, [profile.model_copy(update={"sizes": sizes})])
    assert [caveat.kind for caveat in found] == ["sizes-poorly-known"] * said
