"""A scenario on the fake backend, and a way to run it."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from bench import cli
from bench.pipeline import run
from bench.prepare import Settings
from bench.store import Run

Bench = Callable[..., tuple[int, str, str]]

# How long an example takes to draw or to play is the machine's affair.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")
# What a shell starts in the background ignores Ctrl-C, and hands that on to the programs that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
# Each test runs in a folder of its own, from where a program of these tests finds none of them: or finds those
# that some package has left in a folder of the same name.
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
)
# PyTorch would start a process for each core to compile what one compiles as soon.
os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")

FAKE_SCENARIO = """\
schema_version: 1
name: fake
task: {name: synthetic, samples: 8, payload_bytes: 5000}
workload:
  sources: 4
  arrivals: {name: poisson, rate: 6/min}
  active: {start: "08:00", end: "10:00"}
objective:
  response: {percentile: 99, limit: 200 ms}
  accuracy: {metric: error_rate, at_most: 0 %}
simulate: {replications: 3}
deployments:
  - name: night
    kind: batch
    backend: {name: fake, base: 4 ms, per_item: 1 ms}
    device: this-host
    offer: aws/c7i.xlarge/us-east-1/on-demand
    batching: {name: greedy, max_batch: 8}
    window: {opens: "22:00"}
    start_up: {node: 60 s}
    network: {uplink: 4 Mbit/s, downlink: 16 Mbit/s, rtt: 40 ms}
  - name: cloud
    kind: real_time
    backend: {name: fake, base: 4 ms, per_item: 1 ms}
    device: this-host
    offer: civo/standard-2c-4g/any/on-demand
    batching: {name: dynamic, max_batch: 8, max_wait: 5 ms}
    scaling: {name: fixed, replicas: 2}
    start_up: {node: 60 s}
    network: {uplink: 4 Mbit/s, downlink: 16 Mbit/s, rtt: 40 ms}
  - name: edge
    kind: edge
    backend: {name: fake, base: 9 ms, per_item: 1 ms}
    device: this-host-one-thread
    offer: edge/mini-pc
    fleet: 4
"""
CASCADE = """\
  - name: cascade
    kind: line
    stages:
      - name: camera
        place: edge
        backend: {name: fake, base: 9 ms, per_item: 1 ms}
        device: this-host-one-thread
        offer: edge/mini-pc
        fleet: 4
      - name: site
        place: real_time
        takes: {unsure: 30 %}
        backend: {name: fake, base: 4 ms, per_item: 1 ms}
        device: this-host
        offer: civo/standard-2c-4g/any/on-demand
        batching: {name: dynamic, max_batch: 8, max_wait: 5 ms}
        scaling: {name: fixed, replicas: 2}
        start_up: {node: 60 s}
        network: {uplink: 4 Mbit/s, downlink: 16 Mbit/s, rtt: 40 ms}
      - name: archive
        place: batch
        backend: {name: fake, base: 4 ms, per_item: 1 ms}
        device: this-host
        offer: aws/c7i.xlarge/us-east-1/on-demand
        batching: {name: greedy, max_batch: 8}
        window: {opens: "22:00"}
        start_up: {node: 60 s}
        network: {uplink: 4 Mbit/s, downlink: 16 Mbit/s, rtt: 40 ms}
"""
"""One more deployment of that scenario: a line of three places."""


@pytest.fixture
def fake_scenario(tmp_path: Path) -> Path:
    path = tmp_path / "fake.yaml"
    path.write_text(FAKE_SCENARIO)
    return path


@pytest.fixture(scope="session")
def _finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    path = folder / "fake.yaml"
    path.write_text(FAKE_SCENARIO)
    return run(path, folder / "out", Settings(engine="inline")).path


@pytest.fixture
def finished_run(_finished: Path, tmp_path: Path) -> Run:
    """The fake scenario measured, simulated and reported: run once, and a copy for every test."""
    return Run.open(shutil.copytree(_finished, tmp_path / "out"))


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Bench:
    """The command line in this process: its exit code, and what it printed."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["bench", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return call
