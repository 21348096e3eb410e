"""Limits of containers, on trees of files as the kernel shows them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.measure import limits

GIB = 1 << 30


def tree(folder: Path, membership: str, files: dict[str, str]) -> tuple[Path, Path]:
    """What ``/proc/self/cgroup`` and ``/sys/fs/cgroup`` say."""
    member = folder / "membership"
    member.write_text(membership)
    for name, text in files.items():
        path = folder / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    return member, folder / "cgroup"


V1 = "5:memory:{0}\n4:cpu,cpuacct:{0}\n1:name=systemd:{0}\n"
QUOTA, PERIOD = "cpu.cfs_quota_us", "cpu.cfs_period_us"
TREES = {
    "v2 of a container": ("0::/\n", {"cpu.max": "60000 100000", "memory.max": f"{GIB}"}),
    "v2 nested, the tightest is above": (
        "0::/kube/pod/box\n",
        {
            "cpu.max": "max 100000",
            "kube/cpu.max": "400000 100000",
            "kube/pod/cpu.max": "60000 100000",
            "kube/pod/box/cpu.max": "200000 100000",
            "kube/memory.max": f"{GIB}",
            "kube/pod/memory.max": f"{4 * GIB}",
            "kube/pod/box/memory.max": "max",
            "other/cpu.max": "1000 100000",
        },
    ),
    "v2 named by its path on the host": (
        "0::/system.slice/docker-abc.scope\n",
        {"cpu.max": "30000 50000", "memory.max": f"{GIB}"},
    ),
    "v1": (
        V1.format("/docker/abc"),
        {
            f"cpu,cpuacct/{QUOTA}": "-1", f"cpu,cpuacct/{PERIOD}": "100000",
            f"cpu,cpuacct/docker/abc/{QUOTA}": "60000", f"cpu,cpuacct/docker/abc/{PERIOD}": "100000",
            "memory/memory.limit_in_bytes": f"{(1 << 63) - 4096}",
            "memory/docker/abc/memory.limit_in_bytes": f"{GIB}",
        },
    ),
    "v1 of a container": (
        V1.format("/docker/abc"),
        {
            f"cpu,cpuacct/{QUOTA}": "60000", f"cpu,cpuacct/{PERIOD}": "100000",
            "memory/memory.limit_in_bytes": f"{GIB}",
        },
    ),
    "both versions": (
        V1.format("/a") + "0::/a\n",
        {
            f"cpu/a/{QUOTA}": "60000", f"cpu/a/{PERIOD}": "100000", "unified/a/cgroup.procs": "1",
            "memory/a/memory.limit_in_bytes": f"{GIB}",
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TREES)
def test_the_tightest_limit_on_the_way_up(tmp_path: Path, name: str) -> None:
    places = tree(tmp_path, *TREES[name])
    assert limits.cpu_limit_cores(*places) == pytest.approx(0.6)
    assert limits.memory_limit_bytes(*places) == GIB


@pytest.mark.parametrize(
    ("membership", "files"),
    [
        ("", {}),
        ("0::/\n", {"cpu.max": "max 100000", "memory.max": "max"}),
        ("0::/\n", {"cpu.max": "", "memory.max": "much"}),
        (V1.format("/"), {f"cpu/{QUOTA}": "-1", f"cpu/{PERIOD}": "100000"}),
        (V1.format("/"), {f"cpu/{QUOTA}": "60000"}),
    ],
)
def test_no_limit(tmp_path: Path, membership: str, files: dict[str, str]) -> None:
    places = tree(tmp_path, membership, files)
    assert limits.cpu_limit_cores(*places) is None
    assert limits.memory_limit_bytes(*places) is None


@pytest.mark.parametrize(
    ("quota", "cores"), [(None, 8), (16.0, 8), (4.0, 4), (2.5, 2), (1.0, 1), (0.6, 1)]
)
def test_threads_follow_the_quota(
    monkeypatch: pytest.MonkeyPatch, quota: float | None, cores: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(limits, "cpu_limit_cores", lambda: quota)
    assert limits.usable_cores() == cores
