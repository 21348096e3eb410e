"""A server in a process of its own, for as long as somebody needs it."""

from __future__ import annotations

import contextlib
import multiprocessing
from collections.abc import Iterator, Sequence, Set
from multiprocessing.connection import Connection
from typing import NamedTuple

from bench.cores import stay_on
from bench.errors import BenchError, WorkerLost
from bench.scenario import Choice
from bench.serve.part import Placed

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
    line: Sequence[Placed], task: Choice, replicas: int, cores: Set[int] | None = None
) -> Iterator[Service]:
    """Serve so many replicas of each stage on a free port of this machine's own, as long as ``with`` lasts.

    Args:
        cores: those that all of it runs on; ``None`` for any.

    Raises:
        BenchError: it cannot be served.
    """
    context = multiprocessing.get_context("spawn")
    pipe, theirs = context.Pipe()
    process = context.Process(
        target=_serve, args=(theirs, line, task, replicas, cores), name="bench serve"
    )
    process.start()
    theirs.close()
    try:
        try:
            said = pipe.recv()
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
        pipe.close()


def _serve(
    pipe: Connection, line: Sequence[Placed], task: Choice, replicas: int, cores: Set[int] | None
) -> None:
    stay_on(cores)

    def on_ready(address: str, model: str) -> None:
        pipe.send((address, model))

    from bench.serve.deployed import serve, served_line

    try:
        serve(served_line(line, task, replicas), "127.0.0.1", 0, on_ready)
    except BenchError as error:
        with contextlib.suppress(OSError):  # nobody waits for it any more
            pipe.send(error)
