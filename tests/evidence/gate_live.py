"""Gates of a real scenario on this machine: of equal commits, and of one whose ``preprocess`` does more.

``python -m tests.evidence.gate_live --equal 30 --tenth 10 --twentieth 10`` makes a repository with a scenario and a
task of its own, commits to it, and gates each commit against its parent with ``bench gate``. From the very rounds
that a gate has played, it says what other rules would have said: a threshold on two means, as pytest-benchmark's
``--benchmark-compare-fail=mean:5%`` and a fixed 2 % have it, and asv's.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from scipy import stats

from tests.evidence.record import save

SCENARIO = """\
schema_version: 1
name: payments
task: {name: ./task.py, payments: 5000, together: 100}
measure: {max_batch: 1}
arms:
  - {backend: onnxruntime-cpu, device: this-host-one-thread}
"""
TASK = '''\
"""Fraud detection by boosted trees; a commit may do more before them."""

from bench.measure.tasks import fraud
from bench.measure.tasks.fraud import Options

TURNS = 0


class Payments(fraud.Fraud):
    def preprocess(self, encoded):
        for _ in range(TURNS):
            pass
        return super().preprocess(encoded)


def build(options):
    task = fraud.build(options)
    task.__class__ = Payments
    return task
'''
SOURCE = '''\
"""The scenario source, with the mean and the means of ten stretches of each process beside it."""

import pandas as pd

from bench.gate.figures import Figure
from bench.gate.sources import scenario
from bench.gate.sources.scenario import BY_TURNS, NEEDS, RESULT, Options, command


def figures(options, result):
    found = scenario.figures(options, result)
    requests = pd.read_parquet(result / "requests.parquet")
    own = requests[requests["phase"] == scenario.SINGLE]
    times = ((own["finished_ns"] - own["scheduled_ns"]) / 1e9).to_numpy()
    found["mean"] = Figure.seen(float(times.mean()), "s")
    for number, part in enumerate(range(0, len(times), max(1, len(times) // 10))):
        stretch = times[part : part + max(1, len(times) // 10)]
        found[f"stretch {number}"] = Figure.seen(float(stretch.mean()), "s")
    return found
'''
GATE = """\
schema_version: 1
name: payments
source: {name: ./source.py, path: scenario.yaml}
metrics:
  - p50
  - {name: p99, least_effect: 20 %}
  - agreement
environment: current
time_limit: 6 min
"""
FACTOR, SURE = 1.1, 0.002
"""asv's defaults: by how much, and Mann and Whitney's p (``asv continuous``, 0.6)."""
SIDES = ("base", "head")
PROCESSES = 2
"""Of each side, whose samples asv takes together."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--equal", type=int, default=30)
    parser.add_argument("--tenth", type=int, default=10)
    parser.add_argument("--twentieth", type=int, default=10)
    asked = parser.parse_args()
    figures: dict[str, Any] = {"gates": {}}
    with tempfile.TemporaryDirectory() as folder:
        repository = Path(folder) / "payments"
        repository.mkdir()
        texts = {"scenario.yaml": SCENARIO, "task.py": TASK, "source.py": SOURCE, "gate.yaml": GATE}
        commit(repository, texts)
        for kind, share, count in (
            ("equal", 0.0, asked.equal),
            ("+10 %", 0.1, asked.tenth),
            ("+5 %", 0.05, asked.twentieth),
        ):
            turns = round(share * figures.get("p50_s", 0.0) / turn_s())
            changed = {"task.py": TASK.replace("TURNS = 0", f"TURNS = {turns}"), "README": kind}
            commit(repository, changed)
            gates = figures["gates"][kind] = []
            for number in range(count):
                gates.append(gated(repository, number))
                figures["p50_s"] = statistics.median(
                    one["p50_s"] for one in figures["gates"]["equal"]
                )
                save("gate_live", figures)
            commit(repository, {"task.py": TASK, "README": f"after {kind}"})


def gated(repository: Path, number: int) -> dict[str, Any]:
    """One gate of the last commit against the one before."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "gate"
        begun = time.monotonic()
        command = [
            sys.executable, "-m", "bench", "gate", "gate.yaml", "--base", "HEAD~1", "--head", "HEAD",
            "--seed", str(number), "--out", str(out), "--quiet",
        ]  # fmt: skip
        done = subprocess.run(command, cwd=repository, check=False)
        whole_s = time.monotonic() - begun
        gate = json.loads((out / "gate.json").read_text())
        rounds = json.loads((out / "rounds.json").read_text())["rounds"]
    rows = {row["metric"]["name"]: row for row in gate["judgement"]["rows"]}
    parts = rows["p50"]["parts"]
    return {
        "verdict": gate["judgement"]["verdict"],
        "code": done.returncode,
        "seconds": round(gate["seconds"], 1),
        "whole_s": round(whole_s, 1),
        "rounds": len(rounds),
        "effect": rows["p50"]["weighed"]["effect"]["value"],
        "p50_s": rows["p50"]["base"],
        "findings": {name: row["finding"] for name, row in rows.items()},
        "step": parts[0]["name"] if parts else None,
        "others": others(rounds),
    }


def others(rounds: list[dict[str, Any]]) -> dict[str, list[bool]]:
    """What other rules say of the same processes: of each round, or, asv's, of each two."""
    means = [[one[side]["figures"]["mean"]["value"] for side in SIDES] for one in rounds]
    return {
        "mean: 5 %": [head > 1.05 * base for base, head in means],
        "2 %": [head > 1.02 * base for base, head in means],
        "asv": [
            asv(*(stretches(rounds[at : at + PROCESSES], side) for side in SIDES))
            for at in range(0, len(rounds) - PROCESSES + 1, PROCESSES)
        ],
    }


def stretches(rounds: list[dict[str, Any]], side: str) -> list[float]:
    return [
        figure["value"]
        for one in rounds
        for name, figure in one[side]["figures"].items()
        if name.startswith("stretch ")
    ]


def asv(base: list[float], head: list[float]) -> bool:
    """Whether ``asv continuous`` calls it a regression."""
    differs = stats.mannwhitneyu(base, head).pvalue < SURE
    return bool(differs and statistics.median(head) > FACTOR * statistics.median(base))


def commit(repository: Path, texts: dict[str, str]) -> None:
    for name, text in texts.items():
        (repository / name).write_text(text)
    me = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    for command in (["init", "-q", "-b", "main"], ["add", "."], [*me, "commit", "-qm", "work"]):
        subprocess.run(["git", "-C", str(repository), *command], check=True)


def turn_s() -> float:
    """What one turn of the loop takes in a process of its own."""
    said = subprocess.run(
        [sys.executable, "-m", "timeit", "-u", "sec", "-n", "1", "-r", "9", "for _ in range(1000000): pass"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return float(said.stdout.split("best of 9: ")[1].split()[0]) / 1e6


if __name__ == "__main__":
    main()
