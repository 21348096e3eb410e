"""The live service of a session, whatever its kind: a server, workers of a job, or the loop of a device."""

from __future__ import annotations

import re
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psutil

from bench.cores import divided
from bench.errors import MeasurementInvalid
from bench.measure import LiveInput, RemoteArm, is_remote
from bench.observe import Ask, Asker, Driver, Loop, Observed, Schedule, Waves, asks_of
from bench.scenario import Arm, BatchPart, Choice, EdgePart, Part
from bench.serve import Service, beside
from bench.ticks import PER_SECOND

LOOK_S = 0.02
LONGEST_RESTART_S = 300.0
_SAID = re.compile(r"^(bench_replicas_ready|bench_replica_restarts_total) (\S+)$", re.MULTILINE)


class Live:
    """Answers schedules and waves."""

    is_job = False

    def __init__(self, asker: Asker, inside: bool = True) -> None:
        self._asker = asker
        self.inside = inside
        """Whether it says of each request what it met."""

    def ask(self, what: Schedule | Waves) -> Observed:
        """Ask all of it, and wait for the answers."""
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


@contextmanager
def live(
    part: Part, arm: Arm, task: Choice, replicas: int, inputs: Sequence[LiveInput]
) -> Iterator[Live]:
    """The service of a part, on cores of its own where there are enough; a server of others, as it is."""
    if is_remote(arm):
        with _theirs(arm, task, inputs) as driver:
            yield Live(driver, inside=False)
        return
    threads = arm.device.threads
    own, others = divided(threads and threads * replicas)
    if isinstance(part, EdgePart):
        with Loop(arm, task, part.batching, inputs, own) as loop:
            yield Live(loop)
        return
    with (
        beside(part, arm, task, replicas) as service,
        Driver(service.infer, asks_of(inputs), others) as driver,
    ):
        yield LiveJob(driver, service, replicas) if isinstance(part, BatchPart) else Live(driver)


def _theirs(arm: Arm, task: Choice, inputs: Sequence[LiveInput]) -> Driver:
    """Whoever asks a server that is up and is not ours."""
    remote = RemoteArm(arm, task)
    try:
        server = remote.server([one.encoded for one in inputs])
    finally:
        remote.close()
    asks = [Ask(*sent, one.size) for sent, one in zip(server.posted, inputs, strict=True)]
    return Driver(server.url, asks, tls=server.tls)
