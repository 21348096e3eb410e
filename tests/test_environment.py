"""The environment is told as far as the system tells it, and never at the cost of a measurement."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench.measure import environment


def test_a_system_that_tells_nothing_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise RuntimeError("not on this system")

    for place, name in (
        (psutil, "cpu_count"), (psutil, "virtual_memory"), (psutil, "cpu_freq"),
        (environment.os, "getloadavg"), (environment.nvml, "state"), (environment, "_text"),
        (environment.platform, "platform"), (environment.metadata, "version"),
    ):  # fmt: skip
        monkeypatch.setattr(place, name, refuse)
    facts = environment.describe()
    assert facts["cpu"] is facts["memory_bytes"] is facts["gpu"] is facts["packages"] is None


def test_here_it_tells_what_rule_18_asks_for() -> None:
    facts = environment.describe()
    assert json.loads(json.dumps(facts)) == facts
    assert facts["cores_logical"] >= 1
    assert facts["memory_bytes"] > 0
    assert facts["packages"]["numpy"]


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_caches_threads_and_limits_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(
        tmp_path,
        {
            "cpu/cpu0/cache/index0/level": "1\n", "cpu/cpu0/cache/index0/size": "48K\n",
            "cpu/cpu0/cache/index3/level": "3\n", "cpu/cpu0/cache/index3/size": "32M\n",
            "cpu/smt/active": "1\n", "cpu/cpu0/cpufreq/scaling_governor": "powersave\n",
            "cgroup/cpu.max": "150000 100000\n", "cgroup/memory.max": "1073741824\n",
        },
    )  # fmt: skip
    monkeypatch.setattr(environment, "CPU", tmp_path / "cpu")
    monkeypatch.setattr(environment, "CGROUP", tmp_path / "cgroup")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    facts = environment.describe()
    assert facts["last_level_cache_bytes"] == 32 << 20
    assert facts["simultaneous_multithreading"] is True
    assert facts["governor"] == "powersave"
    assert facts["cpu_limit_cores"] == 1.5
    assert facts["memory_limit_bytes"] == 1 << 30
    assert facts["variables"]["OMP_NUM_THREADS"] == "3"


def test_no_limit_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"cpu.max": "max 100000\n", "memory.max": "max\n"})
    monkeypatch.setattr(environment, "CGROUP", tmp_path)
    facts = environment.describe()
    assert facts["cpu_limit_cores"] is facts["memory_limit_bytes"] is None
