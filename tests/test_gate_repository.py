"""A repository that is not this one, with a suite of its own, is gated: by a file, and by pytest."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from bench.gate import SIDES
from bench.store import load

pytestmark = pytest.mark.slow

CI = Path(__file__).parents[1] / "docs" / "ci"
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


def commit(folder: Path, **files: str) -> None:
    for name, text in files.items():
        (folder / name.replace("_py", ".py").replace("_yaml", ".yaml")).write_text(text)
    commit_all(folder)


def commit_all(folder: Path) -> None:
    me = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    for command in (["init", "-q", "-b", "main"], ["add", "."], [*me, "commit", "-qm", "work"]):
        subprocess.run(["git", "-C", folder, *command], check=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "theirs"
    folder.mkdir()
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


OWN_SOURCE = '''\
import json

from bench.gate.figures import Figure
from bench.record import Record

NEEDS = ()
RESULT = "said.json"
PROGRAM = """
import json, random, sys, time
time.sleep(SLEEP)
json.dump({"time": float(sys.argv[1]) * (1 + 0.02 * random.random()), "answers": 3}, open(sys.argv[2], "w"))
"""


class Options(Record):
    size: float = 1.0


def command(options, result):
    return ["-c", PROGRAM, str(options.size), str(result)]


def figures(options, result):
    said = json.loads(result.read_text())
    answers = Figure(value=said["answers"], unit="count", better="equal", exact=True)
    return {"time": Figure.seen(said["time"], "s"), "answers": answers}
'''
OWN_GATE = """\
schema_version: 1
source: {name: ./own_source.py}
metrics: [time, answers]
environment: current
"""
OFFER = "civo/standard-2c-4g/any/on-demand"
SLOWER_HEAD = "head: {source: {size: 1.2}}\n"


@pytest.fixture
def configured(tmp_path: Path) -> Path:
    """No repository: two configurations, of figures that take no time to make."""
    (tmp_path / "own_source.py").write_text(OWN_SOURCE.replace("SLEEP", "0"))
    (tmp_path / "gate.yaml").write_text(OWN_GATE + SLOWER_HEAD)
    return tmp_path


def record(path: Path) -> Any:
    return json.loads(path.read_text())


def test_two_configurations_need_no_repository(configured: Path) -> None:
    done = bench(configured, "gate.yaml", "--out", "out")
    assert done.returncode == 1, done.stderr
    assert "REGRESSED: time: worse." in done.stdout
    assert "round 1, " in done.stderr
    (configured / "gate.yaml").write_text(OWN_GATE + "head: {source: {size: 0.8}}\n")
    done = bench(configured, "gate.yaml", "--out", "better", "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert record(configured / "better" / "gate.json")["judgement"]["verdict"] == "IMPROVED"


def test_what_the_machine_tells_from_nothing_is_made_and_used(configured: Path) -> None:
    commit_all(configured)
    for minutes in ("0.4", "4"):  # load alone can leave too few rounds: then once more, for longer
        equal = f"equal-{minutes}"
        done = bench(configured, "gate.yaml", "--floor", "--minutes", minutes, "--out", equal)
        if "rounds of 1 metrics with noise say too little" not in done.stderr:
            break
    assert done.returncode == 0, done.stderr
    assert "Recommended: `least_effect: " in done.stdout
    floor = record(configured / equal / "floor.json")
    assert 0 < floor["floors"]["time"] < 0.02
    (configured / "gate.yaml").write_text(f"{OWN_GATE}{SLOWER_HEAD}floor: {equal}/floor.json\n")
    assert bench(configured, "gate.yaml", "--out", "with").returncode == 1
    floor["cpu"] = "of another machine"
    (configured / equal / "floor.json").write_text(json.dumps(floor))
    done = bench(configured, "gate.yaml", "--out", "other")
    assert done.returncode == 2
    assert "gate.yaml:6:8: the floor is that of another machine" in done.stderr


def test_two_runs_that_are_there_are_compared_to_the_last_digit(configured: Path) -> None:
    for name, time, answers in (("a", 1.0, 3), ("b", 2.0, 3), ("c", 1.0, 4)):
        (configured / f"{name}.json").write_text(json.dumps({"time": time, "answers": answers}))
    for head, code, verdict in (("b", 0, "PASS"), ("c", 1, "REGRESSED")):
        done = bench(
            configured, "gate.yaml", "--runs", "a.json", f"{head}.json", "--out", head, "--json"
        )
        assert done.returncode == code, done.stderr
        assert json.loads(done.stdout)["judgement"]["verdict"] == verdict
    (configured / "gate.yaml").write_text(OWN_GATE.replace("[time, answers]", "[time]"))
    done = bench(configured, "gate.yaml", "--runs", "a.json", "b.json", "--out", "noise")
    assert done.returncode == 3
    assert "every metric has noise" in done.stdout


def test_ctrl_c_leaves_no_process_and_keeps_the_rounds(configured: Path) -> None:
    (configured / "own_source.py").write_text(OWN_SOURCE.replace("SLEEP", "1"))
    process = subprocess.Popen(
        [sys.executable, "-m", "bench", "gate", "gate.yaml", "--out", "out"],
        cwd=configured, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    while "round 2" not in process.stderr.readline():
        assert process.poll() is None
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert not [child for child in children if child.is_running()]
    assert len(record(configured / "out" / "rounds.json")["rounds"]) >= 2
    assert not list(Path(tempfile.gettempdir()).glob(f"bench-gate-{process.pid}-*"))


def test_each_side_has_an_environment_of_its_own_under_one_path(configured: Path) -> None:
    source = OWN_SOURCE.replace("SLEEP", "0").replace('"answers": 3', '"answers": len(sys.prefix)')
    (configured / "own_source.py").write_text(source)
    gate = OWN_GATE.replace("environment: current", "environment: {kind: built, install: []}")
    (configured / "gate.yaml").write_text(f"{gate}{SLOWER_HEAD}offer: {OFFER}\n")
    done = bench(configured, "gate.yaml", "--out", "out")
    assert done.returncode == 1, done.stderr
    rounds = record(configured / "out" / "rounds.json")["rounds"]
    prefixes = {one[side]["figures"]["answers"]["value"] for one in rounds for side in SIDES}
    assert len(prefixes) == 1
    assert prefixes != {len(sys.prefix)}
    dollars = re.search(
        r"a million of them \|.*\$[\d,.]+ \|.*\$", (configured / "out" / "gate.md").read_text()
    )
    assert dollars is not None


def test_what_cannot_be_installed_is_said(repository: Path) -> None:
    commit(repository, gate_yaml=THREE_LINES + "environment: {install: [./nowhere]}\n")
    done = bench(repository, "gate.yaml", "--out", "out")
    assert done.returncode == 2
    assert "base cannot be installed: it ended with 1: " in done.stderr


def test_what_changed_over_earlier_gates_is_told_beside_the_verdict(configured: Path) -> None:
    for name in ("a", "b"):
        (configured / f"{name}.json").write_text(json.dumps({"time": 1.0, "answers": 3}))
    stored = ("gate.yaml", "--runs", "a.json", "b.json")
    assert bench(configured, *stored, "--out", "history/00").returncode == 0
    gate, header = (record(configured / f"history/00/{name}.json") for name in ("gate", "run"))
    for day in range(1, 25):
        folder = configured / "history" / f"{day:02}"
        folder.mkdir()
        gate["judgement"]["rows"][0]["head"] = (1.0 if day < 13 else 1.1) + 0.001 * (day % 3)
        header["created"] = f"2020-01-{day:02}T00:00:00+00:00"
        (folder / "gate.json").write_text(json.dumps(gate))
        (folder / "run.json").write_text(json.dumps(header))
    (configured / "history" / "24" / "gate.json").write_text("{")  # one that cannot be read
    done = bench(configured, *stored, "--out", "history/now", "--history", "history")
    assert done.returncode == 0, done.stderr
    assert "history: time changed by +1" in done.stdout
    assert "for good on 2020-01-13T00:00:00+00:00" in done.stdout
    elsewhere = bench(configured, *stored, "--out", "again", "--history", "nowhere")
    assert elsewhere.returncode == 2
    assert not (configured / "again").exists()


def test_what_ci_runs_is_run(repository: Path) -> None:
    commit(repository, test_speed_py=SUITE.replace("test_total", "test_sum"))
    steps = yaml.safe_load((CI / "gate" / "action.yml").read_text())["runs"]["steps"]
    files = {"GITHUB_STEP_SUMMARY": "summary", "GITHUB_OUTPUT": "said"}
    done = shell(repository, steps[0]["run"], {"FILE": "gate.yaml", "BASE": "", **files})
    assert done.returncode == 4, done.stderr
    assert (repository / "said").read_text() == "verdict=MISSING\n"
    assert "⛔ gate: MISSING" in (repository / "summary").read_text()
    (repository / "gate-run").rename(repository / "first")
    job = yaml.safe_load((CI / "gitlab.yml").read_text())["gate"]
    install, gate = job["script"]
    assert install == "pip install inference-testbed"
    given = {"GATE_FILE": "gate.yaml", "CI_MERGE_REQUEST_DIFF_BASE_SHA": "HEAD~1"}
    assert shell(repository, gate, given).returncode == 4
    told = ET.parse(repository / job["artifacts"]["reports"]["junit"]).getroot()  # noqa: S314
    assert told[0].get("errors") == "1"


def shell(
    folder: Path, command: str, variables: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """As runners do it, with this program on the path."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", command],
        cwd=folder, env={**os.environ, "PATH": path, **variables}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


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
