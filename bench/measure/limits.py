"""What the control groups that this process runs in let it use, by versions 1 and 2 of them.

A limit holds for all that is below it, so that the smallest on the way up counts (kernel
documentation, ``admin-guide/cgroup-v2.rst``, ``scheduler/sched-bwc.rst``). A container may be shown
its own group as the root of the tree, while the kernel names it by its path on the host: then that
path is not there, and the root is what counts.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

MEMBERSHIP = Path("/proc/self/cgroup")
ROOT = Path("/sys/fs/cgroup")
_NO_LIMIT_BYTES = 1 << 62
"""Version 1 writes a number as large as can be where there is none."""


def usable_cores() -> int:
    """Cores this process may keep busy: those it may run on, and no more than its quota fills."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:
        cores = os.cpu_count() or 1
    quota = cpu_limit_cores()
    return cores if quota is None else min(cores, max(int(quota), 1))


def cpu_limit_cores(membership: Path = MEMBERSHIP, root: Path = ROOT) -> float | None:
    """The quota in cores; when it is used up, all threads stand still until the next period."""
    found = []
    for group in _groups("", membership, [root, root / "unified"]):
        quota, _, period = _text(group / "cpu.max").partition(" ")
        found += _ratio(quota, period)
    for group in _groups("cpu", membership, _mounts("cpu", root)):
        found += _ratio(_text(group / "cpu.cfs_quota_us"), _text(group / "cpu.cfs_period_us"))
    return min(found, default=None)


def memory_limit_bytes(membership: Path = MEMBERSHIP, root: Path = ROOT) -> int | None:
    """The most memory this process and those beside it may use."""
    texts = [_text(g / "memory.max") for g in _groups("", membership, [root, root / "unified"])]
    for group in _groups("memory", membership, _mounts("memory", root)):
        texts.append(_text(group / "memory.limit_in_bytes"))
    limits = [int(text) for text in texts if text.isdecimal()]
    return min((limit for limit in limits if limit < _NO_LIMIT_BYTES), default=None)


def _groups(controller: str, membership: Path, mounts: list[Path]) -> Iterator[Path]:
    """The group of this process under a controller (``""``: version 2) and all above it."""
    place = "/"
    for line in _text(membership).splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controller in controllers.split(","):
            place = path
    for mount in mounts:
        inner = Path(place.strip("/"))
        yield from (mount / part for part in (inner, *inner.parents))


def _mounts(controller: str, root: Path) -> list[Path]:
    """Folders of version 1, whose names list their controllers (``cpu,cpuacct``)."""
    folders = sorted(root.iterdir()) if root.is_dir() else []
    return [folder for folder in folders if controller in folder.name.split(",")]


def _ratio(quota: str, period: str) -> list[float]:
    """Cores, where both are numbers: ``max`` and ``-1`` are no limit."""
    whole = quota.isdecimal() and period.isdecimal() and int(period) > 0 and int(quota) > 0
    return [int(quota) / int(period)] if whole else []


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
