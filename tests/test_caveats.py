"""What a result leaves out is said wherever the result is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench import pipeline, prepare
from bench.compare import Comparison
from bench.gather import load_profiles
from bench.report.terminal import ranking_table
from bench.store import Run

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
PROFILES = ROOT / "reports" / "example"
SCENARIO = """
schema_version: 1
name: caveats
task: {{name: text-recognition, labels: 48}}
workload:
  arrivals: {{name: poisson, rate: 1/s}}
  active: {{start: "06:00", end: "07:00"}}
objective:
  response: {{percentile: 99, limit: 10 s}}
simulate: {{replications: 2}}
deployments:
  - name: one
    kind: real_time
    backend: onnxruntime-cpu
    device: this-host
    offer: {offer}
    scaling: {{name: fixed, replicas: 2}}
    start_up: {{node: 60 s}}
    network: {{uplink: 40 Mbit/s, downlink: 16 Mbit/s, rtt: 40 ms}}
    {more}
"""
SPOT = "aws/c7i.xlarge/us-east-1/spot"


@pytest.fixture
def run(tmp_path: Path) -> Any:
    def simulated(offer: str, more: str = "") -> Run:
        path = tmp_path / "scenario.yaml"
        path.write_text(SCENARIO.format(offer=offer, more=more))
        return pipeline.simulate_into(
            path, load_profiles(PROFILES), tmp_path / "run", prepare.Settings(engine="inline")
        )

    return simulated


def _kinds(run: Run) -> list[str]:
    ranking = run.load("comparison.json", Comparison).ranking
    return [caveat.kind for entry in ranking for caveat in entry.caveats]


def test_a_caveat_reaches_the_verdict_the_terminal_and_the_page(run: Any) -> None:
    done = run(SPOT)
    comparison = done.load("comparison.json", Comparison)
    text = comparison.ranking[0].caveats[0].text
    assert "evictions are left out" in text
    assert text in comparison.verdict
    lines = [str(block) for block in ranking_table(comparison).renderables]
    assert any(text in line for line in lines)
    page = (done.path / "report.html").read_text()
    assert page.count("evictions are left out") >= 2  # the verdict, and beside the deployment


def test_spot_with_evictions_has_no_caveat_of_them(run: Any) -> None:
    assert "spot-evictions" not in _kinds(run(SPOT, "spot: {mean_life: 6 h}"))


def test_what_is_rented_for_good_has_no_caveat_of_evictions(run: Any) -> None:
    assert "spot-evictions" not in _kinds(run("aws/c7i.xlarge/us-east-1/on-demand"))
