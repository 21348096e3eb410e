"""Sources are at sites: each has devices of its own, in a simulation and in a plan."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import InputError
from bench.gather import load_profiles
from bench.hardware import Catalogue
from bench.plan import Runs, candidates
from bench.prepare import Settings, prepare
from bench.scenario import EdgeDeployment, ResolvedScenario, Workload, scaled
from bench.simulate.places.edge import sources_of_each
from bench.simulate.plane import device_of

PROFILES = Path(__file__).parents[1] / "reports" / "example"
STORES = """
schema_version: 1
name: stores
task: {name: text-recognition, labels: 48}
workload:
  sources: 400
  arrivals: {name: poisson, rate: 6/min}
objective:
  response: {percentile: 95, limit: 800 ms}
deployments:
  - name: cloud
    kind: real_time
    backend: onnxruntime-cpu
    device: this-host
    offer: civo/standard-2c-4g/any/on-demand
    scaling: {name: fixed, replicas: 2}
    start_up: {node: 60 s}
    network: {uplink: 12 Mbit/s, downlink: 40 Mbit/s, rtt: 55 ms, sites: 40}
  - name: boxes
    kind: edge
    backend: onnxruntime-cpu
    device: this-host-one-thread
    offer: edge/mini-pc
    fleet: 40
"""


def read(folder: Path, text: str = STORES) -> ResolvedScenario:
    path = folder / "stores.yaml"
    path.write_text(text)
    return prepare(path, Settings())


def dealt(sources: int, devices: int, sites: int) -> dict[int, list[int]]:
    """Devices go round the sites, as cards are dealt; then a site's sources round its devices."""
    owned: dict[int, list[int]] = defaultdict(list)
    for device in range(devices):
        owned[device % sites].append(device)
    held: dict[int, list[int]] = defaultdict(list)
    seen: Counter[int] = Counter()
    for source in range(sources):
        site = source % sites
        held[owned[site][seen[site] % len(owned[site])]].append(source)
        seen[site] += 1
    return held


shapes = st.tuples(st.integers(1, 60), st.integers(1, 60), st.integers(1, 60)).map(
    lambda three: (max(three), sorted(three)[1], min(three))
)


@given(shapes)
def test_no_device_serves_two_sites_and_none_much_more_than_its_neighbour(
    shape: tuple[int, int, int],
) -> None:
    sources, devices, sites = shape
    found: dict[int, list[int]] = defaultdict(list)
    for source in range(sources):
        found[device_of(source, devices, sites)].append(source)
    assert found == dealt(*shape)
    assert all(len({source % sites for source in own}) == 1 for own in found.values())


@given(shapes)
def test_the_busiest_device_is_known_without_dealing(shape: tuple[int, int, int]) -> None:
    sources, devices, sites = shape
    workload = Workload.model_validate(
        {"sources": sources, "sites": sites, "arrivals": {"name": "poisson", "rate": 1.0}}
    )
    assert sources_of_each(workload, devices) == Counter(map(len, dealt(*shape).values()))


def test_where_nothing_is_said_there_are_as_many_sites_as_links(tmp_path: Path) -> None:
    assert read(tmp_path).scenario.workload.sites == 40
    one = read(tmp_path, STORES.replace(", sites: 40", ""))
    assert one.scenario.workload.sites == 1
    said = read(tmp_path, STORES.replace("sources: 400", "sources: 400\n  sites: 20"))
    assert said.scenario.workload.sites == 20
    few = read(tmp_path, STORES.replace("sources: 400", "sources: 30"))
    assert few.scenario.workload.sites == 30


@pytest.mark.parametrize("hybrid", [False, True])
def test_fewer_devices_than_sites_are_refused(tmp_path: Path, hybrid: bool) -> None:
    text = STORES.replace("fleet: 40", "fleet: 7")
    if hybrid:
        cloud, edge = re.findall(r"    backend: .*?(?=\n  -|\Z)", text, re.DOTALL)
        text = (
            text[: text.index("  - name: cloud")]
            + "  - {name: both, kind: hybrid, spill: {queue: 3}, "
        )
        text += f"edge: {flow(edge)}, cloud: {flow(cloud)}}}\n"
    with pytest.raises(
        InputError, match=r"stores\.yaml:\d+:\d+: 7 device\(s\) cannot be at 40 sites"
    ):
        read(tmp_path, text)
    read(tmp_path, text.replace("sources: 400", "sources: 400\n  sites: 7"))


def flow(part: str) -> str:
    return "{" + ", ".join(line.strip() for line in part.strip().splitlines()) + "}"


def test_more_traffic_keeps_a_device_at_each_site(tmp_path: Path) -> None:
    asked = read(tmp_path)
    for factor in (0.125, 0.3, 2.0):
        changed = scaled(asked, factor, lambda part, _: part).scenario
        (edge,) = (d for d in changed.deployments if isinstance(d, EdgeDeployment))
        assert changed.workload.sites is not None
        assert edge.fleet >= changed.workload.sites
        assert changed.workload.sources >= changed.workload.sites


# --- in a plan -----------------------------------------------------------------------------------


def fleets(asked: ResolvedScenario, offer: str, *, carried: bool = False) -> set[int]:
    arm = next(arm for arm in asked.distinct_arms if arm.device.name == "this-host-one-thread")
    runs = [
        Runs(Catalogue().offer(name), None, [arm], carried=carried and name == offer)
        for name in {offer, "edge/mini-pc"}
    ]
    found = candidates(asked, runs, load_profiles(PROFILES))
    return {
        c.deployment.fleet
        for c in found
        if isinstance(c.deployment, EdgeDeployment) and c.deployment.offer == offer
    }


def test_a_plan_has_a_box_at_each_site_at_least(tmp_path: Path) -> None:
    asked = read(tmp_path)
    assert fleets(asked, "edge/mini-pc") == {40}
    several = read(tmp_path, STORES.replace("fleet: 40", "fleet: 160"))
    # 160 ÷ 1, 2, 3, 4 and 6, rounded up, and never below one for each of the 40 stores.
    assert fleets(several, "edge/mini-pc") == {160, 80, 54, 40}


def test_where_all_sources_are_in_one_place_boxes_are_shared(tmp_path: Path) -> None:
    asked = read(tmp_path, STORES.replace(", sites: 40", ""))
    assert fleets(asked, "edge/mini-pc") == {40, 20, 14, 10, 7}


def test_nobody_shares_a_phone(tmp_path: Path) -> None:
    asked = read(tmp_path, STORES.replace(", sites: 40", ""))
    assert fleets(asked, "edge/smartphone", carried=True) == {40}
    phones = read(
        tmp_path, STORES.replace(", sites: 40", "").replace("edge/mini-pc", "edge/smartphone")
    )
    assert fleets(phones, "edge/smartphone", carried=True) == {40}
    # Where the sources are phones, they go about, and no box is at hand for several.
    arm = phones.arms["boxes"]
    runs = [
        Runs(Catalogue().offer("edge/smartphone"), None, [arm], carried=True),
        Runs(Catalogue().offer("edge/mini-pc"), None, [arm]),
    ]
    found = candidates(phones, runs, load_profiles(PROFILES))
    assert {c.deployment.fleet for c in found if isinstance(c.deployment, EdgeDeployment)} == {40}
