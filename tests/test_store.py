"""A kill at any moment leaves the old run, or a run that says it is incomplete."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.measure.measurement import Replicate
from bench.pipeline import resume, run
from bench.prepare import Settings
from bench.store import Header, Run, atomic_write, read_record
from tests.busy import HANG_S, until

pytestmark = pytest.mark.slow

INLINE = Settings(engine="inline")
HEADER = Header(scenario="s", seed=1, bench_version="0", created="now", command="c")


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")

    def fail() -> None:
        with atomic_write(path) as file:
            file.write(b"new, but")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.json"]


def test_a_new_run_takes_the_old_ones_place_at_the_end(tmp_path: Path) -> None:
    first = Run.create(tmp_path / "r", HEADER)
    first.save_text("which", "first")
    first.finish()
    second = Run.create(tmp_path / "r", HEADER)
    second.save_text("which", "second")
    assert (tmp_path / "r" / "which").read_text() == "first"
    second.finish()
    assert (tmp_path / "r" / "which").read_text() == "second"
    assert os.listdir(tmp_path) == ["r"]


def test_a_swap_killed_half_way_is_undone(tmp_path: Path) -> None:
    first = Run.create(tmp_path / "r", HEADER)
    first.finish()
    (tmp_path / "r").rename(tmp_path / "r.old")
    assert Run.open(tmp_path / "r").header.status == "complete"


@pytest.mark.parametrize("after_s", [0.2, 1.0, 1.6, 2.2, 3.0])
def test_killed_at_any_moment(fake_scenario: Path, tmp_path: Path, after_s: float) -> None:
    out = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, "-m", "bench", "run", str(fake_scenario), "--out", str(out), "--quiet"],
        start_new_session=True,
    )
    time.sleep(after_s)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if not out.exists() or not (out / "run.json").exists():
        return  # killed before it had begun
    if Run.open(out).header.status == "complete":
        assert (out / "report.html").exists()
    elif (out / "asked.json").exists():
        assert resume(out, INLINE).header.status == "complete"


def test_killing_a_second_run_keeps_the_first(fake_scenario: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(fake_scenario, out, INLINE)
    before = (out / "report.json").read_bytes()
    command = [sys.executable, "-m", "bench", "run", str(fake_scenario), "--out", str(out), "-q"]
    process = subprocess.Popen(command, start_new_session=True)
    incomplete = out.with_name("out.incomplete")
    until((incomplete / "asked.json").exists, "the second has begun", process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert (out / "report.json").read_bytes() == before
    assert Run.open(incomplete).header.status == "incomplete"


@pytest.mark.parametrize("after_s", [0, 0.1, 0.3])
def test_ctrl_c_is_one_line_and_130(fake_scenario: Path, tmp_path: Path, after_s: float) -> None:
    out = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, "-m", "bench", "run", str(fake_scenario), "--out", str(out)],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A shell that runs the tests in the background has it ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    until((out / "asked.json").exists, "it has begun", process)
    time.sleep(after_s)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=HANG_S)
    assert process.returncode == 130
    assert said.startswith("bench: interrupted")
    assert "Traceback" not in said
    assert Run.open(out).header.status == "incomplete"


SUITE = """\
schema_version: 1
name: killed
task: {name: synthetic, samples: 8}
measure: {max_batch: 2, loads: []}
arms:
"""  # one process each
SUITE += "".join(
    f"  - {{backend: {{name: fake, base: {n} ms}}, device: this-host}}\n" for n in range(1, 5)
)


def test_a_killed_measurement_goes_on_where_it_stopped(tmp_path: Path) -> None:
    suite, out = tmp_path / "suite.yaml", tmp_path / "out"
    suite.write_text(SUITE)
    command = [sys.executable, "-m", "bench", "measure", str(suite), "--out", str(out), "-q"]
    process = subprocess.Popen(command, start_new_session=True)
    until(lambda: len(list(out.glob("replicates/fake*.json"))) >= 2, "two replicates", process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    finished = list(out.glob("replicates/fake*.json"))
    kept = {read_record(path, Replicate).started_utc for path in finished}
    command = [sys.executable, "-m", "bench", "run", "--resume", str(out), "--json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    arms = json.loads(done.stdout)["arms"]
    began = {replicate["started_utc"] for arm in arms for replicate in arm["replicates"]}
    assert len(began) == 4
    assert kept <= began
    assert Run.open(out).header.status == "complete"
    assert len(list(out.glob("profiles/*.json"))) == 4
