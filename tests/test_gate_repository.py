"""A repository that is not this one, with a suite of its own, is gated: by a file, and by pytest."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from bench.store import load

pytestmark = pytest.mark.slow

THREE_LINES = """\
schema_version: 1
source: {name: pytest-benchmark, sample: 5 ms}
metrics: [test_total]
"""
SUITE = """\
from work import ordered, total


def test_total(benchmark):
    assert benchmark(total, 2000) == 1999000


def test_ordered(benchmark):
    assert benchmark(ordered, 2000)[0] == 0
"""
WORK = """\
def total(n):
    found = 0
    for one in range(n):
        found += one
    return found


def ordered(n):
    return sorted(range(n, -1, -1))
"""
QUICKLY = ["--benchmark-min-time=0.005", "--benchmark-max-time=0.02", "-k", "total"]
SLOWER = WORK.replace("found += one", "found += one; one * one; one * one")


def commit(folder: Path, **files: str) -> str:
    for name, text in files.items():
        (folder / name.replace("_py", ".py").replace("_yaml", ".yaml")).write_text(text)
    for command in (
        ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-qm", "work"],
    ):
        subprocess.run(["git", "-C", folder, *command], check=True)
    told = subprocess.run(
        ["git", "-C", folder, "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    )
    return told.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "theirs"
    folder.mkdir()
    subprocess.run(["git", "init", "-q", "-b", "main", folder], check=True)
    commit(
        folder, work_py=WORK, test_speed_py=SUITE, gate_yaml=THREE_LINES + "environment: current\n"
    )
    return folder


def bench(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", "gate", *arguments],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_slower_commit_is_found_and_told_in_four_forms(repository: Path) -> None:
    commit(repository, work_py=SLOWER)
    done = bench(repository, "gate.yaml", "--out", "out", "--json")
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)
    assert found["judgement"]["verdict"] == "REGRESSED"
    assert "❌ gate: REGRESSED" in (repository / "out" / "gate.md").read_text()
    suite = ET.parse(repository / "out" / "junit.xml").getroot()[0]  # noqa: S314  (our own)
    failed = [case.get("name") for case in suite if case.find("failure") is not None]
    assert failed == ["test_total"]
    assert load(repository / "out").header.status == "complete"
    swapped = bench(
        repository, "gate.yaml", "--out", "swapped", "--json", "--base", "HEAD", "--head", "HEAD~"
    )
    assert json.loads(swapped.stdout)["judgement"]["verdict"] == "IMPROVED"


def test_pytest_alone_gates_what_is_not_committed_yet(repository: Path) -> None:
    (repository / "work.py").write_text(SLOWER)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--bench-gate=HEAD", "--bench-gate-out=out", *QUICKLY],
        cwd=repository, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout
    assert "REGRESSED: test_total: worse." in done.stdout


def test_a_renamed_benchmark_and_a_crash_are_missing(repository: Path) -> None:
    commit(repository, test_speed_py=SUITE.replace("test_total", "test_sum"))
    done = bench(repository, "gate.yaml", "--out", "renamed")
    assert done.returncode == 4, done.stderr
    assert "test_total (head did not say it in round 1)" in done.stdout
    commit(repository, test_speed_py="raise SystemExit(9)")
    done = bench(repository, "gate.yaml", "--out", "crashed", "--base", "HEAD~2")
    assert done.returncode == 4, done.stderr
    assert "head failed in round 1" in done.stdout


def test_the_same_commit_twice_is_refused_and_so_is_what_does_not_exist(repository: Path) -> None:
    for arguments, said in (
        (["--base", "HEAD"], "base and head are the same commit"),
        (["--base", "nowhere"], "there is no revision 'nowhere'"),
    ):
        done = bench(repository, "gate.yaml", *arguments)
        assert done.returncode == 2
        assert said in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert not (repository / "reports").exists()
