"""A sample of ``nox -s fuzz``: no mutated input ends in a traceback, or a code outside the table."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


@pytest.mark.skipif(sys.platform == "win32", reason="cases are forked processes")
def test_a_sample_of_mutated_inputs(tmp_path: Path) -> None:
    # Of a process of its own, since what forks here must have no threads.
    command = [
        sys.executable, "-m", "tests.evidence.fuzz", "--count", "30", "--seed", "15",
        "--keep", tmp_path / "failures",
    ]  # fmt: skip
    root = Path(__file__).parents[1]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "30 cases, 0 failed" in done.stdout
