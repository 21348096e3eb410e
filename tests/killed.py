"""What a worker does that is killed: in a file of its own, which costs a new process little to import."""

from __future__ import annotations

import os
import signal
from pathlib import Path


def kill_once(item: tuple[Path, int]) -> int:
    """Ends its own process, the first time it sees item 3."""
    marker, number = item
    if number == 3 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def kill_always(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number
