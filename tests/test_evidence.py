"""The tables in the docs are those of the committed evidence."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bench.folders import data_folder
from bench.gather import load_profiles
from bench.hardware import Catalogue
from bench.prepare import Settings
from tests.evidence import gpu, write_docs
from tests.evidence.write_docs import PAGES, current

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_the_docs_show_the_committed_evidence(path: Path) -> None:
    page = path.read_text()
    assert current(page) == page, "run: python3 -m tests.evidence.write_docs"


SUITE = """\
schema_version: 1
name: made-up
task: {name: synthetic, samples: 8}
measure: {max_batch: 2, loads: [single-stream, offline]}
arms:
  - {backend: {name: fake, base: 4 ms, per_item: 1 ms}, device: this-host}
  - {backend: {name: fake, base: 2 ms, per_item: 1 ms, faults: {fallback_nodes: 2}}, device: this-host}
  - {backend: {name: fake, base: 3 ms, faults: {crash_at_call: 3}}, device: this-host}
"""


def test_a_gpu_session_keeps_what_is_valid_and_says_why_the_rest_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(data_folder("hardware_profiles"), tmp_path / "data" / "hardware_profiles")
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "data"))
    suite = tmp_path / "made-up.yaml"
    suite.write_text(SUITE)
    seen = gpu.measured(suite, tmp_path / "run", "nvidia-x1", Settings(budget="smoke"))
    assert sorted(row["status"] for row in seen["rows"]) == ["invalid", "valid"]
    assert len(seen["kept"]) == 1
    assert len(seen["failed"]) == 1
    assert "crash_at_call" in next(iter(seen["failed"]))
    assert set(load_profiles(Catalogue().kept("nvidia-x1", "synthetic")))
    figures = {"device": "nvidia-x1", "suites": [seen]}
    table = write_docs._gpu({"figures": figures, "made": "2026", "environment": {"gpu": None}})
    assert table.count("| made-up |") == 2
    assert "no sensor" in table


def test_the_name_of_a_gpu_is_a_device_name() -> None:
    assert gpu.device_name("NVIDIA H100 80GB HBM3") == "nvidia-h100-80gb-hbm3"
