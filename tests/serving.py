"""What tests of live servers share: pools with scripted replicas, servers as processes, and clients."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from bench.admission import ADMIT_ALL, Admission
from bench.batching import Rule
from bench.measure import LiveAnswer
from bench.requests import Outcome
from bench.serve.pool import Pool, Request
from bench.simulate import Routing
from tests.busy import HANG_S, until
from tests.conftest import FAKE_SCENARIO

# Scripted --------------------------------------------------------------------------------------


class Scripted:
    """A replica that answers when it is told to."""

    def __init__(self, then: Callable[[], object] = lambda: None) -> None:
        self.batches: list[list[bytes]] = []
        self._then = then

    def start(self, payloads: Sequence[bytes]) -> None:
        self.batches.append(list(payloads))
        self._then()


class Played:
    """A pool of scripted replicas, all ready, which answer in capitals; with ``prompt``, by themselves."""

    def __init__(
        self, rule: Rule, replicas: int = 1, routing: Routing = Routing.CENTRAL,
        admission: Admission = ADMIT_ALL, retry: bool = True,
        on_end: Callable[[Request, Outcome], None] = lambda request, outcome: None,
        prompt: bool = False,
    ) -> None:  # fmt: skip
        self.ended: list[tuple[bytes, Outcome]] = []

        def end(request: Request, outcome: Outcome) -> None:
            self.ended.append((request.payload, outcome))
            on_end(request, outcome)

        self.pool = Pool(rule, routing, admission, retry, end)
        self.replicas: list[Scripted] = []
        for number in range(replicas):
            answer = partial(asyncio.get_running_loop().call_soon, self.done, number)
            self.replicas.append(Scripted(answer if prompt else lambda: None))
            self.pool.set_ready(self.pool.add(self.replicas[-1]))

    def ask(self, *payloads: bytes) -> list[Request]:
        return [self.pool.ask(payload) for payload in payloads]

    def done(self, number: int = 0) -> None:
        batch = self.replicas[number].batches[-1]
        self.pool.done(number, [LiveAnswer(one.upper()) for one in batch])


def playing(test: Callable[[], Coroutine[Any, Any, None]], lasts_s: float = 0.0) -> None:
    """On a loop of its own, for as long as it lasts and a while beyond."""
    asyncio.run(asyncio.wait_for(test(), HANG_S + lasts_s))


async def comes(happened: Callable[[], object]) -> None:
    """Let others go on until it has happened."""
    while not happened():
        await asyncio.sleep(0.001)


# Processes -------------------------------------------------------------------------------------


def body(**changes: Any) -> bytes:
    """A request for one input, or something like it."""
    entry = {"name": "input", "datatype": "BYTES", "shape": [1], "data": ["5"], **changes}
    return json.dumps({"inputs": [entry]}).encode()


@dataclass(frozen=True)
class Live:
    """A server, and what a client may ask of it."""

    process: subprocess.Popen[str]
    address: str
    replicas: list[psutil.Process]
    """At first, in the order in which they were started."""
    model: str = "synthetic"

    def post(self, content: bytes, **headers: str) -> tuple[int, Any]:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        url = f"{self.address}/v2/models/{self.model}/infer"
        status, said, _ = _open(urllib.request.Request(url, content, sent))  # noqa: S310 - loopback
        return status, json.loads(said)

    def timed(self, number: int) -> tuple[Any, dict[str, str]]:
        """The answer, and what it says in ``Server-Timing``."""
        url = f"{self.address}/v2/models/{self.model}/infer"
        asked = urllib.request.Request(url, body(data=[str(number)]))  # noqa: S310 - loopback
        _, said, headers = _open(asked)
        entries = re.findall(r'([\w-]+);(?:dur|desc)="?([^",]+)', headers["Server-Timing"])
        return json.loads(json.loads(said)["outputs"][0]["data"][0]), dict(entries)

    def ask(self, number: int) -> tuple[int, Any]:
        """The status, and the answer or why there is none."""
        status, said = self.post(body(data=[str(number)]))
        return status, json.loads(said["outputs"][0]["data"][0]) if status == 200 else said

    def get(self, path: str) -> tuple[int, str]:
        status, said, _ = _open(self.address + path)
        return status, said

    def metric(self, name: str) -> float:
        found = re.search(rf"^bench_{name} (\S+)$", self.get("/metrics")[1], re.MULTILINE)
        assert found, name
        return float(found[1])

    def counted(self, name: str = "requests") -> dict[str, int]:
        """By outcome, or whatever the label of this counter is."""
        said = self.get("/metrics")[1]
        found = re.findall(rf'^bench_{name}_total{{\w+="(\w+)"}} (\S+)$', said, re.MULTILINE)
        return {label: int(float(value)) for label, value in found}

    def inside(self, number: int) -> None:
        """Wait until so many requests are inside."""
        until(lambda: self.metric("requests_inside") == number, f"{number} are inside")

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Replicas stand still meanwhile: what is asked piles up, however fast or slow things are."""
        for replica in self.replicas:
            replica.suspend()
        try:
            yield
        finally:
            for replica in self.replicas:
                if replica.is_running():
                    replica.resume()


def _open(asked: str | urllib.request.Request) -> tuple[int, str, Mapping[str, str]]:
    try:
        with urllib.request.urlopen(asked, timeout=HANG_S) as answer:  # noqa: S310 - loopback
            return answer.status, answer.read().decode(), answer.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode(), error.headers


def scenario(folder: Path, batch: int = 8, more: str = "", **backend: str) -> Path:
    """The fake scenario in real time, with other options of its backend and more of its deployments."""
    options = {
        "load": "0 s", "first_call_extra": "0 s", "base": "1 ms", "per_item": "0 s",
        "real_time": "true", **backend,
    }  # fmt: skip
    said = ", ".join(f"{name}: {value}" for name, value in options.items())
    path = folder / "live.yaml"
    path.write_text(
        FAKE_SCENARIO.replace("max_batch: 8", f"max_batch: {batch}").replace(
            "backend: {name: fake, base: 4 ms, per_item: 1 ms}",
            f"backend: {{name: fake, {said}}}\n    {more}",
        )
    )
    return path


FEW_FILES = 128


def command(path: Path, *options: str, limits: str = "", deployment: str = "cloud") -> list[str]:
    """Of a server, with a free port and, where ``limits`` are given, few files."""
    program = ["-m", "bench"]
    few: list[str] = []
    if limits:
        program = ["-m", "tests.limited_server", limits]
        few = ["sh", "-c", f'ulimit -n {FEW_FILES}; exec "$@"', "sh"]
    return [
        *few, sys.executable, *program, "serve", str(path), "--deployment", deployment, "--port", "0",
        *options,
    ]  # fmt: skip


@contextmanager
def started(command: list[str], **given: Any) -> Iterator[subprocess.Popen[str]]:
    """A process, which does not outlive the block."""
    with subprocess.Popen(command, text=True, **given) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def serving(
    path: Path, *options: str, limits: str = "", says: str = "", deployment: str = "cloud",
    stderr: Path | None = None,
) -> Iterator[Live]:  # fmt: skip
    """A server of this scenario; on stderr it says just that in the end, whatever is asked of it."""
    complaints = stderr or path.with_suffix(".stderr")
    line = command(path, "--json", *options, limits=limits, deployment=deployment)
    with (
        complaints.open("w") as errors,
        started(line, stdout=subprocess.PIPE, stderr=errors) as process,
    ):
        assert process.stdout is not None
        said = ""
        while not said.endswith("}"):
            more = process.stdout.read(1)
            assert more, complaints.read_text()
            said += more
        at = json.loads(said)
        yield Live(process, at["address"], replicas_of(process), at["model"])
    assert complaints.read_text() == says


def replicas_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Those that are there, in the order in which they were started."""
    with suppress(psutil.NoSuchProcess):  # one may end while it is looked at
        children = [
            child
            for child in psutil.Process(process.pid).children()
            if "spawn_main" in " ".join(child.cmdline())
        ]
        return sorted(children, key=lambda child: child.pid)
    return []


def ends(process: subprocess.Popen[str], replicas: Sequence[psutil.Process] = ()) -> int:
    """The exit code, once neither the process is there, nor these replicas, nor those that it has now."""
    known = {*replicas, *replicas_of(process)}
    code = process.wait(HANG_S)
    until(lambda: not any(map(_runs, known)), "replicas have ended")
    return code


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
