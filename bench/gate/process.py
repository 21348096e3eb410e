"""A program in a process group of its own, of which nothing is left when it is over."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from bench.errors import shorten


def run(
    command: Sequence[str | Path],
    folder: Path,
    variables: Mapping[str, str],
    log: Path,
    limit_s: float,
) -> str | None:
    """Run it, with all it prints in ``log``; why it failed, or ``None``."""
    with started(command, folder, variables, log) as process:
        return end_of(process, log, limit_s)


@contextlib.contextmanager
def started(
    command: Sequence[str | Path],
    folder: Path,
    variables: Mapping[str, str],
    log: Path,
    handed_on: Collection[int] = (),
) -> Iterator[subprocess.Popen[bytes]]:
    """While it runs. ``handed_on``: file descriptors that it has too."""
    with log.open("wb") as printed:
        process = subprocess.Popen(  # noqa: S603
            [str(part) for part in command],
            cwd=folder, env=dict(variables), stdin=subprocess.DEVNULL, stdout=printed,
            stderr=subprocess.STDOUT, start_new_session=True, pass_fds=tuple(handed_on),
        )  # fmt: skip
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def end_of(process: subprocess.Popen[bytes], log: Path, limit_s: float) -> str | None:
    """Wait until it ends; why it failed, or ``None``."""
    try:
        code = process.wait(limit_s)
    except subprocess.TimeoutExpired:
        return f"it took longer than {limit_s:.0f} s"
    return None if code == 0 else f"it ended with {code}{_last_words(log)}"


def _last_words(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return f": {shorten(lines[-1].strip(), 200)}" if lines else ""
