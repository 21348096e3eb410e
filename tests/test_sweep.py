"""Sweeps and what-ifs: their points, where they run, and what a kill costs."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench import days, gather, pipeline, prepare
from bench.errors import InputError, WorkerLost
from bench.executor import Inline, LocalProcesses, in_order, opened
from bench.scenario import ResolvedScenario
from bench.simulate import simulate
from bench.store import Journal, Run, to_json
from tests.busy import HANG_S, until
from tests.killed import kill_always, kill_once

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
PROFILES = ROOT / "reports" / "example"
SCENARIO = """
schema_version: 1
name: sweep
task: {name: text-recognition, labels: 48}
workload:
  sources: 12
  arrivals: {name: poisson, rate: 20/min}
  active: {start: "06:00", end: "07:00"}
objective:
  response: {percentile: 99, limit: 250 ms}
simulate: {replications: 2}
deployments:
  - name: cloud
    kind: real_time
    backend: onnxruntime-cpu
    device: this-host
    offer: civo/standard-2c-4g/any/on-demand
    batching: {name: dynamic, max_batch: 8, max_wait: 5 ms}
    scaling: {name: hpa, min_replicas: 1, max_replicas: 6, target: 60 %, period: 2 min}
    start_up: {node: 60 s}
    network: {uplink: 40 Mbit/s, downlink: 16 Mbit/s, rtt: 40 ms}
"""
SWEEP = """
sweep:
  deployments.cloud.scaling.max_replicas: [2, 4]
  workload.arrivals.rate: [10/min, 20/min, 30/min]
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "sweep.yaml"
    path.write_text(text)
    return path


def run(path: Path, out: Path) -> Run:
    profiles = gather.load_profiles(PROFILES)
    return pipeline.simulate_into(path, profiles, out, prepare.Settings(engine="inline"))


def test_every_combination_is_simulated_costed_and_ranked(tmp_path: Path) -> None:
    done = run(write(tmp_path, SCENARIO + SWEEP), tmp_path / "run")
    table = done.table("sweep.parquet")
    assert len(table) == 6
    assert table["workload.arrivals.rate"].tolist() == ["10/min", "20/min", "30/min"] * 2
    assert (table["usd_per_million"].groupby(table["workload.arrivals.rate"]).nunique() >= 1).all()
    cheapest = table.sort_values("usd_per_million").iloc[0]
    assert cheapest["workload.arrivals.rate"] == "30/min"
    page = (done.path / "report.html").read_text()
    assert "6 of 6 points meet the objective" in page
    assert not list(done.path.glob("*.jsonl"))


@pytest.mark.parametrize(
    ("sweep", "said"),
    [
        ("sweep: {deployments.clod.scaling.max_replicas: [2]}", r"sweep.yaml:\d+:\d+: .*no 'clod'.*cloud"),
        ("sweep: {deployments.cloud.scaling.max_replicas: [two]}", "max_replicas|integer"),
        ("sweep: {deployments.cloud.scaling.max: [2]}", "unknown key 'max'"),
        ("sweep: {deployments.cloud.backend.threads: [1, 2]}", "does not end at a field|leads nowhere"),
        ("sweep: {deployments.cloud.device: [this-host, this-host-one-thread]}", "changes what is measured"),
        ("sweep: {workload.sources: []}", "at least 1"),
        (f"sweep: {{workload.sources: {list(range(1, 400))}, objective.response.percentile: {list(range(400))}}}", "159,600 points"),
    ],
)  # fmt: skip
def test_sweeps_that_make_no_sense(tmp_path: Path, sweep: str, said: str) -> None:
    path = write(tmp_path, SCENARIO + sweep)
    with pytest.raises(InputError, match=said):
        run(path, tmp_path / "run")


def test_a_journal_survives_a_kill_in_mid_line(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    journal = Journal(path)
    journal.add("a", [1, None])
    journal.add("b", {"x": 0.1})
    whole = path.read_text()
    path.write_text(whole + '{"key": "c", "val')
    again = Journal(path)
    assert (again.get("a"), again.get("b"), again.get("c")) == ([1, None], {"x": 0.1}, None)
    again.add("c", 3)
    assert Journal(path).get("c") == 3
    again.remove()
    assert not path.exists()


def test_a_killed_sweep_goes_on_where_it_was(tmp_path: Path) -> None:
    slow = SCENARIO.replace('end: "07:00"', 'end: "08:00"').replace("20/min}", "2000/min}")
    slow = slow.replace("40 Mbit/s", "1 Gbit/s").replace("16 Mbit/s", "1 Gbit/s")
    path = write(tmp_path, slow + SWEEP.replace("0/min", "00/min"))
    whole = run(path, tmp_path / "whole")
    command = [
        sys.executable, "-m", "bench", "simulate", path, "--profiles", PROFILES, "--engine", "inline",
        "--out", tmp_path / "killed", "--quiet",
    ]  # fmt: skip
    process = subprocess.Popen(command, cwd=ROOT)
    journal = tmp_path / "killed" / "sweep.jsonl"
    until(
        lambda: journal.is_file() and journal.read_text().count("\n") >= 3,
        "three points are in the journal",
        process,
    )
    process.kill()
    process.wait()
    before = journal.read_text()
    assert 3 <= before.count("\n") < 12
    played: list[int] = []
    notes = pipeline.resume(
        tmp_path / "killed",
        prepare.Settings(engine="inline"),
        lambda stage, done, total, what: played.append(done) if stage == "sweep" else None,
    )
    assert min(played) >= before.count("\n")  # finished ones were not played again
    assert notes.table("sweep.parquet").equals(whole.table("sweep.parquet"))
    assert (notes.path / "simulation.json").read_bytes() == (
        whole.path / "simulation.json"
    ).read_bytes()


def test_a_killed_local_worker_costs_only_time(tmp_path: Path) -> None:
    items = [(tmp_path / "killed", number) for number in range(8)]
    assert in_order(LocalProcesses(2), kill_once, items) == [n * n for n in range(8)]
    with pytest.raises(WorkerLost, match="want of memory"):
        in_order(LocalProcesses(1), kill_always, [1])


@pytest.fixture
def cluster() -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A scheduler and two workers, each a process of its own, as on two hosts."""
    pytest.importorskip("distributed", reason='needs pip install "inference-testbed[dask]"')
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    scheduler = [
        sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", address, "--no-dashboard",
    ]  # fmt: skip
    worker = [
        sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1",
        "--no-nanny", "--no-dashboard", "--host", "127.0.0.1",
    ]  # fmt: skip
    processes = [subprocess.Popen(scheduler, cwd=ROOT, stderr=subprocess.DEVNULL)]
    processes += [subprocess.Popen(worker, cwd=ROOT, stderr=subprocess.DEVNULL) for _ in range(2)]
    try:
        yield address, processes[1:]
    finally:
        for process in processes:
            process.kill()
            process.wait()


def test_a_killed_dask_worker_changes_no_byte(
    tmp_path: Path, cluster: tuple[str, list[subprocess.Popen[bytes]]]
) -> None:
    address, workers = cluster
    text = SCENARIO.replace("replications: 2", "replications: 16")
    asked: ResolvedScenario = prepare.prepare(write(tmp_path, text), prepare.Settings())
    profiles = gather.load_profiles(PROFILES)
    here = simulate(asked, profiles, 1, Inline())

    def kill_one(done: int, total: int, what: str) -> None:
        if done == 5:
            workers[0].kill()

    distributed = pytest.importorskip("distributed")
    for _ in range(100):
        try:
            client: Any = distributed.Client(address, timeout=2, set_as_default=False)
            client.wait_for_workers(2, timeout=60)
            client.close()
            break
        except OSError:
            time.sleep(0.2)
    with opened(address) as cluster_:
        there = simulate(asked, profiles, 1, cluster_, kill_one)
    assert workers[0].poll() is not None, "the worker was not killed in the middle"
    assert to_json(there) == to_json(here)


def test_a_trace_of_a_minute_and_a_table_of_the_day(tmp_path: Path) -> None:
    done = run(write(tmp_path, SCENARIO), tmp_path / "run")
    day = done.table("day.parquet")
    assert len(day) == 288
    hour = day[(day["time_s"] >= 6 * 3600) & (day["time_s"] < 7 * 3600)]
    assert hour["arrived_per_s"].mean() == pytest.approx(4.0, rel=0.05)
    assert day["arrived_per_s"].sum() == pytest.approx(day["answered_per_s"].sum())
    costs = json.loads((done.path / "costs.json").read_text())["deployments"][0]
    total = float(costs["ledger"]["total_usd"])
    assert day["usd_per_hour"].mean() * 24 == pytest.approx(total, rel=1e-6)
    assert day["power_w"].isna().all()  # no sensor has measured this profile
    events = days.trace(done.path, "cloud", 6 * 3600.0, 60.0)["traceEvents"]
    begun = [e for e in events if e["ph"] == "b" and e["name"].startswith("request ")]
    assert len(begun) == pytest.approx(240, rel=0.3)
    assert sum(e["ph"] == "b" for e in events) == sum(e["ph"] == "e" for e in events)
    assert any(e["ph"] == "X" and e["dur"] > 0 for e in events)
    with pytest.raises(InputError, match="Did you mean 'cloud'"):
        days.trace(done.path, "clout", 0.0, 1.0)


IMPOSSIBLE = {
    "for ever above capacity": (
        "rate: 20/min",
        "rate: 90000/min",
        "overload: .* requests/s arrive",
    ),
    "a limit below the service time": (
        "limit: 250 ms",
        "limit: 1 ms",
        "cannot be kept: the quickest",
    ),
    "no replicas": ("min_replicas: 1", "min_replicas: 0", "min_replicas|greater than or equal"),
    "a billion devices": ("sources: 12", "sources: 1000000000", "sources|less than or equal to"),
    "too many requests": ("rate: 20/min", "rate: 20000000000/min", "up to 20,000,000,000|overload"),
}


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_the_impossible_is_said_at_once(tmp_path: Path, name: str) -> None:
    old, new, said = IMPOSSIBLE[name]
    path = write(tmp_path, SCENARIO.replace(old, new))
    command = [sys.executable, "-m", "bench", "simulate", path, "--profiles", PROFILES]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=HANG_S, check=False
    )
    assert done.returncode in (0, 2)
    text = " ".join((done.stdout + done.stderr).split())
    assert "Traceback" not in text
    assert re.search(said, text), text


def test_a_batch_that_is_due_before_its_window_opens(tmp_path: Path) -> None:
    batch = """
  - name: batch
    kind: batch
    backend: onnxruntime-cpu
    device: this-host
    offer: aws/c7i.xlarge/us-east-1/on-demand
    window: {opens: "24:00"}
    start_up: {node: 60 s}
    network: {uplink: 4 Mbit/s, downlink: 4 Mbit/s, rtt: 40 ms}
"""
    head = SCENARIO[: SCENARIO.index("deployments:")]
    head = head.replace("response: {percentile: 99, limit: 250 ms}", 'due: {by: "00:00"}')
    path = write(tmp_path, f"{head}deployments:{batch}")
    with pytest.raises(InputError, match="due by 00:00, before the batch window opens"):
        prepare.prepare(path, prepare.Settings())
