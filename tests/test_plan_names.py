"""Names that the program makes are never refused by it, tell candidates apart, and can be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.errors import InputError
from bench.gather import load_profiles
from bench.hardware import Catalogue
from bench.plan import Candidate, Runs, candidates
from bench.plan.names import name_of
from bench.prepare import Settings, prepare
from bench.scenario import NAME_LENGTH, ResolvedScenario, Scenario

ROOT = Path(__file__).parents[1]
PROFILES = ROOT / "reports" / "example"
QUICKSTART = ROOT / "scenarios" / "quickstart.yaml"
SPOT = "google-cloud/n2d-standard-4/europe-west4/spot"
LONG = """
plan:
  batching:
    - {name: dynamic, max_batch: 8, max_wait: 10.123456781 ms}
    - {name: dynamic, max_batch: 8, max_wait: 10.123456789 ms}
    - {name: dynamic, max_batch: 8, max_wait: 10.123456789 ms}
  scaling:
    - {name: hpa, min_replicas: 1, max_replicas: 4, target: 61.3 %, period: 14 s, tolerance: 11 %, down_stabilisation: 290 s}
    - {name: hpa, min_replicas: 1, max_replicas: 4, target: 61.3 %, period: 14 s, tolerance: 11 %, down_stabilisation: 291 s}
    - {name: schedule, steps: [{at: "06:00", replicas: 4}, {at: "12:00", replicas: 6}, {at: "22:00", replicas: 1}]}
    - {name: hpa, min_replicas: 2, max_replicas: 3}
  nodes: [1, 1, 2]
"""


def read(folder: Path, more: str) -> ResolvedScenario:
    path = folder / "names.yaml"
    path.write_text(QUICKSTART.read_text() + more)
    return prepare(path, Settings())


def made(asked: ResolvedScenario) -> list[Candidate]:
    """The offers with the longest names, and some, run every arm: without a projection."""
    offers = sorted(Catalogue().offers.values(), key=lambda offer: -len(offer.name))[:4]
    offers += [Catalogue().offer(name) for name in (SPOT, "edge/mini-pc", "on-premise/server-l4-1")]
    runs = [Runs(offer, None, asked.distinct_arms) for offer in offers]
    return list(candidates(asked, runs, load_profiles(PROFILES)))


@pytest.mark.parametrize("more", ["", LONG])
def test_every_candidate_could_be_read_from_a_file(tmp_path: Path, more: str) -> None:
    asked = read(tmp_path, more)
    found = made(asked)
    assert len(found) > 100
    assert len({one.deployment.name for one in found}) == len(found)
    for one in found:
        deployment = one.deployment.model_dump(mode="json")
        whole = {**asked.scenario.model_dump(mode="json"), "deployments": [deployment]}
        assert Scenario.model_validate(whole).deployments == [one.deployment]
        assert one.deployment.parts.keys() == one.offers.keys() == one.arms.keys()


def test_what_is_asked_for_twice_is_one_candidate(tmp_path: Path) -> None:
    def without_name(one: Candidate) -> str:
        return one.deployment.model_dump_json(exclude={"name"})

    asked = read(tmp_path, LONG)
    own = len(asked.scenario.deployments)
    found = [without_name(one) for one in made(asked)[own:]]
    assert len(set(found)) == len(found)


def test_a_name_says_what_was_chosen_but_for_defaults(tmp_path: Path) -> None:
    names = [one.deployment.name for one in made(read(tmp_path, ""))]
    whole = f"real-time {SPOT} onnxruntime-cpu@this-host none hpa(min_replicas=1,max_replicas=4)"
    assert whole in names
    short = [name for name in names if "…" not in name]
    assert len(short) > 0.9 * len(names)


def test_what_is_too_long_or_taken_has_a_number_of_its_own(tmp_path: Path) -> None:
    deployment = made(read(tmp_path, ""))[-1].deployment
    plain = name_of(deployment, "offer", "arm", set())
    again = name_of(deployment, "offer", "arm", {plain})
    assert again.startswith(plain)
    assert again != plain
    longest = {name_of(deployment, "o" * 500, arm, set()) for arm in ("a", "b")}
    assert [len(name) for name in longest] == [NAME_LENGTH, NAME_LENGTH]


PART = "backend: onnxruntime-cpu, device: this-host-one-thread, offer: edge/mini-pc, fleet: 12"
CLOUD = (
    "backend: onnxruntime-cpu, device: this-host, offer: aws/c7i.xlarge/us-east-1/on-demand, "
    "scaling: {name: fixed, replicas: 1}, start_up: {node: 60 s}, "
    "network: {uplink: 40 Mbit/s, downlink: 40 Mbit/s, rtt: 40 ms}"
)
HYBRID = (
    f"  - {{name: x, kind: hybrid, edge: {{{PART}}}, cloud: {{{CLOUD}}}, spill: {{queue: 2}}}}\n"
)


@pytest.mark.parametrize("name", ["x (edge)", "x (cloud)"])
@pytest.mark.parametrize("first", [True, False])
def test_a_deployment_is_not_named_like_a_part_of_another(
    tmp_path: Path, name: str, *, first: bool
) -> None:
    head, _, _ = QUICKSTART.read_text().partition("deployments:\n")
    other = f'  - {{name: "{name}", kind: edge, {PART}}}\n'
    path = tmp_path / "x.yaml"
    path.write_text(f"{head}deployments:\n" + (other + HYBRID if first else HYBRID + other))
    with pytest.raises(
        InputError, match=r"x\.yaml:\d+:\d+: .x \((edge|cloud)\). is the name of two"
    ):
        prepare(path, Settings())


def test_a_name_is_given_once(tmp_path: Path) -> None:
    head, _, _ = QUICKSTART.read_text().partition("deployments:\n")
    path = tmp_path / "x.yaml"
    path.write_text(f"{head}deployments:\n{HYBRID}{HYBRID}")
    with pytest.raises(InputError, match="'x' appears twice"):
        prepare(path, Settings())
