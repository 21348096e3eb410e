"""A live server: the pool's decisions, the protocol with a client that others wrote, and its end."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from bench.admission import ADMIT_ALL, Admission
from bench.batching import FOREVER, Rule, constant
from bench.measure import LiveAnswer
from bench.requests import Outcome
from bench.serve import protocol
from bench.serve.pool import Pool, Request
from bench.simulate import Routing
from tests.conftest import FAKE_SCENARIO

pytest.importorskip("aiohttp", reason="the extra serve is not installed")

LONG_S = 20.0
"""Nothing here takes so long, however busy the machine."""


# The pool --------------------------------------------------------------------------------------


class Scripted:
    """A replica that answers when it is told to."""

    def __init__(self) -> None:
        self.batches: list[list[bytes]] = []

    def start(self, payloads: Sequence[bytes]) -> None:
        self.batches.append(list(payloads))


class Played:
    """A pool of scripted replicas, all ready."""

    def __init__(
        self, rule: Rule, replicas: int = 1, routing: Routing = Routing.CENTRAL,
        admission: Admission = ADMIT_ALL, retry: bool = True,
    ) -> None:  # fmt: skip
        self.ended: list[tuple[bytes, Outcome]] = []
        self.pool = Pool(
            rule, routing, admission, retry,
            lambda request, outcome: self.ended.append((request.payload, outcome)),
        )  # fmt: skip
        self.replicas = [Scripted() for _ in range(replicas)]
        for replica in self.replicas:
            self.pool.set_ready(self.pool.add(replica))

    def ask(self, *payloads: bytes) -> list[Request]:
        return [self.pool.ask(payload) for payload in payloads]

    def done(self, number: int) -> None:
        batch = self.replicas[number].batches[-1]
        self.pool.done(number, [LiveAnswer(one.upper()) for one in batch])


def playing(test: Callable[[], Any]) -> None:
    asyncio.run(asyncio.wait_for(test(), LONG_S))


def test_a_full_batch_starts_and_what_is_left_waits_for_company() -> None:
    async def test() -> None:
        played = Played(constant(2, FOREVER))
        requests = played.ask(b"a", b"b", b"c")
        assert played.replicas[0].batches == [[b"a", b"b"]]
        played.done(0)
        assert [await one.left for one in requests[:2]] == [Outcome.DONE] * 2
        assert [one.answer.output for one in requests[:2]] == [b"A", b"B"]
        assert (played.pool.waiting, played.pool.inside) == (1, 1)
        played.ask(b"d")
        assert played.replicas[0].batches[-1] == [b"c", b"d"]

    playing(test)


def test_a_batch_starts_when_the_oldest_has_waited_long_enough() -> None:
    async def test() -> None:
        played = Played(constant(8, 20_000_000))
        (request,) = played.ask(b"a")
        assert played.replicas[0].batches == []
        while not played.replicas[0].batches:
            await asyncio.sleep(0.001)
        assert request.start - request.reach >= 20_000_000

    playing(test)


def test_who_finds_the_queue_full_is_turned_away() -> None:
    async def test() -> None:
        played = Played(constant(1, 0), admission=Admission(queue_limit=1))
        requests = played.ask(b"a", b"b", b"c")
        assert await requests[2].left is Outcome.SHED
        assert played.ended == [(b"c", Outcome.SHED)]
        played.done(0)
        played.done(0)
        await played.pool.empty()
        assert [outcome for _, outcome in played.ended[1:]] == [Outcome.DONE] * 2

    playing(test)


def test_who_waits_too_long_leaves() -> None:
    async def test() -> None:
        played = Played(constant(1, 0), admission=Admission(timeout=10_000_000))
        requests = played.ask(b"a", b"b")
        assert await requests[1].left is Outcome.TIMED_OUT
        played.done(0)
        assert await requests[0].left is Outcome.DONE
        assert len(played.replicas[0].batches) == 1

    playing(test)


@pytest.mark.parametrize("routing", list(Routing))
@pytest.mark.parametrize("retry", [True, False])
def test_what_a_lost_replica_had_is_tried_again_or_lost(routing: Routing, retry: bool) -> None:
    async def test() -> None:
        played = Played(constant(1, 0), 2, routing, retry=retry)
        requests = played.ask(*(bytes([65 + k]) for k in range(6)))
        played.pool.lost(0)
        while played.pool.inside:
            played.done(1)
        outcomes = [await one.left for one in requests]
        assert len(played.ended) == 6
        lost = [one for one in requests if await one.left is Outcome.LOST]
        assert bool(lost) != retry
        assert all(one.answer.error for one in lost)
        assert outcomes.count(Outcome.DONE) == 6 - len(lost)

    playing(test)


def test_requests_wait_for_the_first_replica_and_keep_their_order() -> None:
    async def test() -> None:
        played = Played(constant(1, 0), 1, Routing.ROUND_ROBIN)
        played.pool.lost(0)
        played.ask(b"a", b"b", b"c")
        played.pool.replace(0, again := Scripted())
        played.replicas[0] = again
        for _ in range(3):
            played.done(0)
        assert again.batches == [[b"a"], [b"b"], [b"c"]]

    playing(test)


# The protocol ----------------------------------------------------------------------------------


def body(**changes: Any) -> bytes:
    entry = {"name": "input", "datatype": "BYTES", "shape": [1], "data": ["a"], **changes}
    return json.dumps({"inputs": [entry]}).encode()


@pytest.mark.parametrize(
    ("header", "content"),
    [
        (None, b""), (None, b"{"), (None, b"[]"), (None, b"null"), (None, b'{"inputs": {}}'),
        (None, b'{"inputs": []}'), (None, b'{"inputs": [1]}'), (None, b"\xff\xfe"),
        (None, b"[" * 100_000), (None, body(name="x")), (None, body(datatype="FP32")),
        (None, body(shape=[2])), (None, body(shape=[])), (None, body(shape=[10**4000])),
        (None, body(shape="1")), (None, body(data=[1])), (None, body(data="a")),
        (None, body(data=[])), (None, body(data=["\ud800"])), (None, body(data=None)),
        (None, body(parameters={"content_type": "base64"})), (None, body(parameters=[1])),
        (None, body(parameters={"binary_data_size": -1})),
        (None, body(parameters={"binary_data_size": True})),
        ("5", body()), ("-1", body()), ("x", body()), ("9" * 5000, body()), ("²", body()),
        (None, body(parameters={"binary_data_size": 4})),
    ],
)  # fmt: skip
def test_what_is_no_request_is_refused(header: str | None, content: bytes) -> None:
    with pytest.raises(protocol.BadRequest):
        protocol.inference(header, content)


def test_an_element_that_reaches_beyond_the_body_is_refused() -> None:
    head = body(data=None, parameters={"binary_data_size": 6})
    with pytest.raises(protocol.BadRequest, match="beyond"):
        protocol.inference(str(len(head)), head + (9).to_bytes(4, "little") + b"ab")


def test_bytes_that_are_no_text_come_in_base64() -> None:
    coded = base64.b64encode(b"\xff\x00").decode()
    asked = protocol.inference(None, body(data=[coded], parameters={"content_type": "base64"}))
    assert asked.payloads == [b"\xff\x00"]


# The server ------------------------------------------------------------------------------------


@contextmanager
def serving(folder: Path, backend: str = "", more: str = "", *options: str) -> Iterator[Any]:
    """A server of the fake scenario; its process and its address."""
    text = FAKE_SCENARIO.replace(
        "backend: {name: fake, base: 4 ms, per_item: 1 ms}",
        f"backend: {{name: fake, load: 0 s, first_call_extra: 0 s, real_time: true, {backend}}}\n"
        f"    {more}",
    )
    (folder / "live.yaml").write_text(text)
    command = [
        sys.executable, "-m", "bench", "serve", str(folder / "live.yaml"), "--json",
        "--deployment", "cloud", "--port", "0", *options,
    ]  # fmt: skip
    errors = (folder / "stderr").open("w")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
    try:
        assert process.stdout is not None
        said = ""
        while not said.endswith("}"):
            more_said = process.stdout.read(1)
            assert more_said, (folder / "stderr").read_text()
            said += more_said
        yield process, json.loads(said)["address"]
    finally:
        process.kill()
        process.communicate()
        errors.close()
    assert (folder / "stderr").read_text() == ""  # nobody fills a log with garbage


def post(address: str, content: bytes, **headers: str) -> tuple[int, Any]:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    url = f"{address}/v2/models/synthetic/infer"
    request = urllib.request.Request(url, content, sent)  # noqa: S310 - loopback
    try:
        with urllib.request.urlopen(request, timeout=LONG_S) as answer:  # noqa: S310 - loopback
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def ask(address: str, number: int) -> tuple[int, Any]:
    status, said = post(address, body(data=[str(number)]))
    return status, json.loads(said["outputs"][0]["data"][0]) if status == 200 else said


def get(address: str, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(address + path, timeout=LONG_S) as answer:  # noqa: S310
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def counted(address: str) -> dict[str, float]:
    """Requests that ended, by outcome."""
    found = re.findall(
        r'bench_requests_total\{outcome="(\w+)"\} (\S+)', get(address, "/metrics")[1]
    )
    return {name: float(value) for name, value in found}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("serve"), "base: 1 ms, per_item: 0 s") as (_, address):
        yield address


@pytest.mark.slow
def test_a_standard_client_is_answered(server: str) -> None:
    client = pytest.importorskip("tritonclient.http", reason="the extra peers is not installed")
    asked = client.InferenceServerClient(server.removeprefix("http://"))
    assert asked.is_server_live()
    assert asked.is_server_ready()
    assert asked.is_model_ready("synthetic")
    assert asked.get_model_metadata("synthetic")["inputs"][0]["name"] == "input"
    for binary in (True, False):
        given = client.InferInput("input", [3], "BYTES")
        given.set_data_from_numpy(np.array([b"3", b"1", b"2"], dtype=object), binary_data=binary)
        wanted = client.InferRequestedOutput("output", binary_data=binary)
        answer = asked.infer("synthetic", [given], outputs=[wanted], request_id="mine")
        values = [json.loads(one)["value"] for one in answer.as_numpy("output")]
        assert values == [3, 1, 2]
        assert answer.get_response()["id"] == "mine"
    with pytest.raises(client.InferenceServerException, match="no such model"):
        asked.get_model_metadata("other")


@pytest.mark.slow
def test_our_own_client_is_answered(server: str) -> None:
    from bench.measure.backends import open_inference

    options = open_inference.Options(url=server, model="synthetic")
    session = open_inference.load(Path(), options, 1, time.perf_counter_ns)
    (output,) = session.run({"input": np.array(["7"], dtype=object)})
    assert json.loads(output[0]) == {"value": 7}
    session.close()


@pytest.mark.slow
def test_one_who_sends_nonsense_spoils_no_other_s_batch(server: str) -> None:
    before = counted(server)
    with ThreadPoolExecutor(16) as pool:
        asked = [pool.submit(post, server, body(data=[t])) for t in ["1", "no number"] * 40]
        statuses = [one.result()[0] for one in asked]
    assert statuses == [200, 400] * 40
    after = counted(server)
    assert after["done"] - before["done"] == 40
    assert after["failed"] - before["failed"] == 40


@pytest.mark.slow
def test_malformed_requests_are_refused_and_never_take_it_down(server: str) -> None:
    """Mutations of a request as a whole, as bytes on a connection of its own."""
    rng = random.Random(1)  # noqa: S311 - no secret
    host, port = server.removeprefix("http://").split(":")
    good = body()
    whole = (
        b"POST /v2/models/synthetic/infer HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(good), good)
    )
    seen: dict[str, int] = {}
    for _ in range(int(os.environ.get("BENCH_MALFORMED", "300"))):
        mutated = bytearray(whole)
        for _ in range(rng.randint(1, 6)):
            place = rng.randrange(len(mutated))
            if rng.random() < 0.3:
                del mutated[place : place + rng.randint(1, 30)]
            else:
                mutated[place] = rng.randrange(256)
        with socket.create_connection((host, int(port)), timeout=LONG_S) as line:
            line.sendall(mutated)
            line.settimeout(0.3)
            try:
                status = line.recv(65536)[9:12].decode(errors="replace")
            except TimeoutError:  # it waits for the rest: the client hangs up
                status = "hung up"
        seen[status] = seen.get(status, 0) + 1
    assert not [status for status in seen if status[:1] == "5"], seen
    assert any(status[:1] == "4" for status in seen), seen
    assert ask(server, 5) == (200, {"value": 5})


@pytest.mark.slow
def test_a_body_that_is_too_large_is_refused(server: str) -> None:
    host, port = server.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=LONG_S) as line:
        line.sendall(
            b"POST /v2/models/synthetic/infer HTTP/1.1\r\nHost: x\r\n"
            b"Content-Length: 99999999999\r\n\r\n" + b"x" * 1000
        )
        assert line.recv(65536).startswith(b"HTTP/1.1 413")


@pytest.mark.slow
def test_requests_that_come_together_are_served_together(tmp_path: Path) -> None:
    with serving(tmp_path, "base: 20 ms, per_item: 1 ms", "", "--replicas", "1") as (_, address):
        with ThreadPoolExecutor(32) as pool:
            answers = list(pool.map(lambda k: ask(address, k), range(64)))
        assert answers == [(200, {"value": k}) for k in range(64)]
        metrics = get(address, "/metrics")[1]
        alone = float(re.search(r'batch_size_bucket\{le="1.0"\} (\S+)', metrics)[1])  # type: ignore[index]
        assert alone < 64


@pytest.mark.slow
def test_a_replica_that_is_killed_is_replaced_and_nothing_is_lost(tmp_path: Path) -> None:
    with serving(tmp_path, "base: 300 ms, per_item: 1 ms") as (process, address):
        replicas = [
            child for child in psutil.Process(process.pid).children()
            if "spawn_main" in " ".join(child.cmdline())
        ]  # fmt: skip
        assert len(replicas) == 2
        with ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(ask, address, k) for k in range(8)]
            time.sleep(0.1)
            replicas[0].kill()
            assert [one.result() for one in asked] == [(200, {"value": k}) for k in range(8)]
        until = time.monotonic() + LONG_S
        while "bench_replicas_ready 2.0" not in (said := get(address, "/metrics")[1]):
            assert time.monotonic() < until
            time.sleep(0.1)
        assert "bench_replica_restarts_total 1.0" in said
        assert sum(counted(address).values()) == 8


@pytest.mark.slow
def test_overload_is_turned_away_and_passes(tmp_path: Path) -> None:
    limits = "admission: {queue_limit: 4, timeout: 30 s}"
    options = ("--replicas", "1")
    with serving(tmp_path, "base: 50 ms, per_item: 1 ms", limits, *options) as (_, address):
        with ThreadPoolExecutor(64) as pool:
            statuses = [status for status, _ in pool.map(lambda k: ask(address, k), range(128))]
        assert set(statuses) == {200, 503}
        found = counted(address)
        assert (found["done"], found["shed"]) == (statuses.count(200), statuses.count(503))
        assert ask(address, 1) == (200, {"value": 1})


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_when_what_is_inside_is_answered(tmp_path: Path, number: int) -> None:
    with serving(tmp_path, "base: 500 ms, per_item: 1 ms") as (process, address):
        children = psutil.Process(process.pid).children(recursive=True)
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(ask, address, 3)
            while "bench_requests_waiting" not in get(address, "/metrics")[1]:
                pass
            time.sleep(0.2)
            process.send_signal(number)
            assert asked.result() == (200, {"value": 3})
        assert process.wait(LONG_S) == 0
        assert not psutil.wait_procs(children, timeout=LONG_S)[1]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--deployment", "clod"), "Did you mean 'cloud'"),
        (("--deployment", "night"), "not one service of replicas"),
        (("--deployment", "edge"), "not one service of replicas"),
        (("--deployment", "cloud", "--host", "192.0.2.1"), "cannot listen there"),
    ],
)
def test_what_cannot_be_served_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], said: str
) -> None:
    from bench.cli import main

    path = tmp_path / "fake.yaml"
    path.write_text(FAKE_SCENARIO)
    argv = sys.argv
    sys.argv = ["bench", "serve", str(path), *options]
    try:
        with pytest.raises(SystemExit) as ended:
            main()
    finally:
        sys.argv = argv
    assert ended.value.code == 2
    assert said in " ".join(capsys.readouterr().err.split())
