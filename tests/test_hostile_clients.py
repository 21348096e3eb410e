"""Clients that are slow, greedy, gone or mad: each is refused or given up, counted, and in nobody's way."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import random
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psutil
import pytest

from bench.batching import constant
from bench.requests import Outcome
from tests.busy import HANG_S
from tests.serving import FEW_FILES, Live, Played, body, comes, playing, scenario, serving

web = pytest.importorskip("aiohttp.web", reason="the extra serve is not installed")
from bench.serve import deployed  # noqa: E402
from bench.serve.app import App, Limits  # noqa: E402
from bench.serve.line import Line, Stop  # noqa: E402
from bench.serve.metrics import Metrics  # noqa: E402

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no such server there")

INFER = "/v2/models/synthetic/infer"


def request(path: str = INFER, content: bytes = b"", method: str = "POST", **headers: Any) -> bytes:
    """As bytes; the headers say how long it is, unless they are given."""
    sent = {"Host": "x", "Connection": "close", "Content_Length": len(content), **headers}
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in sent.items() if value != ""]
    return "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "\r\n"]).encode() + content


def chunked(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)


def answers(said: bytes) -> Iterator[tuple[int, str, bytes]]:
    """Status, head and body of each that stands in what a connection gave."""
    while said:
        head, _, rest = said.partition(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.splitlines() if line.startswith(b"Content-Length:")), 0
        )
        yield int(head.split()[1]), head.decode(), rest[:length]
        said = rest[length:]


async def heard(reader: asyncio.StreamReader) -> bytes:
    """All that the server says until it hangs up, be it on somebody who is still sending."""
    said = b""
    with suppress(ConnectionResetError):
        while more := await reader.read(65536):
            said += more
    return said


# The HTTP side alone ---------------------------------------------------------------------------


@dataclass
class Front:
    """In this process and on this loop, so that what has not happened yet can be waited for."""

    played: Played
    app: App
    metrics: Metrics
    port: int

    async def connect(self, sent: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(sent)
        return reader, writer

    async def says(self, sent: bytes) -> tuple[int, str, Any]:
        """All that it says until it hangs up, which must be one answer."""
        reader, writer = await self.connect(sent)
        ((status, head, content),) = answers(await heard(reader))
        writer.close()
        return status, head, json.loads(content)

    def counted(self) -> dict[str, float]:
        """Requests by outcome, refusals by status, and those that are inside."""
        lines = self.metrics.exposition()[0].decode().splitlines()
        named = (line.rsplit(" ", 1) for line in lines if line.startswith("bench_re"))
        return {
            name.partition('"')[2][:-2] or name: float(value)
            for name, value in named
            if name.startswith(("bench_requests_total", "bench_refused_total")) and float(value)
        }


@asynccontextmanager
async def front(limits: Limits = Limits(), prompt: bool = True) -> AsyncIterator[Front]:  # noqa: B008
    metrics = Metrics(["synthetic"])
    own = metrics.of("synthetic")
    played = Played(constant(1, 0), on_end=own.ended, prompt=prompt)
    app = App("synthetic", Line([Stop(played.pool)]), metrics, limits)
    runner = app.runner(0.0)
    await runner.setup()
    listening = deployed._listen("127.0.0.1", 0)
    await web.SockSite(runner, listening).start()
    try:
        yield Front(played, app, metrics, listening.getsockname()[1])
    finally:
        await runner.cleanup()
        listening.close()


GOOD = body(data=["a"])
SMALL = Limits(body=1000, inputs=2, linger_s=0.1)
HUGE = b"x" * 2000


@pytest.mark.parametrize(
    ("sent", "status", "said"),
    [
        (request(method="GET"), 405, "Method Not Allowed"),
        (request(method="DELETE", content=GOOD), 405, "Method Not Allowed"),
        (request("/v2", GOOD), 405, "Method Not Allowed"),
        (request("/v3"), 404, "Not Found"),
        (request("/v2/models/other/infer", GOOD), 404, "there is no such model"),
        (request("/v2/models/synthetic/versions/2/infer", GOOD), 404, "version 1"),
        (request("/v2/models/other", method="GET"), 404, "there is no such model"),
        (request("/v2/models/synthetic/versions/2/ready", method="GET"), 404, "version 1"),
        (request(), 400, "not JSON"),
        (request(content=body(shape=[3], data=["a"] * 3)), 400, "1 to 2 elements"),
        (request(content=HUGE), 413, "1000"),
        (request(Content_Length=10**15), 413, "1000"),
        (request(content=chunked(HUGE, b""), Content_Length="", Transfer_Encoding="chunked"), 413, "1000"),
        (request(content=chunked(*[b"x"] * 1001, b""), Content_Length="", Transfer_Encoding="chunked"), 413, "1000"),
        (request(content=gzip.compress(bytes(10_000_000)), Content_Encoding="gzip"), 413, "1000"),
        (request(content=b"no gzip", Content_Encoding="gzip"), 400, "gzip"),
        (request(content=GOOD, Inference_Header_Content_Length=10**6), 400, "larger than the body"),
    ],
)  # fmt: skip
def test_what_cannot_be_answered_is_refused_in_the_protocol_s_form(
    sent: bytes, status: int, said: str
) -> None:
    async def test() -> None:
        async with front(SMALL) as there:
            got, head, document = await there.says(sent)
            assert (got, list(document)) == (status, ["error"])
            assert said in document["error"]
            assert ("Allow:" in head) == (status == 405)
            assert there.counted() == {str(status): 1}
            assert there.played.ended == []
            assert (await there.says(request(content=GOOD)))[0] == 200

    playing(test)


def test_a_body_that_is_slow_is_refused_and_holds_up_nobody() -> None:
    async def test() -> None:
        async with front(Limits(send_s=0.2, linger_s=0.1)) as there:
            whole = request(content=GOOD)
            reader, writer = await there.connect(whole[:-20])
            answer = asyncio.ensure_future(heard(reader))
            others = 0
            while not answer.done():  # it sends on, byte by byte, and does not get there
                writer.write(whole[-20:][others : others + 1] if others < 19 else b"")
                assert (await there.says(request(content=GOOD)))[0] == 200
                others += 1
                await asyncio.sleep(0.02)
            ((status, _, content),) = answers(answer.result())
            assert status == 408
            assert "within 0.2 s" in json.loads(content)["error"]
            assert there.counted() == {"done": others, "408": 1}
            writer.close()

    playing(test)


@pytest.mark.parametrize("head", [b"", b"P", request(content=GOOD)[:60], request()[:-2]])
def test_headers_that_do_not_come_are_given_up(head: bytes) -> None:
    async def test() -> None:
        async with front(Limits(idle_s=0.2)) as there:
            reader, writer = await there.connect(head)
            gone = asyncio.ensure_future(heard(reader))
            while not gone.done():
                writer.write(head[-1:])
                # What it sends is there before the server has begun to wait for it.
                with socket.create_connection(("127.0.0.1", there.port)) as line:
                    line.sendall(request(content=GOOD))
                    line.setblocking(False)
                    said = await asyncio.get_running_loop().sock_recv(line, 9999)
                assert said.startswith(b"HTTP/1.1 200")
                await asyncio.sleep(0.02)
            assert [status for status, _, _ in answers(gone.result())] in ([], [400])
            writer.close()

    playing(test)


def test_a_connection_that_asks_no_more_is_closed() -> None:
    async def test() -> None:
        async with front(Limits(idle_s=0.2)) as there:
            reader, writer = await there.connect(request(content=GOOD, Connection="keep-alive"))
            assert [status for status, _, _ in answers(await heard(reader))] == [200]
            writer.close()

    playing(test)


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux has it")
def test_who_takes_nothing_of_its_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deployed, "STUCK_S", 1)

    async def test() -> None:
        async with front() as there:
            tasks = len(asyncio.all_tasks())
            with socket.create_connection(("127.0.0.1", there.port)) as line:
                sending = asyncio.to_thread(
                    line.sendall, request(content=body(data=["a" * 20_000_000]))
                )
                await sending
                await comes(lambda: there.played.ended)
                await comes(lambda: len(asyncio.all_tasks()) == tasks)

    playing(test)


def test_who_hangs_up_while_it_waits_is_counted_all_the_same() -> None:
    async def test() -> None:
        async with front(prompt=False) as there:
            tasks = len(asyncio.all_tasks())
            for number in range(3):
                _, writer = await there.connect(request(content=GOOD))
                await comes(lambda number=number: there.played.pool.inside == number + 1)
                writer.transport.abort()
            await comes(lambda: len(asyncio.all_tasks()) == tasks)  # nobody waits for an answer
            assert there.played.pool.inside == 3
            for _ in range(3):
                there.played.done()
            assert there.played.pool.inside == 0
            assert there.counted() == {"done": 3}

    playing(test)


@pytest.mark.parametrize("sent", [request(content=GOOD)[:-5], request(content=GOOD)[:30], b""])
def test_who_hangs_up_before_it_has_asked_was_never_there(sent: bytes) -> None:
    async def test() -> None:
        async with front() as there:
            tasks = len(asyncio.all_tasks())
            _, writer = await there.connect(sent)
            await comes(lambda: len(asyncio.all_tasks()) > tasks)
            writer.transport.abort()
            await comes(lambda: len(asyncio.all_tasks()) == tasks)
            assert there.counted() == {}
            assert there.played.ended == []

    playing(test)


def test_a_body_that_comes_when_the_end_has_begun_is_refused() -> None:
    async def test() -> None:
        async with front() as there:
            whole = request(content=GOOD)
            reader, writer = await there.connect(whole[:-5])
            there.app.draining = True
            writer.write(whole[-5:])
            ((status, _, content),) = answers(await heard(reader))
            assert (status, json.loads(content)) == (503, {"error": "the server is ending"})
            assert (await there.says(request("/v2/health/ready", method="GET")))[0] == 503
            assert there.counted() == {"503": 1}
            assert (await there.says(request("/v2/health/live", method="GET")))[0] == 200
            writer.close()

    playing(test)


def test_what_a_request_met_is_said() -> None:
    async def test() -> None:
        async with front() as there:
            _, head, document = await there.says(request(content=GOOD))
            assert document["outputs"][0]["data"] == ["A"]
            assert 'batch;desc="0/1", replica;desc="0"' in head
            assert there.played.ended == [(b"a", Outcome.DONE)]

    playing(test)


# A whole server --------------------------------------------------------------------------------

SHORT = '{"send_s": 0.5, "idle_s": 0.5, "linger_s": 0.1, "body": 100000}'
"""Every connection ends by itself, so that a client can wait for all that it will be told."""
AT_ONCE = 32


def malformed(rng: random.Random) -> bytes:
    """A request changed somewhere, or in its body alone, so that it comes as far as the protocol."""
    if rng.random() < 0.5:
        return request(content=mutated(body(), rng))
    return mutated(request(content=body(), Content_Type="application/json"), rng)


def mutated(whole: bytes, rng: random.Random) -> bytes:
    changed = bytearray(whole)
    for _ in range(rng.choice((1, 1, 1, 2, 6))):
        place = rng.randrange(len(changed))
        if rng.random() < 0.3:
            del changed[place : place + rng.randint(1, 30)]
        else:
            changed[place] = rng.randrange(256)
    return bytes(changed)


def told(address: str, sent: bytes) -> list[int]:
    """The statuses that a connection gives until the server hangs up."""
    host, port = address.removeprefix("http://").split(":")
    said = b""
    with socket.create_connection((host, int(port)), timeout=HANG_S) as line:
        line.sendall(sent)
        with suppress(ConnectionResetError):  # it does not read what it has refused to the end
            while more := line.recv(65536):
                said += more
    return [status for status, _, _ in answers(said)]


def memory_mb(live: Live) -> float:
    processes = [psutil.Process(live.process.pid), *live.replicas]
    return sum(one.memory_info().rss for one in processes) / 1e6


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    path = scenario(tmp_path_factory.mktemp("clients"))
    with serving(path, "--replicas", "1", limits=SHORT) as found:
        yield found


@pytest.mark.slow
def test_both_sides_books_balance_after_any_garbage(live: Live) -> None:
    """Mutations of a request, each on a connection of its own: ``BENCH_MALFORMED`` says how many."""
    rng = random.Random(1)  # noqa: S311 - no secret
    count = int(os.environ.get("BENCH_MALFORMED", "300"))
    sent = [malformed(rng) for _ in range(count)]
    begun, before = live.counted(), memory_mb(live)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        said = list(pool.map(lambda one: told(live.address, one), sent))
    seen = Counter(status for statuses in said for status in statuses)
    ended = {name: number - begun[name] for name, number in live.counted().items()}
    refused = live.counted("refused")
    print(f"\n{count} requests: {dict(seen)}, no answer: {said.count([])}")
    print(f"outcomes: {ended}, refused: {refused}, MB: {before:.0f} → {memory_mb(live):.0f}")
    assert seen[200] == ended["done"] > 0
    failed = {"400": ended["failed"]}  # the model could not read it
    assert {str(status): number for status, number in seen.items() if status != 200} == {
        status: number + failed.get(status, 0) for status, number in refused.items()
    }
    assert ended["shed"] == ended["timed_out"] == ended["lost"] == 0
    assert min(refused) >= "400"
    assert max(refused) < "500"
    assert live.ask(5) == (200, {"value": 5})


@pytest.mark.slow
def test_more_silent_clients_than_there_may_be_files_pass(live: Live) -> None:
    host, port = live.address.removeprefix("http://").split(":")
    with ExitStack() as stack:
        for _ in range(2 * FEW_FILES):
            stack.enter_context(socket.create_connection((host, int(port)), timeout=HANG_S))
        assert live.ask(5) == (200, {"value": 5})  # as those before it are given up
    assert live.ask(6) == (200, {"value": 6})
