"""A price that is too old is not used: by no scenario, and by no plan."""

from __future__ import annotations

import sys
from datetime import date, timedelta
from pathlib import Path

import pytest

from bench import cli
from bench.errors import InputError
from bench.gather import load_profiles, runs_of
from bench.hardware import Catalogue
from bench.prepare import Settings, prepare

ROOT = Path(__file__).parents[1]
PROFILES = ROOT / "reports" / "example"
OFFER = "aws/c7i.xlarge/us-east-1/on-demand"
SCENARIO = f"""
schema_version: 1
name: old
task: {{name: text-recognition, labels: 48}}
workload:
  arrivals: {{name: poisson, rate: 1/s}}
objective:
  response: {{percentile: 99, limit: 10 s}}
deployments:
  - name: d
    kind: real_time
    backend: onnxruntime-cpu
    device: this-host
    offer: {OFFER}
    scaling: {{name: fixed, replicas: 1}}
    start_up: {{node: 0 s}}
    network: {{uplink: 100 Gbit/s, downlink: 100 Gbit/s, rtt: 0 ms}}
  - name: e
    kind: edge
    backend: onnxruntime-cpu
    device: this-host-one-thread
    offer: edge/mini-pc
    fleet: 1
"""


def asked(folder: Path, overrides: str) -> tuple[Path, Path]:
    scenario, changes = folder / "old.yaml", folder / "overrides.yaml"
    scenario.write_text(SCENARIO)
    changes.write_text(f"schema_version: 1\n{overrides}\n")
    return scenario, changes


def seen(days: int) -> str:
    return f"provenance: published, source: x, as_of: {date.today() - timedelta(days=days)}"


OLD = {
    "a rate": lambda days: f"rates: {{{OFFER}: {{price: $0.17/h, {seen(days)}}}}}",
    "a purchase": lambda days: f"purchases: {{edge/mini-pc: {{price: $200, {seen(days)}}}}}",
    "a load balancer": lambda days: (
        f"services: {{aws: {{load_balancer: {{price: $0.02/h, {seen(days)}}}}}}}"
    ),
    "egress": lambda days: (
        f"services: {{aws: {{egress: {{tiers: [{{price: $0.09/GB}}], {seen(days)}}}}}}}"
    ),
    "storage": lambda days: (
        f"services: {{aws: {{storage: {{price: $0.02/GB/month, {seen(days)}}}}}}}"
    ),
    "a discount": lambda days: f"discounts: {{aws: {{share: 5 %, {seen(days)}}}}}",
}


@pytest.mark.parametrize("what", OLD)
def test_what_is_too_old_is_refused_with_its_line(tmp_path: Path, what: str) -> None:
    scenario, changes = asked(tmp_path, OLD[what](366))
    with pytest.raises(
        InputError, match=r"old\.yaml:\d+:\d+: .* must not be used: .*366 days"
    ) as e:
        prepare(scenario, Settings(overrides=changes))
    assert "--overrides" in str(e.value)
    scenario, changes = asked(tmp_path, OLD[what](364))
    prepare(scenario, Settings(overrides=changes))


def test_the_command_ends_with_the_code_of_a_bad_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    scenario, changes = asked(tmp_path, OLD["a rate"](400))
    command = ["simulate", str(scenario), "--profiles", str(PROFILES), "--overrides", str(changes)]
    monkeypatch.setattr(sys, "argv", ["bench", *command])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert "400 days ago" in capsys.readouterr().err


def test_a_plan_leaves_it_out_and_says_so(tmp_path: Path) -> None:
    scenario, changes = asked(tmp_path, OLD["a purchase"](400))
    scenario.write_text(SCENARIO[: SCENARIO.index("  - name: e")])
    settings = Settings(overrides=changes)
    known = Catalogue(overrides=changes)
    few = {name: known.offers[name] for name in (OFFER, "edge/mini-pc")}
    known.__dict__["offers"] = few  # all others are projected, which takes a while
    runs, _, refused = runs_of(prepare(scenario, settings), load_profiles(PROFILES), known)
    assert [run.offer.name for run in runs] == [OFFER]
    (old,) = refused
    assert (old.offers, old.reason) == (["edge/mini-pc"], "its price was seen 400 days ago")
