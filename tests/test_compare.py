"""Where data may be processed, what fits a machine, how many machines are needed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from bench import at_once, prepare
from bench.compare import Comparison, PartCapacity, Ranked
from bench.compare.capacity import misfit
from bench.errors import InputError
from bench.gather import load_profiles
from bench.hardware import Catalogue, Region
from bench.profile import Profile
from bench.scenario import RealTimePart

ROOT = Path(__file__).parents[1]
PROFILES = ROOT / "reports" / "example"
CLOUD = """
    kind: real_time
    backend: onnxruntime-cpu
    device: this-host
    scaling: {name: fixed, replicas: 2}
    start_up: {node: 60 s}
    network: {uplink: 40 Mbit/s, downlink: 16 Mbit/s, rtt: 40 ms}
"""
SCENARIO = f"""
schema_version: 1
name: compare
task: {{name: text-recognition, labels: 48}}
workload:
  sources: 4
  arrivals: {{name: poisson, rate: 40/min}}
  active: {{start: "06:00", end: "07:00"}}
objective:
  response: {{percentile: 99, limit: 250 ms}}
simulate: {{replications: 2}}
deployments:
  - name: virginia
    offer: aws/c7i.xlarge/us-east-1/on-demand{CLOUD}
  - name: ireland
    offer: aws/c7i.xlarge/eu-west-1/on-demand{CLOUD}
  - name: somewhere
    offer: civo/standard-2c-4g/any/on-demand{CLOUD}
  - name: cellar
    offer: on-premise/server-l4-1{CLOUD}
  - name: edge
    kind: edge
    backend: onnxruntime-cpu
    device: this-host-one-thread
    offer: edge/mini-pc
    fleet: 4
  - name: night
    kind: batch
    backend: onnxruntime-cpu
    device: this-host
    offer: aws/c7i.xlarge/eu-west-1/on-demand
    window: {{opens: "22:00", closes: "22:10"}}
    start_up: {{node: 60 s}}
    network: {{uplink: 40 Mbit/s, downlink: 16 Mbit/s, rtt: 40 ms}}
"""


def compared(
    folder: Path, text: str = SCENARIO, profiles: dict[str, Profile] | None = None
) -> Comparison:
    path = folder / "compare.yaml"
    path.write_text(text)
    known = profiles or load_profiles(PROFILES)
    return at_once.simulate_only(path, known, prepare.Settings(engine="inline"))[3]


def reasons(found: Comparison) -> dict[str, list[str]]:
    return {entry.deployment: entry.reasons for entry in found.ranking}


def within(countries: str) -> str:
    return SCENARIO.replace("limit: 250 ms}", f"limit: 250 ms}}\n  countries: {countries}")


# --- countries -----------------------------------------------------------------------------------


def test_rented_machines_must_stand_in_one_of_the_countries(tmp_path: Path) -> None:
    found = reasons(compared(tmp_path, within("[IRL, DEU]")))
    assert found["virginia"] == [
        "data must stay in IRL, DEU, and aws/c7i.xlarge/us-east-1/on-demand is in USA"
    ]
    assert found["somewhere"] == [
        "data must stay in IRL, DEU, and the country of civo/standard-2c-4g/any/on-demand is not "
        "known"
    ]
    assert found["ireland"] == []
    # These stand where the data is made, wherever that is.
    assert found["cellar"] == found["edge"] == []
    assert len(found["night"]) == 1  # it is late, and in Ireland


def test_it_is_infeasible_whatever_it_costs(tmp_path: Path) -> None:
    anywhere, inside = compared(tmp_path), compared(tmp_path, within("[IRL]"))
    cheapest = anywhere.ranking[0]
    assert (cheapest.deployment, cheapest.feasible) == ("somewhere", True)
    left_out = entry(inside, "somewhere")
    assert (left_out.rank, left_out.feasible, left_out.cheapest_share) == (None, False, 0.0)
    # What it costs is said all the same.
    assert left_out.usd_per_million == cheapest.usd_per_million
    assert inside.ranking[0].deployment == "edge"


def test_without_countries_nothing_is_asked(tmp_path: Path) -> None:
    assert all(not said for name, said in reasons(compared(tmp_path)).items() if name != "night")


@pytest.mark.parametrize("wrong", ["[DE]", "[deu]", "[Germany]", "DEU"])
def test_a_country_that_is_none(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(InputError, match=r"compare.yaml:\d+:\d+: .*countries|list|pattern"):
        compared(tmp_path, within(wrong))


def test_a_region_that_is_added_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = Catalogue(ROOT / "hardware_profiles")
    known.regions["civo", "any"] = Region(provider="civo", region="any", country="DEU")
    monkeypatch.setattr(prepare, "Catalogue", lambda *_, **__: known)
    assert reasons(compared(tmp_path, within("[DEU]")))["somewhere"] == []


# --- capacity ------------------------------------------------------------------------------------


def entry(found: Comparison, name: str) -> Ranked:
    return next(entry for entry in found.ranking if entry.deployment == name)


def capacity(found: Comparison) -> dict[str, PartCapacity]:
    return {part.part: part for part in found.capacity}


def test_servers_and_machines_by_hand(tmp_path: Path) -> None:
    """A server of exactly 10 requests/s, and 100 requests/s; three replicas share a machine."""
    profiles = load_profiles(PROFILES)
    constant = {
        name: p.model_copy(update={"service_s": {1: [0.1]}, "loop_overhead_s": 0.0, "sizes": None})
        for name, p in profiles.items()
    }
    text = SCENARIO.replace("40/min", "25/s").replace(
        "replicas: 2}", "replicas: 20}\n    per_node: 3"
    )
    found = capacity(compared(tmp_path, text, constant))
    virginia = found["virginia"]
    assert virginia.arrivals_per_s == pytest.approx(100)
    assert virginia.server_rate_per_s == pytest.approx(10)
    assert virginia.servers_at_full_load == 10
    assert virginia.servers_planned == 15  # 100 / (0.7 * 10) = 14.3
    assert virginia.machines == 5
    assert virginia.accelerators == 0
    assert virginia.most_replicas == 20
    assert (found["cellar"].machines, found["cellar"].accelerators) == (5, 5)
    # 360,000 requests in a window of ten minutes.
    assert found["night"].arrivals_per_s == pytest.approx(600)
    assert found["night"].servers_planned == 86
    assert found["night"].most_replicas is None  # overload: it was not simulated
    assert found["edge"].servers_planned == 15


def test_a_part_of_a_hybrid_works_at_what_is_passed_on(tmp_path: Path) -> None:
    head = SCENARIO[: SCENARIO.index("deployments:")]
    cloud = CLOUD.replace("    kind: real_time\n", "").replace("\n    ", "\n      ")
    text = f"""{head}deployments:
  - name: both
    kind: hybrid
    edge:
      backend: onnxruntime-cpu
      device: this-host-one-thread
      offer: edge/mini-pc
      fleet: 4
    cloud:
      offer: civo/standard-2c-4g/any/on-demand{cloud}
    spill: {{unsure: 25 %}}
"""
    found = capacity(compared(tmp_path, text))
    assert found["both (edge)"].arrivals_per_s == pytest.approx(4 * 40 / 60)
    assert found["both (cloud)"].arrivals_per_s == pytest.approx(40 / 60, rel=0.1)
    assert (found["both (edge)"].most_replicas, found["both (cloud)"].most_replicas) == (4, 2)


def test_a_part_that_does_not_fit_is_infeasible(tmp_path: Path) -> None:
    profiles = load_profiles(PROFILES)
    heavy = {
        name: p.model_copy(update={"memory_bytes": 4_300_000_000}) for name, p in profiles.items()
    }
    found = compared(tmp_path, profiles=heavy)
    assert reasons(found)["somewhere"] == ["needs 4.3 GB, the machine has 4 GiB"]
    assert not capacity(found)["somewhere"].fits
    assert capacity(found)["virginia"].fits
    assert reasons(found)["virginia"] == []
    twice = SCENARIO.replace("replicas: 2}", "replicas: 2}\n    per_node: 2")
    found = compared(tmp_path, twice, heavy)
    assert reasons(found)["virginia"] == ["needs 8.6 GB for 2 replicas, the machine has 8 GiB"]
    assert reasons(found)["cellar"] == []


def test_a_whole_gibibyte_fits(tmp_path: Path) -> None:
    profiles = load_profiles(PROFILES)
    for extra, fits in ((0, True), (1, False)):
        full = {
            n: p.model_copy(update={"memory_bytes": 4 * 2**30 + extra}) for n, p in profiles.items()
        }
        assert capacity(compared(tmp_path, profiles=full))["somewhere"].fits is fits


def two_threads() -> dict[str, Profile]:
    return {
        name: p.model_copy(update={"threads": 2}) for name, p in load_profiles(PROFILES).items()
    }


def test_replicas_that_would_share_processors_are_infeasible(tmp_path: Path) -> None:
    """Two replicas of two threads need four vCPUs; each was measured with its own."""
    twice = SCENARIO.replace("replicas: 2}", "replicas: 2}\n    per_node: 2")
    found = compared(tmp_path, twice, two_threads())
    assert reasons(found)["somewhere"] == [
        "2 replicas of 2 threads would share a machine of 2 vCPUs, and each was measured with its "
        "own: at most 1 may"
    ]
    assert not capacity(found)["somewhere"].fits
    assert entry(found, "somewhere").cheapest_share == 0.0
    assert reasons(found)["virginia"] == reasons(found)["cellar"] == []  # 4 and 32 vCPUs


@pytest.mark.parametrize(
    ("offer", "device", "threads", "per_node", "fits"),
    [
        # 32 of 128 vCPUs; the processor is no accelerator of its own.
        ("on-premise/server-dual-xeon", "this-host", 2, 16, True),
        ("on-premise/server-dual-xeon", "this-host", 2, 64, True),
        ("on-premise/server-dual-xeon", "this-host", 3, 64, False),
        # Eight accelerators, one for each; the host's threads are not what computes.
        ("on-premise/hgx-h100-8", "nvidia-h100-sxm", 64, 8, True),
        ("on-premise/hgx-h100-8", "nvidia-h100-sxm", 1, 9, False),
        # On the processor of a machine that has an accelerator too.
        ("on-premise/server-l4-1", "this-host", 2, 3, True),
        ("on-premise/server-l4-1", "nvidia-l4", 1, 3, False),
        # One replica has the machine to itself: slower perhaps, which a caveat says.
        ("civo/standard-2c-4g/any/on-demand", "this-host", 16, 1, True),
    ],
)
def test_how_many_replicas_share_a_machine(
    offer: str, device: str, threads: int, per_node: int, fits: bool
) -> None:
    known = Catalogue(ROOT / "hardware_profiles")
    profile = next(iter(load_profiles(PROFILES).values()))
    profile = profile.model_copy(update={"threads": threads, "memory_bytes": 1})
    part = RealTimePart.model_validate(
        {
            "backend": {"name": "fake"}, "device": device, "offer": offer, "per_node": per_node,
            "scaling": {"name": "fixed", "replicas": 1}, "start_up": {"node": 0.0},
            "network": {"uplink": 1e6, "downlink": 1e6, "rtt": 0.0},
        }
    )  # fmt: skip
    reason = misfit(part, profile, known.offer(offer), known.device(device, ""))
    assert (reason is None) is fits, reason


def test_fewer_processors_than_were_measured_with_are_said(tmp_path: Path) -> None:
    eight = {name: p.model_copy(update={"threads": 8}) for name, p in two_threads().items()}
    found = compared(tmp_path, profiles=eight)
    said = {e.deployment: [c.kind for c in e.caveats] for e in found.ranking}
    assert said["somewhere"] == said["edge"] == ["fewer-processors"]
    assert said["cellar"] == []  # 32 vCPUs


# --- work without requests -----------------------------------------------------------------------


def filled(fill: str, days: int = 1) -> str:
    head = SCENARIO[: SCENARIO.index("  - name: ireland")].replace("limit: 250 ms", "limit: 10 s")
    head = head.replace("replications: 2", f"replications: 2, days: {days}")
    return head.replace("replicas: 2}", f"replicas: 2}}\n    fill: {{{fill}}}")


def test_work_that_is_left_undone_is_a_miss(tmp_path: Path) -> None:
    """Two servers of 10 items/s do at most 1,728,000 of a day's 2,000,000."""
    profiles = {
        name: p.model_copy(update={"service_s": {1: [0.1]}, "loop_overhead_s": 0.0, "sizes": None})
        for name, p in load_profiles(PROFILES).items()
    }
    found = entry(compared(tmp_path, filled("items: 2000000"), profiles), "virginia")
    assert not found.feasible
    assert found.cheapest_share == 0.0
    (reason,) = found.reasons
    left = [int(number.replace(",", "")) for number in re.findall(r"[\d,]{7,}", reason)]
    assert left[-1] == 2_000_000
    # Requests of an hour take 9,600 service times of it, more or less.
    assert all(
        number == pytest.approx(2_000_000 - 1_728_000 + 9_600, abs=1000) for number in left[:-1]
    )
    assert "left undone" in compared(tmp_path, filled("items: 2000000"), profiles).verdict

    assert entry(compared(tmp_path, filled("items: 1700000"), profiles), "virginia").feasible
    optional = compared(tmp_path, filled("items: 2000000, optional: true"), profiles)
    assert entry(optional, "virginia").feasible


def test_work_has_until_the_next_day_s_comes(tmp_path: Path) -> None:
    """1,000,000 items at 20:00, of which four hours do 288,000, and a day does all."""
    profiles = {
        name: p.model_copy(update={"service_s": {1: [0.1]}, "loop_overhead_s": 0.0, "sizes": None})
        for name, p in load_profiles(PROFILES).items()
    }
    late = 'items: 1000000, at: "20:00"'
    (reason,) = entry(compared(tmp_path, filled(late), profiles), "virginia").reasons
    left = int(reason.split()[0].replace(",", ""))
    assert left == pytest.approx(712_000, abs=2)  # two are in hand
    assert "no further day was simulated" in reason
    assert entry(compared(tmp_path, filled(late, days=2), profiles), "virginia").feasible
    # More than a day's: 2,000,000 are not done by 20:00 of the next day.
    more = 'items: 2000000, at: "20:00"'
    (reason,) = entry(compared(tmp_path, filled(more, days=2), profiles), "virginia").reasons
    assert "left undone" in reason
    assert "no further day" not in reason


# --- the record ----------------------------------------------------------------------------------


def test_months_and_carbon_stand_in_the_ranking(tmp_path: Path) -> None:
    found = compared(tmp_path)
    edge = entry(found, "edge")
    per_day = 4 * 12 * 24 / 1000 * 369.5 / 1000  # four devices of 12 W, the average of the USA
    requests = 4 * 40 * 60
    assert edge.carbon_kg_per_million.value == pytest.approx(per_day / requests * 1e6, rel=0.02)
    assert "no sensor measured" in str(entry(found, "virginia").carbon_kg_per_million.reason)
    for ranked in found.ranking:
        month, million = ranked.usd_per_month.value, ranked.usd_per_million.value
        assert month is not None
        assert million is not None
        assert month / million == pytest.approx(requests * 730 / 24 / 1e6, rel=0.05)


def test_an_older_comparison_has_no_capacity(tmp_path: Path) -> None:
    found: dict[str, Any] = compared(tmp_path).model_dump(mode="json")
    del found["capacity"]
    assert Comparison.model_validate(found).capacity == []


def test_the_document_has_the_reasons(tmp_path: Path) -> None:
    text = " ".join((ROOT / "docs" / "costs.md").read_text().split())
    assert re.search(r"objective\.countries: \[DEU, FRA\]", text)
    assert "2.3 service times at 70 %, 4 at 80 % and 9 at 90 %" in text
    # M/M/1: the mean wait is u / (1 - u) service times.
    for share, wait in ((0.7, 2.3), (0.8, 4), (0.9, 9)):
        assert share / (1 - share) == pytest.approx(wait, abs=0.05)
