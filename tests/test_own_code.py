"""Code that records name: a run's folder may come from elsewhere, and is data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.errors import InputError
from bench.pipeline import measure_only, resume
from bench.prepare import Order, Settings
from bench.scenario import Choice, require_asked_for
from bench.scenario.own_code import named_code
from bench.work import ASKED

pytestmark = pytest.mark.slow

TASK = """
from pathlib import Path
Path(__file__).with_suffix(".ran").touch()
from bench.measure.tasks.synthetic import Options, build
"""
SUITE = """
schema_version: 1
name: own
task: {name: ./mine.py, samples: 2}
measure: {budget: smoke, max_batch: 1, loads: []}
arms: [{backend: fake, device: this-host-one-thread}]
"""


def test_names_of_code_are_found_wherever_a_part_may_be() -> None:
    inner = {"name": "b.py", "rate": 1.0}
    part = Choice.model_validate({"name": "a.py", "arrivals": inner, "many": [{"name": "c.py"}]})
    assert sorted(named_code([{"x": part}])) == ["a.py", "b.py", "c.py"]
    plain = Choice.model_validate(
        {"name": "server", "arrivals": {"name": "poisson"}, "file": "d.py"}
    )
    assert list(named_code(plain)) == []


def test_code_that_the_user_names_too_is_allowed(tmp_path: Path) -> None:
    part = Choice(name=str(tmp_path / "mine.py"))
    require_asked_for(part, [tmp_path / "x" / ".." / "mine.py"], "here")
    with pytest.raises(InputError, match=r"name Python code, .*mine\.py.*--allow-code .*mine\.py"):
        require_asked_for(part, [tmp_path / "other.py"], "here")


def test_a_run_from_elsewhere_runs_its_code_only_when_that_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(TASK)
    (tmp_path / "suite.yaml").write_text(SUITE)
    settings = Settings(engine="inline")
    run, _ = measure_only(tmp_path / "suite.yaml", tmp_path / "out", settings)
    theirs = tmp_path / "theirs.py"  # what the records of the folder name now
    theirs.write_text(TASK)
    asked = run.load(ASKED, Order).model_dump_json().replace("mine.py", "theirs.py")
    run.save_text(ASKED, asked)
    header = json.loads((run.path / "run.json").read_text())
    (run.path / "run.json").write_text(json.dumps({**header, "status": "incomplete"}))
    (run.path / "measurement.json").unlink()
    with pytest.raises(InputError, match=r"theirs\.py, which was not run"):
        resume(run.path, settings)
    assert not theirs.with_suffix(".ran").exists()
    resume(run.path, Settings(engine="inline", allow_code=(theirs,)))
    assert theirs.with_suffix(".ran").exists()
