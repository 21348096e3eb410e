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
from bench.measure import LiveInput
from bench.observe import Asker, Driver, Loop, Observed, Schedule, Waves, asks_of, column
from bench.requests import Floats
from bench.scenario import BatchPart, Choice, EdgePart
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

    def __init__(self, asker: Asker, sizes: Sequence[Floats] = ()) -> None:
        self._asker, self._sizes = asker, sizes

    def ask(self, what: Schedule | Waves) -> Observed:
        """Ask all of it, and wait for the answers."""
        rows = self._asker.ask(what)
        for stage, own in enumerate(self._sizes, 2):
            rows[column("size", stage)] = own[rows["sample"]]
        return rows

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
    line: Sequence[Placed], task: Choice, replicas: int, inputs: Sequence[LiveInput],
    sizes: Sequence[Floats],
) -> Iterator[Live]:  # fmt: skip
    """The service of a line, on cores of its own where there are enough."""
    part, arm = line[0].part, line[0].arm
    own, others = divided(_threads(line, replicas))
    if isinstance(part, EdgePart):
        with Loop(arm, task, part.batching, inputs, own) as loop:
            yield Live(loop)
        return
    with (
        beside(line, task, replicas) as service,
        Driver(service.infer, asks_of(inputs), others, stages=len(line)) as driver,
    ):
        if isinstance(part, BatchPart):
            yield LiveJob(driver, service, replicas)
        else:
            yield Live(driver, sizes)


def _threads(line: Sequence[Placed], replicas: int) -> int | None:
    """Of all replicas; ``None``: one of them takes what there is."""
    found = [one.arm.device.threads for one in line]
    return None if None in found else replicas * sum(filter(None, found))
