"""The live service of a session, whatever its kind: a server, workers of a job, or the loop of a device."""

from __future__ import annotations

import multiprocessing
import re
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import product

import numpy as np
import psutil

from bench.cores import divided
from bench.errors import MeasurementInvalid
from bench.measure import LiveInput, RemoteArm, is_remote
from bench.observe import (
    Ask,
    Asker,
    Driver,
    HandsOn,
    Loop,
    Observed,
    Relay,
    Schedule,
    Waves,
    asks_of,
    column,
    columns_of,
    note_beyond,
)
from bench.requests import Floats
from bench.scenario import Arm, BatchPart, Choice, EdgePart
from bench.serve import Placed, Service, beside
from bench.ticks import PER_SECOND

LOOK_S = 0.02
LONGEST_RESTART_S = 300.0
_SAID = re.compile(r"^(bench_replicas_ready|bench_replica_restarts_total) (\S+)$", re.MULTILINE)


class Live:
    """Answers schedules and waves.

    Args:
        sizes: of a line, how large each input is to the second stage, and so on.
    """

    is_job = False

    def __init__(self, asker: Asker, sizes: Sequence[Floats] = (), inside: bool = True) -> None:
        self._asker, self._sizes = asker, sizes
        self.inside = inside
        """Whether it says of each request what it met."""

    def ask(self, what: Schedule | Waves) -> Observed:
        """Ask all of it, and wait for the answers."""
        rows = self._rows(what)
        for stage, own in enumerate(self._sizes, 2):
            rows[column("size", stage)] = own[rows["sample"]]
        return rows

    def _rows(self, what: Schedule | Waves) -> Observed:
        return self._asker.ask(what)

    def load(self, what: Schedule, kill_s: float | None) -> tuple[Observed, float | None]:
        """A block of load; of a job, also when a replica was killed, from the first request on."""
        return self.ask(what), None

    def restarts_s(self, count: int) -> list[float]:
        """Of a job: seconds until a replica that was killed has been replaced, so many times."""
        return []


class LiveJob(Live):
    """Workers that can be killed, and are replaced."""

    is_job = True

    def __init__(self, asker: Driver, service: Service, replicas: int) -> None:
        super().__init__(asker)
        self._service, self._replicas = service, replicas
        self._killed = 0

    def load(self, what: Schedule, kill_s: float | None) -> tuple[Observed, float | None]:
        if kill_s is None:
            return super().load(what, None)
        moments: list[int] = []
        timer = threading.Timer(kill_s, lambda: moments.append(self._kill()))
        timer.start()
        try:
            rows = self.ask(what)
        finally:
            timer.cancel()
            timer.join()
        self._wait()
        first = int(rows["arrival"].min())
        return rows, (moments[0] - first) / PER_SECOND if moments else None

    def restarts_s(self, count: int) -> list[float]:
        found = []
        for _ in range(count):
            moment = self._kill()
            self._wait()
            found.append((time.perf_counter_ns() - moment) / PER_SECOND)
        return found

    def _kill(self) -> int:
        """The moment, by the clock of whoever asks."""
        replicas = [
            child
            for child in psutil.Process(self._service.pid).children()
            if child.status() != psutil.STATUS_ZOMBIE and "spawn_main" in " ".join(child.cmdline())
        ]
        replicas[0].kill()
        self._killed += 1
        return time.perf_counter_ns()

    def _wait(self) -> None:
        """Until there is another for each that was killed.

        Raises:
            MeasurementInvalid: there never is.
        """
        until = time.monotonic() + LONGEST_RESTART_S
        while time.monotonic() < until:
            with urllib.request.urlopen(f"{self._service.address}/metrics", timeout=10) as said:  # noqa: S310
                found = {name: float(value) for name, value in _SAID.findall(said.read().decode())}
            ready, restarts = (
                found[name] for name in ("bench_replicas_ready", "bench_replica_restarts_total")
            )
            if ready == self._replicas and restarts >= self._killed:
                return
            time.sleep(LOOK_S)
        raise MeasurementInvalid("A replica that was killed was not replaced.")


class LiveDevice(Live):
    """A device, and the service of what it hands on."""

    def __init__(self, loop: Loop, relay: Relay, stages: int, sizes: Sequence[Floats]) -> None:
        super().__init__(loop, sizes)
        self._relay, self._stages = relay, stages

    def _rows(self, what: Schedule | Waves) -> Observed:
        own = super()._rows(what)
        relayed = self._relay.block()
        rows = np.zeros(len(own), columns_of(self._stages, of_device=True))
        for name in own.dtype.names or ():
            rows[name] = own[name]
        rows["handed"] = own["finished"]
        for stage, name in product(
            range(2, self._stages + 1), ("queue", "service", "in_batch", "server")
        ):
            rows[column(name, stage)] = -1  # until more is known
        note_beyond(rows, relayed.places, relayed.rows, self._stages)
        return rows


@contextmanager
def live(
    line: Sequence[Placed], task: Choice, replicas: int, inputs: Sequence[LiveInput],
    sizes: Sequence[Floats],
) -> Iterator[Live]:  # fmt: skip
    """The service of a line, on cores of its own where there are enough; a server of others, as it is."""
    part = line[0].part
    if is_remote(line[0].arm):
        with _theirs(line[0].arm, task, inputs) as driver:
            yield Live(driver, inside=False)
        return
    if isinstance(part, EdgePart):
        with _device(line, task, replicas, inputs, sizes) as device:
            yield device
        return
    _, others = divided(_threads(line, replicas))
    with (
        beside(line, task, replicas) as service,
        Driver(service.infer, asks_of(inputs), others, stages=len(line)) as driver,
    ):
        if isinstance(part, BatchPart):
            yield LiveJob(driver, service, replicas)
        else:
            yield Live(driver, sizes)


def shares_cores(line: Sequence[Placed], replicas: int) -> bool:
    """Whether what answers may take every core, so that whoever asks takes some of them from it."""
    first = line[0]
    own = first.arm.device.threads if isinstance(first.part, EdgePart) else _threads(line, replicas)
    return not is_remote(first.arm) and divided(own)[0] is None


@contextmanager
def _device(
    line: Sequence[Placed], task: Choice, replicas: int, inputs: Sequence[LiveInput],
    sizes: Sequence[Floats],
) -> Iterator[Live]:  # fmt: skip
    """The loop of one device, and where stages follow, a server of these."""
    first, *later = line
    own, others = divided(first.arm.device.threads)
    batching = first.part.batching
    if not later:
        with Loop(first.arm, task, batching, inputs, own) as loop:
            yield Live(loop)
        return
    handed, to = multiprocessing.Pipe()
    hands_on = HandsOn(to, later[0].stage.only_found)
    with (
        beside(later, task, replicas, others) as service,
        Relay(service.infer, handed, others, len(later)) as relay,
        Loop(first.arm, task, batching, inputs, own, hands_on) as loop,
    ):
        handed.close()
        to.close()  # so that each of the two processes hears of the other's end
        yield LiveDevice(loop, relay, len(line), sizes)


def _threads(line: Sequence[Placed], replicas: int) -> int | None:
    """Of all replicas; ``None``: one of them takes what there is."""
    found = [one.arm.device.threads for one in line]
    return None if None in found else replicas * sum(filter(None, found))


def _theirs(arm: Arm, task: Choice, inputs: Sequence[LiveInput]) -> Driver:
    """Whoever asks a server that is up and is not ours."""
    remote = RemoteArm(arm, task)
    try:
        server = remote.server([one.encoded for one in inputs])
    finally:
        remote.close()
    asks = [Ask(*sent, one.size) for sent, one in zip(server.posted, inputs, strict=True)]
    return Driver(server.url, asks, tls=server.tls)
