"""The committed run is the one the README shows, still opens, and still gives its ranking."""

from __future__ import annotations

import re

import pytest

import bench
from bench.at_once import simulate_only
from bench.gather import load_profiles
from bench.prepare import Settings
from bench.simulate import Simulation
from tests.write_readme import ROOT, committed

EXAMPLE = ROOT / "reports" / "example"


def test_the_readme_shows_the_committed_run() -> None:
    table, verdict = committed()
    assert f"```\n{table}\n```\n\n{verdict}\n" in (ROOT / "README.md").read_text()


@pytest.mark.slow
def test_the_committed_profiles_give_the_committed_simulation() -> None:
    run = bench.load(EXAMPLE)
    scenario = ROOT / "scenarios" / "quickstart.yaml"
    settings = Settings(seed=run.header.seed)
    simulation = simulate_only(scenario, load_profiles(EXAMPLE), settings)[1]
    kept = run.load("simulation.json", Simulation)
    # Mathematics libraries may differ in the last digit from one processor to another.
    for now, then in zip(simulation.deployments, kept.deployments, strict=True):
        assert now.response_curve_s == pytest.approx(then.response_curve_s, rel=1e-9)
        assert now.utilisation.value == pytest.approx(then.utilisation.value, rel=1e-9)


def test_the_committed_run_names_no_machine_of_ours() -> None:
    for path in EXAMPLE.rglob("*.*"):
        if path.suffix in (".json", ".html"):
            text = path.read_text()
            assert not re.search(r"/(home|root|tmp|work|Users)/", text), path.name
            assert path.stat().st_size < 1_000_000
