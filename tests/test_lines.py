"""Lines of stages: against theory, against the shorter ways to write them, and what they refuse."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from bench.compare import Comparison
from bench.cost import Costs
from bench.errors import InputError
from bench.pipeline import run
from bench.prepare import Settings, prepare
from bench.profile import Growth, MeasuredSizes
from bench.requests import Answers
from bench.scenario import LineDeployment, Objective, ResponseLimit, SimulateOptions, Workload
from bench.simulate import Simulation, line, places
from bench.simulate.run import Job, play, play_replication
from bench.streams import Streams
from bench.ticks import PER_SECOND
from bench.work import asked_of
from tests.conftest import CASCADE, FAKE_SCENARIO
from tests.queues import agrees, exponential
from tests.test_simulation import DEPLOYMENTS, profile
from tests.test_simulation import job as short_job

pytestmark = pytest.mark.slow

MEAN_S, RATE = 0.05, 12.0
NETWORK = {"uplink": 1e12, "downlink": 1e12, "rtt": 0.0}
REPLICATIONS = 8


@functools.cache
def exponential_profile(mean_s: float, points: int = 100_000) -> Any:
    """In no order: consecutive ones that are alike would be drawn together."""
    times = np.random.default_rng(0).permutation(exponential(mean_s, points)).tolist()
    return profile({1: times}, loop_overhead_s=0.0, input_bytes=1.0, output_bytes=1.0)


def stage(name: str, place: str = "real_time", **changes: Any) -> dict[str, Any]:
    part: dict[str, Any] = {
        "name": name, "place": place, "backend": {"name": "fake"}, "device": "d", "offer": "o",
    }  # fmt: skip
    if place == "real_time":
        part |= {
            "start_up": {"node": 0.0}, "network": NETWORK,
            "scaling": {"name": "fixed", "replicas": 1},
        }  # fmt: skip
    return part | changes


def job(*stages: dict[str, Any], replication: int = 0, method: str = "fast", **changes: Any) -> Job:
    deployment = LineDeployment.model_validate(
        {"name": "line", "kind": "line", "stages": list(stages)}
    )
    fields = {
        "deployment": deployment,
        "profiles": dict.fromkeys(deployment.parts, exponential_profile(MEAN_S, 1000)),
        "workload": Workload.model_validate({"arrivals": {"name": "poisson", "rate": RATE}}),
        "objective": Objective(response=ResponseLimit(limit=1.0)),
        "options": SimulateOptions(profile_uncertainty=False),
        "method": method,
        "seed": 3,
        "replication": replication,
    }
    return Job(**(fields | changes))


def means(*stages: dict[str, Any], **changes: Any) -> list[tuple[float, float, float]]:
    """Of each replication: time before the last stage, wait there, and response, in seconds."""
    found = []
    for replication in range(REPLICATIONS):
        sums = np.zeros(4)

        def watch(answers: Answers, sums: Any = sums) -> None:
            last = answers[answers["batch"] > 0]
            sums += [
                (last["reach"] - last["arrival"]).sum(), (last["start"] - last["reach"]).sum(),
                (last["finished"] - last["arrival"]).sum(), len(last) * PER_SECOND,
            ]  # fmt: skip

        one = job(*stages, replication=replication, **changes)
        exact = dict.fromkeys(one.profiles, exponential_profile(MEAN_S))
        play(one.model_copy(update={"profiles": exact}), watch=watch)
        before, wait, response = (sums[:3] / sums[3]).tolist()
        found.append((before, wait, response))
    return found


@pytest.mark.slow
def test_a_tandem_of_two_m_m_1_has_product_form() -> None:
    """Burke, Operations Research 4, 1956: what leaves the first is a Poisson process again."""
    rho, free = RATE * MEAN_S, 1 / MEAN_S - RATE
    seen = means(stage("first"), stage("second"))
    agrees([before for before, _, _ in seen], 1 / free)
    agrees([wait for _, wait, _ in seen], rho / free)
    agrees([response for _, _, response in seen], 2 / free)


@pytest.mark.slow
def test_what_devices_pass_on_is_a_thinned_stream() -> None:
    """From many devices that answer on their own, a share is asked again in the cloud."""
    devices, share, each, beyond_s = 200, 0.3, 0.1, 0.1
    workload = Workload.model_validate(
        {"sources": devices, "arrivals": {"name": "poisson", "rate": each}}
    )
    edge = stage("edge", "edge", fleet=devices)
    cloud = stage("cloud", takes={"unsure": share})
    times = {"line (edge)": 0.5 / each, "line (cloud)": beyond_s}
    rate = share * each * devices
    seen = []
    for replication in range(REPLICATIONS):
        sums = np.zeros((2, 2))

        def watch(answers: Answers, sums: Any = sums) -> None:
            asked_again = answers["reach"] > answers["arrival"]
            wait = answers["start"] - answers["reach"]
            for row, of in enumerate((asked_again, ~asked_again)):
                sums[row] += [wait[of].sum() / PER_SECOND, of.sum()]

        replication = job(
            edge, cloud, replication=replication, workload=workload,
            profiles={name: exponential_profile(mean) for name, mean in times.items()},
        )  # fmt: skip
        play(replication, watch=watch)
        seen.append((sums[:, 0] / sums[:, 1]).tolist())
    agrees([wait for wait, _ in seen], rate * beyond_s / (1 / beyond_s - rate))
    agrees([wait for _, wait in seen], 0.5 / each * 0.5 / (1 - 0.5))


def test_a_hybrid_written_as_a_line_passes_on_the_same() -> None:
    short = DEPLOYMENTS["hybrid"]
    written = {
        "kind": "line",
        "stages": [
            {"name": "edge", "place": "edge", **short["edge"]},
            {"name": "cloud", "place": "real_time", "takes": short["spill"], **short["cloud"]},
        ],
    }
    one = short_job(short)
    other = LineDeployment.model_validate({"name": "d", **written})
    again = one.model_copy(update={"deployment": other})
    assert list(other.parts) == list(one.deployment.parts)
    (found, _), (expected, _) = play_replication(again), play_replication(one)
    assert found.usage["d (edge)"] == expected.usage["d (edge)"]
    assert found.usage["d (cloud)"].served == expected.usage["d (cloud)"].served > 0
    assert (found.requests, found.done) == (expected.requests, expected.done)


def test_luck_at_a_stage_is_the_requests_and_not_that_of_another_stage() -> None:
    streams, numbers = Streams(1, 0), np.arange(100_000)
    first, second = streams.luck("a", numbers), streams.luck("b", numbers)
    assert streams.luck("a", numbers[::-1]).tolist() == first[::-1].tolist()
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.01
    assert abs(np.corrcoef(first[1:], first[:-1])[0, 1]) < 0.01
    for one in (first, second):
        assert 0 <= one.min() < one.max() < 1
        assert np.histogram(one, 10, (0, 1))[0] == pytest.approx(10_000, rel=0.05)


ODD = [
    stage("a", network={"uplink": 4e5, "downlink": 1e6, "rtt": 0.03, "jitter": 0.02}),
    stage(
        "b", scaling={"name": "hpa", "min_replicas": 1, "max_replicas": 3, "target": 0.5},
        admission={"queue_limit": 5, "timeout": 0.2}, routing="two_choices",
    ),
    stage("c", failures={"mtbf": 300.0, "mttr": 20.0}, scaling={"name": "fixed", "replicas": 2}),
]  # fmt: skip
SHORT = {
    "arrivals": {"name": "poisson", "rate": 30.0},
    "active": {"start": 82_000.0, "end": 82_060.0},
}
LINES = {
    "three pools": ODD,
    "devices, then a pool": [stage("e", "edge", fleet=3), stage("c", scaling={"name": "fixed", "replicas": 2})],
    "devices, devices and a pool": [
        stage("e", "edge", fleet=3, duty_cycle={"period": 10.0, "on": 7.0}),
        stage("f", "edge", fleet=2, takes={"unsure": 0.4}),
        stage("c", takes={"queue": 1}, network=NETWORK | {"outages": {"mtbf": 60.0, "mttr": 5.0}}),
    ],
    "a pool, then a batch": [
        stage("a"),
        stage(
            "night", "batch", start_up={"node": 5.0}, network=NETWORK, window={"opens": 82_800.0},
            batching={"name": "greedy", "max_batch": 1},
        ),
    ],
}  # fmt: skip


@pytest.fixture
def _rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pass on what is done in large portions: every minute of two days is most of the time."""
    monkeypatch.setattr(places, "ONWARD_S", 7200.0)


@pytest.mark.usefixtures("_rarely")
@pytest.mark.parametrize("name", LINES)
def test_both_methods_play_a_line_alike(name: str) -> None:
    workload = Workload.model_validate({"sources": 3, "sites": 1, **SHORT})
    fast, slow = (
        play_replication(job(*LINES[name], method=method, workload=workload))
        for method in ("fast", "reference")
    )
    assert fast == slow
    day = fast[0]
    assert day.requests == day.done + day.shed + day.timed_out + day.lost + day.in_flight
    assert all(used.served > 0 for used in day.usage.values())


def test_every_stage_that_all_pass_is_in_the_bounds() -> None:
    one = job(stage("first"), stage("second", scaling={"name": "fixed", "replicas": 3}))
    deployment, profiles = one.deployment, one.profiles
    alone = line.quickest(
        job(stage("first")).deployment, {"line (first)": profiles["line (first)"]}
    )
    assert line.quickest(deployment, profiles) == pytest.approx(2 * alone)
    replicas = [
        limit.per_day
        for limit in line.limits(deployment, profiles, one.workload)
        if "replica" in limit.what
    ]
    assert replicas == pytest.approx([86_400 / MEAN_S, 3 * 86_400 / MEAN_S], rel=1e-3)
    used = line.least_usage(deployment, profiles, 1, 50)
    assert [usage.served for usage in used.values()] == [50, 50]


def test_a_share_of_a_share_goes_on() -> None:
    workload = Workload.model_validate({"sources": 3, "sites": 1, **SHORT})
    some = {"unsure": 0.5}
    one = job(
        stage("e", "edge", fleet=3), stage("f", "edge", fleet=3, takes=some),
        stage("c", takes=some), stage("d"), workload=workload,
    )  # fmt: skip
    served = [used.served for used in play_replication(one)[0].usage.values()]
    assert served[1] == pytest.approx(served[0] / 2, rel=0.1)
    assert served[2] == pytest.approx(served[0] / 4, rel=0.15)
    assert served[3] == served[2]
    # ... and the bounds of those behind are of a quarter.
    found = line.limits(one.deployment, one.profiles, workload)
    replicas = [limit.per_day for limit in found if "1 replica" in limit.what]
    assert replicas == pytest.approx([4 * 86_400 / MEAN_S] * 2, rel=1e-3)


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        ([stage("a"), stage("a")], "two stages are called 'a'"),
        ([stage("a", takes={"queue": 1})], "the first stage takes all"),
        ([stage("a"), stage("b", "edge", fleet=1)], "at the edge, after 'a'"),
        ([stage("a"), stage("b", takes={"unsure": 0.5})], "takes: all"),
        ([], "at least 1"),
    ],
)
def test_lines_that_cannot_be_are_refused(stages: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        LineDeployment.model_validate({"name": "x", "kind": "line", "stages": stages})


def test_a_run_costs_and_reports_every_stage_of_a_line(tmp_path: Path) -> None:
    path = tmp_path / "line.yaml"
    path.write_text(FAKE_SCENARIO + CASCADE)
    done = run(path, tmp_path / "out", Settings(engine="inline"))
    costs = done.load("costs.json", Costs)
    (cascade,) = (one for one in costs.deployments if one.deployment == "cascade")
    items = {(line.part, line.item.partition(",")[0]) for line in cascade.ledger.lines}
    assert ("cascade (camera)", "devices") in items
    assert ("cascade (site)", "compute") in items
    assert ("cascade (site)", "load balancer") in items
    assert ("cascade (archive)", "compute") in items
    assert ("cascade (archive)", "storage") in items
    page = (done.path / "report.html").read_text()
    assert "cascade (archive)" in page
    simulation = done.load("simulation.json", Simulation)
    (result,) = (one for one in simulation.deployments if one.deployment == "cascade")
    day = result.replications[0]
    served = {name: used.served for name, used in day.usage.items()}
    assert served["cascade (camera)"] == day.requests
    assert served["cascade (site)"] == pytest.approx(0.3 * day.requests, rel=0.15)
    assert served["cascade (archive)"] == served["cascade (site)"]
    assert day.done == day.requests
    (entry,) = (
        e for e in done.load("comparison.json", Comparison).ranking if e.deployment == "cascade"
    )
    assert entry.kind == "line"
    assert not entry.feasible  # what the archive answers at night is late


# Any line, any sizes: both methods alike --------------------------------------------------------

COUNTS = st.integers(1, 3)
BATCHING = st.one_of(
    st.just({"name": "none"}),
    st.builds(lambda n: {"name": "greedy", "max_batch": n}, COUNTS),
    st.builds(lambda n: {"name": "dynamic", "max_batch": n, "max_wait": 0.02}, COUNTS),
)
ADMISSION = st.sampled_from(
    [{}, {"queue_limit": 2}, {"timeout": 0.1}, {"queue_limit": 1, "timeout": 0.3}]
)
NETWORKS = st.builds(
    lambda uplink, rtt, jitter, loss: {
        "uplink": uplink, "downlink": 1e6, "rtt": rtt, "jitter": jitter, "loss": loss,
    },
    st.sampled_from([2e4, 1e6, 1e9]), st.sampled_from([0.0, 0.03]), st.sampled_from([0.0, 0.02]),
    st.sampled_from([0.0, 0.1]),
)  # fmt: skip
COMMON = {
    "batching": BATCHING,
    "admission": ADMISSION,
    "in_flight": st.sampled_from(["retry", "lost"]),
}


def edges(name: str, takes: Any) -> Any:
    return st.builds(
        lambda **part: stage(name, "edge", **part), fleet=COUNTS, takes=takes,
        duty_cycle=st.sampled_from([None, {"period": 2.0, "on": 1.0}]), **COMMON,
    )  # fmt: skip


def pools(name: str, takes: Any) -> Any:
    return st.builds(
        lambda replicas, **part: stage(
            name, scaling={"name": "fixed", "replicas": replicas}, **part
        ),
        replicas=COUNTS, network=NETWORKS, takes=takes,
        failures=st.sampled_from([None, {"mtbf": 3000.0, "mttr": 300.0}]),
        routing=st.sampled_from(["central", "round_robin", "shortest_queue", "two_choices", "sticky"]),
        **COMMON,
    )  # fmt: skip


@st.composite
def drawn_lines(draw: st.DrawFn) -> list[dict[str, Any]]:
    answered = st.sampled_from(["all", "found"])
    passed_on = st.sampled_from(
        ["all", "found", {"unsure": 0.4}, {"queue": 1}, {"queue": 0, "unsure": 0.5}]
    )
    everything = st.just("all")
    found = [draw(st.one_of(edges("e0", everything), pools("p0", everything)))]
    for number in range(1, draw(COUNTS)):
        takes = passed_on if found[-1]["place"] == "edge" else answered
        after = [pools(f"p{number}", takes)]
        if found[-1]["place"] == "edge":
            after.append(edges(f"e{number}", takes))
        found.append(draw(st.one_of(after)))
    if found[-1]["place"] == "real_time" and draw(st.booleans()):
        night = stage(
            "night", "batch", start_up={"node": 5.0}, network=NETWORK, window={"opens": 40_000.0},
            batching={"name": "greedy", "max_batch": 3},
        )  # fmt: skip
        found.append(night)
    return found


@st.composite
def sized_profiles(draw: st.DrawFn) -> Any:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    times = {size: (rng.uniform(0.01, 0.05, 5) * size**0.5).tolist() for size in (1, 2, 3)}
    joined = draw(st.sampled_from(["longest", "sum", None]))
    measured = None
    if joined is not None:
        line_of = {
            size: Growth(work=2.0 * (size if joined == "sum" else 1), rate=rate)
            for size, rate in zip(times, rng.uniform(0, 0.16, 3).tolist(), strict=True)
        }
        measured = MeasuredSizes(
            unit="u",
            joined=joined,
            inputs=[1.0, 2.0, 3.0],
            skipped=draw(st.sampled_from([[], [0], [1, 3]])),
            least=1.0,
            work={},
            growth=line_of,
            input_bytes=Growth(work=2.0, rate=0.4),
            output_bytes=Growth(work=2.0, rate=0.0),
        )
    found = draw(st.lists(st.integers(0, 2), min_size=1, max_size=4))
    return profile(
        times,
        loop_overhead_s=0.001,
        input_bytes=900.0,
        output_bytes=50.0,
        sizes=measured,
        found=found,
    )


@pytest.mark.slow
@given(drawn_lines(), st.data())
@settings(max_examples=400, deadline=None, report_multiple_bugs=False)
def test_both_methods_play_any_line_alike(stages: list[dict[str, Any]], data: Any) -> None:
    sizes = data.draw(
        st.sampled_from(
            [None, {"name": "histogram", "sizes": [1.0, 3.0, 7.0], "weights": [3.0, 2.0, 1.0]}]
        )
    )
    workload = {
        "sources": data.draw(st.integers(3, 5)),
        "arrivals": {"name": "poisson", "rate": data.draw(st.sampled_from([0.5, 3.0]))},
        "active": {"start": 30_000.0, "end": 30_006.0},
        "sizes": sizes,
    }
    seen = []
    first = job(*stages, workload=Workload.model_validate(workload))
    own = {name: data.draw(sized_profiles()) for name in first.profiles}
    for method in ("fast", "reference"):
        rows: list[Any] = []
        one = first.model_copy(update={"method": method, "profiles": own})
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(places, "ONWARD_S", 7200.0)  # seconds of it would be most of the time
            played, _, demand = play(
                one, watch=lambda answers, rows=rows: rows.extend(answers.tolist())
            )
        seen.append((sorted(rows), played.usage, played.batches, played.busy, demand.offered))
    assert seen[0] == seen[1]


# A place of the user's own ------------------------------------------------------------------------

GATEWAY = '''\
"""A gateway on the premises, shared by the devices of its site, over a local network."""

from bench.scenario import EdgePart
from bench.simulate.places import edge
from bench.ticks import ticks
from bench.units import Seconds


class Options(EdgePart):
    """Gateways, and how long the way from a device to one of them is."""

    NOUN = "gateway"
    hop: Seconds


limits, rate, together = edge.limits, edge.rate, edge.together
least_usage, opens = edge.least_usage, edge.opens


def quickest(part, profile):
    return part.hop + edge.quickest(part, profile)


def play(setting, stage, requests, following):
    hop = ticks(stage.part.hop)
    return edge.play(setting, stage, (one.at(one.time + hop) for one in requests), following)
'''
WITH_GATEWAY = """\
  - name: shared
    kind: line
    stages:
      - name: gateway
        place: ./gateway.py
        hop: 30 ms
        backend: {name: fake, base: 9 ms, per_item: 1 ms}
        device: this-host-one-thread
        offer: edge/mini-pc
        fleet: 1
      - name: cloud
        place: real_time
        takes: {unsure: 30 %}
        backend: {name: fake, base: 4 ms, per_item: 1 ms}
        device: this-host
        offer: civo/standard-2c-4g/any/on-demand
        scaling: {name: fixed, replicas: 1}
        start_up: {node: 60 s}
        network: {uplink: 4 Mbit/s, downlink: 16 Mbit/s, rtt: 40 ms}
"""


def _with_gateway(folder: Path) -> Path:
    (folder / "gateway.py").write_text(GATEWAY)
    path = folder / "line.yaml"
    path.write_text(FAKE_SCENARIO + WITH_GATEWAY)
    return path


def test_a_place_of_the_users_own_is_one_file(tmp_path: Path) -> None:
    done = run(_with_gateway(tmp_path), tmp_path / "out", Settings(engine="inline"))
    simulation = done.load("simulation.json", Simulation)
    (result,) = (one for one in simulation.deployments if one.deployment == "shared")
    day = result.replications[0]
    assert day.usage["shared (gateway)"].served == day.requests == day.done
    assert day.usage["shared (cloud)"].served == pytest.approx(0.3 * day.requests, rel=0.1)
    assert min(result.response_curve_s) >= 0.03 + 0.01
    costs = done.load("costs.json", Costs)
    (shared,) = (one for one in costs.deployments if one.deployment == "shared")
    assert {line.part for line in shared.ledger.lines} == {"shared (gateway)", "shared (cloud)"}
    # The record of what was asked names code, and is gone on with only where the user names it too.
    with pytest.raises(InputError, match="name Python code"):
        asked_of(done, ())
    again = asked_of(done, [tmp_path / "gateway.py"]).simulated
    assert again.scenario.deployments[-1].line[0].part.NOUN == "gateway"


@pytest.mark.parametrize(
    ("wrong", "said", "where"),
    [
        (("./gateway.py", "./nowhere.py"), "no such Python file", "nowhere.py"),
        (("./gateway.py", "gatway"), "unknown place 'gatway'", "line.yaml:"),
        (("hop: 30 ms", "hup: 250 ms"), "hup", "line.yaml:"),
        (("hop: 30 ms", "hop: far"), "far", "line.yaml:"),
        (("fleet: 1\n", "fleet: 1\n        scaling: none\n"), "scaling", "line.yaml:"),
    ],
)
def test_what_is_wrong_at_such_a_place_is_told_with_its_line(
    tmp_path: Path, wrong: tuple[str, str], said: str, where: str
) -> None:
    path = _with_gateway(tmp_path)
    path.write_text(path.read_text().replace(*wrong))
    with pytest.raises(InputError, match=said) as error:
        prepare(path, Settings())
    assert where in str(error.value)
