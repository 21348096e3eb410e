"""Two processes that measure by turns, a twentieth of a second each, so that both meet the same machine.

What disturbs a shared machine comes and goes within seconds, on each core by itself: two processes that run one
after the other meet different machines, and two that run at once disturb each other. Whoever starts both gives
each an end of one connection (:func:`meeting`), and a core that both use, if one thread is all they need. A
process that nobody gave one measures as if there were no turns.
"""

from __future__ import annotations

import os
import socket
import time
from types import TracebackType

from bench import cores

VARIABLE = "BENCH_TURNS"
"""In the environment: the file descriptor of its end, whether it begins, and the core."""
BURST_S = 0.05
_MEETS, _TURN, _LEAVES, _GONE = b"m", b"t", b"l", b""


def meeting() -> tuple[socket.socket, socket.socket]:
    """Both ends of a connection; the first is for whoever begins."""
    return socket.socketpair()


def invitation(end: socket.socket, *, begins: bool, core: int) -> dict[str, str]:
    """What the environment of a process says, to which ``end`` is handed on."""
    return {VARIABLE: f"{end.fileno()} {int(begins)} {core}"}


class Turns:
    """This process's turns: ``with turns:`` around what is measured, and ``turns.pass_on()`` within it."""

    def __init__(
        self, end: socket.socket | None = None, *, begins: bool = True, core: int | None = None
    ) -> None:
        self._end, self._begins, self._core = end, begins, core
        self._alone, self._since = True, 0.0
        self._cores: list[int] | None = None

    @classmethod
    def of_environment(cls, threads: int | None) -> Turns:
        """Those that this process was invited to, if it was; ``threads``: ``None`` where it uses every core."""
        try:
            number, begins, core = map(int, os.environ.get(VARIABLE, "").split())
            end = socket.socket(fileno=os.dup(number))
        except (ValueError, OSError):
            return cls()
        return cls(end, begins=bool(begins), core=core if threads == 1 else None)

    def __enter__(self) -> Turns:
        """Wait for the other process, and for the turn."""
        self._cores = cores.usable()
        if self._cores is not None and self._core in self._cores:
            cores.stay_on({self._core})
        self._alone = self._end is None or not self._send(_MEETS)
        while not self._alone and (said := self._receive()) != _MEETS:
            self._alone = said == _GONE
        if not self._begins:
            self._wait()
        self._since = time.monotonic()
        return self

    def pass_on(self) -> int:
        """Let the other process have its turn, if this one has lasted; how long that took, in nanoseconds."""
        if self._alone or (begun := time.monotonic()) - self._since < BURST_S:
            return 0
        self._alone = not self._send(_TURN)
        self._wait()
        self._since = time.monotonic()
        return int((self._since - begun) * 1e9)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        cores.stay_on(None if self._cores is None else set(self._cores))
        if self._end is not None:
            self._send(_LEAVES)

    def close(self) -> None:
        """What was invited to; the invitation itself lasts as long as the process."""
        if self._end is not None:
            self._end.close()

    def _wait(self) -> None:
        if not self._alone:
            self._alone = self._receive() != _TURN

    def _send(self, message: bytes) -> bool:
        assert self._end is not None  # noqa: S101
        try:
            self._end.sendall(message)
        except OSError:
            return False
        return True

    def _receive(self) -> bytes:
        assert self._end is not None  # noqa: S101
        try:
            return self._end.recv(1)
        except OSError:
            return _GONE
