"""Where one's own machines stand is said in the scenario, or is an assumption that is said."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from bench import at_once
from bench.compare import SITE
from bench.errors import UnknownName
from bench.gather import load_profiles
from bench.prepare import Settings, prepare

ROOT = Path(__file__).parents[1]
PROFILES = ROOT / "reports" / "example"
SCENARIO = """
schema_version: 1
name: site
task: {name: text-recognition, labels: 48}
workload:
  arrivals: {name: poisson, rate: 1/min}
objective:
  response: {percentile: 99, limit: 10 s}
simulate: {replications: 2}
deployments:
  - name: cellar
    kind: real_time
    backend: onnxruntime-cpu
    device: this-host
    offer: on-premise/server-dual-xeon
    scaling: {name: fixed, replicas: 1}
    start_up: {node: 0 s}
    network: {uplink: 1 Gbit/s, downlink: 1 Gbit/s, rtt: 1 ms}
  - name: edge
    kind: edge
    backend: onnxruntime-cpu
    device: this-host-one-thread
    offer: edge/mini-pc
    fleet: 2
  - name: cloud
    kind: real_time
    backend: onnxruntime-cpu
    device: this-host
    offer: aws/c7i.xlarge/us-east-1/on-demand
    scaling: {name: fixed, replicas: 1}
    start_up: {node: 0 s}
    network: {uplink: 1 Gbit/s, downlink: 1 Gbit/s, rtt: 1 ms}
"""
KWH = {"cellar": 0.6 * 24 * 1.58, "edge": 2 * 0.012 * 24}
"""600 W at the PUE of an own room; two boxes of 12 W at the wall."""


def written(folder: Path, country: str | None) -> Path:
    path = folder / "site.yaml"
    said = f"workload:\n  country: {country}\n" if country else "workload:\n"
    path.write_text(SCENARIO.replace("workload:\n", said))
    return path


def grams(country: str) -> float:
    path = ROOT / "hardware_profiles" / "published" / "grid_carbon_intensity.csv"
    with path.open(newline="", encoding="utf-8") as file:
        return next(
            float(r["g_co2e_per_kwh"]) for r in csv.DictReader(file) if r["iso3"] == country
        )


@pytest.mark.slow
@pytest.mark.parametrize("country", [None, "FRA", "POL"])
def test_the_grid_of_the_own_site_is_the_countrys(tmp_path: Path, country: str | None) -> None:
    settings = Settings(engine="inline", method="reference")
    asked, _, costs, found = at_once.simulate_only(
        written(tmp_path, country), load_profiles(PROFILES), settings
    )
    carbon = {one.deployment: one.carbon_kg_per_day.value for one in costs.deployments}
    for name, kwh in KWH.items():
        assert carbon[name] == pytest.approx(kwh * grams(country or "USA") / 1000, rel=1e-6)
        region = asked.regions[name]
        assert region is not None
        assert region.country == (country or "USA")
    for entry in found.ranking:
        assumed = [o.source for o in entry.origins if o.subject == SITE]
        if country is None and entry.deployment in KWH:
            assert assumed == [
                "taken to be USA, as regions.yaml has it; workload.country says another"
            ]
        else:
            assert assumed == []
    cloud = asked.regions["cloud"]
    assert cloud is not None
    assert cloud.country == "USA"  # us-east-1 stands where it stands
    assert cloud.pue is not None


def test_a_country_of_which_nothing_is_known_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match=r"site\.yaml:6:\d+: .*'GER'"):
        prepare(written(tmp_path, "GER"), Settings())
