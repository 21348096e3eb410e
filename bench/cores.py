"""Which cores do the work, and which are left to whatever asks for it."""

from __future__ import annotations

import os
from collections.abc import Set


def usable() -> list[int] | None:
    """Those that this process may run on; ``None`` where the system does not say."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


def divided(threads: int | None) -> tuple[Set[int] | None, Set[int] | None]:
    """A core for each thread of the work, and the rest for others.

    ``None`` for both where no core would be left, or ``threads`` says that the work takes them all.
    """
    cores = usable()
    if cores is None or threads is None or threads >= len(cores):
        return None, None
    return set(cores[:threads]), set(cores[threads:])


def stay_on(cores: Set[int] | None) -> None:
    """This process, and what it starts, runs on these from now on; ``None``: wherever it may."""
    if cores is not None:
        os.sched_setaffinity(0, cores)
