"""A server in a process of its own, for as long as somebody needs it."""

from __future__ import annotations

import contextlib
import multiprocessing
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import NamedTuple

from bench.errors import BenchError, WorkerLost
from bench.scenario import Arm, BatchPart, Choice, RealTimePart

END_S = 10.0


class Service(NamedTuple):
    """Where it is."""

    address: str
    model: str
    pid: int

    @property
    def infer(self) -> str:
        """Where requests are posted."""
        return f"{self.address}/v2/models/{self.model}/infer"


@contextlib.contextmanager
def beside(
    part: RealTimePart | BatchPart, arm: Arm, task: Choice, replicas: int
) -> Iterator[Service]:
    """Serve so many replicas on a free port of this machine's own, as long as ``with`` lasts.

    Raises:
        BenchError: it cannot be served.
    """
    context = multiprocessing.get_context("spawn")
    line, theirs = context.Pipe()
    process = context.Process(
        target=_serve, args=(theirs, part, arm, task, replicas), name="bench serve"
    )
    process.start()
    theirs.close()
    try:
        try:
            said = line.recv()
        except EOFError:
            raise WorkerLost("The server ended while it started.") from None
        if isinstance(said, BenchError):
            raise said
        address, model = said
        yield Service(address, model, process.pid or 0)
    finally:
        process.terminate()  # what it was asked is answered, or nobody waits for it any more
        process.join(END_S)
        if process.is_alive():
            process.kill()
            process.join()
        line.close()


def _serve(
    line: Connection, part: RealTimePart | BatchPart, arm: Arm, task: Choice, replicas: int
) -> None:
    def on_ready(address: str, model: str) -> None:
        line.send((address, model))

    from bench.serve.deployed import pool_of, serve

    try:
        serve(pool_of(part, arm, task, replicas), "127.0.0.1", 0, on_ready)
    except BenchError as error:
        with contextlib.suppress(OSError):  # nobody waits for it any more
            line.send(error)
