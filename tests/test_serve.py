"""A live server: the pool's decisions, the protocol with clients that others wrote, and its end."""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from bench.admission import Admission
from bench.batching import FOREVER, Rule, constant
from bench.errors import BenchError
from bench.prepare import Settings, prepare
from bench.requests import Outcome
from bench.serve import protocol
from bench.serve.deployed import STUCK_S, served_of
from bench.serve.replica import Process
from bench.simulate import Routing
from tests.busy import until
from tests.conftest import FAKE_SCENARIO
from tests.serving import (
    Live,
    Played,
    Scripted,
    body,
    comes,
    command,
    ends,
    playing,
    replicas_of,
    scenario,
    serving,
    started,
)  # fmt: skip

pytest.importorskip("aiohttp", reason="the extra serve is not installed")
from bench.serve.app import Limits

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no such server there")

PAGE = (Path(__file__).parents[1] / "docs" / "serving.md").read_text()
MOST = 8
"""Inputs of a request."""

# The pool --------------------------------------------------------------------------------------


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
        await comes(lambda: played.replicas[0].batches)
        assert request.start - request.reach >= 20_000_000

    playing(test)


def test_a_batch_that_was_formed_at_the_door_takes_nobody_in() -> None:
    async def test() -> None:
        played = Played(Rule(2, (20_000_000,), at_door=True))
        (full, _, alone) = played.ask(b"a", b"b", b"c")
        await comes(lambda: time.perf_counter_ns() - alone.reach > 30_000_000)
        played.ask(b"d")
        played.done(0)
        assert await full.left is Outcome.DONE
        assert played.replicas[0].batches == [[b"a", b"b"], [b"c"]]
        played.pool.lost(0)  # what it had in hand is as old as anybody: batches are formed anew
        played.pool.replace(0, again := Scripted())
        assert again.batches == [[b"c", b"d"]]

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


def test_who_may_be_the_end_of_replicas_is_not_tried_for_ever() -> None:
    async def test() -> None:
        played = Played(constant(1, 0), 4)
        (request,) = played.ask(b"deadly")
        for number in range(3):
            assert played.replicas[number].batches == [[b"deadly"]]
            played.pool.lost(number)
        assert await request.left is Outcome.LOST
        assert request.answer.error
        assert played.replicas[3].batches == []

    playing(test)


def test_who_is_tried_again_leaves_when_it_has_waited_too_long() -> None:
    async def test() -> None:
        played = Played(constant(1, 0), admission=Admission(timeout=1_000_000))
        (request,) = played.ask(b"a")
        await asyncio.sleep(0.002)
        played.pool.lost(0)
        assert await request.left is Outcome.TIMED_OUT

    playing(test)


def test_nothing_is_kept_of_what_has_ended() -> None:
    async def test() -> None:
        played = Played(constant(1, 0), admission=Admission(timeout=3_600_000_000_000))
        gone = weakref.ref(played.ask(b"a")[0])
        played.done()
        await asyncio.sleep(0)
        gc.collect()
        assert gone() is None

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
        (None, body(shape=[MOST + 1], data=["1"] * (MOST + 1))),
    ],
)  # fmt: skip
def test_what_is_no_request_is_refused(header: str | None, content: bytes) -> None:
    with pytest.raises(protocol.BadRequest):
        protocol.inference(header, content, MOST)


def test_an_element_that_reaches_beyond_the_body_is_refused() -> None:
    head = body(data=None, parameters={"binary_data_size": 6})
    with pytest.raises(protocol.BadRequest, match="beyond"):
        protocol.inference(str(len(head)), head + (9).to_bytes(4, "little") + b"ab", MOST)


def test_no_more_elements_are_read_than_there_may_be() -> None:
    """A body of empty ones has a quarter as many as bytes."""
    count = 1_000_000
    head = body(data=None, shape=[count], parameters={"binary_data_size": 4 * count})
    with pytest.raises(protocol.BadRequest, match=f"1 to {MOST}"):
        protocol.inference(str(len(head)), head + bytes(4 * count), MOST)


def test_json_of_very_many_parts_is_not_read() -> None:
    with pytest.raises(protocol.BadRequest, match="too long"):
        protocol.inference(None, b'{"inputs": [' + b"{}," * 1_000_000 + b"{}]}", MOST)


def test_bytes_that_are_no_text_come_in_base64() -> None:
    coded = base64.b64encode(b"\xff\x00").decode()
    asked = protocol.inference(
        None, body(data=[coded], parameters={"content_type": "base64"}), MOST
    )
    assert asked.payloads == [b"\xff\x00"]


# The server ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    path = scenario(tmp_path_factory.mktemp("serve"))
    with serving(path, "--replicas", "1") as found:
        yield found


@pytest.mark.slow
def test_a_standard_client_is_answered(live: Live) -> None:
    client = pytest.importorskip("tritonclient.http", reason="the extra peers is not installed")
    with closing(client.InferenceServerClient(live.address.removeprefix("http://"))) as asked:
        assert asked.is_server_live()
        assert asked.is_server_ready()
        assert asked.is_model_ready("synthetic")
        assert asked.is_model_ready("synthetic", "1")
        assert asked.get_model_metadata("synthetic")["inputs"][0]["name"] == "input"
        for binary, packed in product((True, False), (None, "gzip", "deflate")):
            given = client.InferInput("input", [3], "BYTES")
            values = np.array([b"3", b"1", b"2"], dtype=object)
            given.set_data_from_numpy(values, binary_data=binary)
            wanted = client.InferRequestedOutput("output", binary_data=binary)
            answer = asked.infer(
                "synthetic", [given], outputs=[wanted], request_id="mine",
                request_compression_algorithm=packed,
            )  # fmt: skip
            assert [json.loads(one)["value"] for one in answer.as_numpy("output")] == [3, 1, 2]
            assert answer.get_response()["id"] == "mine"
        with pytest.raises(client.InferenceServerException, match="no such model"):
            asked.get_model_metadata("other")
        with pytest.raises(client.InferenceServerException, match="no such model"):
            asked.get_model_metadata("synthetic", "2")


@pytest.mark.slow
def test_our_own_client_is_answered(live: Live) -> None:
    from bench.measure.backends import open_inference

    options = open_inference.Options(url=live.address, model="synthetic")
    session = open_inference.load(Path(), options, 1, time.perf_counter_ns)
    (output,) = session.run({"input": np.array(["7"], dtype=object)})
    assert json.loads(output[0]) == {"value": 7}
    session.close()


@pytest.mark.slow
@pytest.mark.parametrize("language", ["sh", "python"])
def test_the_examples_of_the_page_are_answered(live: Live, tmp_path: Path, language: str) -> None:
    (tmp_path / "label.png").write_text("5")
    examples = [
        text.replace("127.0.0.1:8000", live.address[7:]).replace("text-recognition", "synthetic")
        for text in re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
        if "127.0.0.1:8000" in text
    ]
    assert examples
    for example in examples:
        for needed in ("curl", "tritonclient"):
            if needed in example and not (shutil.which(needed) or find_spec(needed)):
                pytest.skip(f"{needed} is not installed")
        program = ["bash", "-c"] if language == "sh" else [sys.executable, "-c"]
        done = subprocess.run(
            [*program, example], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert '"value": 5' in done.stdout.replace("\\", "")


def test_the_page_says_the_limits() -> None:
    limits = Limits()
    said = " ".join(PAGE.split())
    for text in (
        f"more than {limits.inputs:,} inputs", f"larger than {limits.body >> 20} MiB",
        f"within {limits.send_s:g} s of the headers", f"closed after {limits.idle_s:g} s",
        f"nothing of its answer for {STUCK_S} s",
    ):  # fmt: skip
        assert text in said


@pytest.mark.slow
def test_one_who_sends_nonsense_spoils_no_other_s_batch(live: Live) -> None:
    before = live.counted()
    with live.stopped(), ThreadPoolExecutor(16) as pool:
        asked = [pool.submit(live.post, body(data=[t])) for t in ["1", "no number"] * 8]
        live.inside(16)
        live.replicas[0].resume()
        assert [one.result()[0] for one in asked] == [200, 400] * 8
    after = live.counted()
    assert after["done"] - before["done"] == 8
    assert after["failed"] - before["failed"] == 8


@pytest.mark.slow
def test_overload_is_turned_away_and_who_is_inside_is_answered_at_the_end(tmp_path: Path) -> None:
    path = scenario(tmp_path, batch=1, more="admission: {queue_limit: 4, timeout: 1 h}")
    with serving(path, "--replicas", "1") as live, ThreadPoolExecutor(20) as pool:
        with live.stopped():
            asked = [pool.submit(live.ask, k) for k in range(20)]
            until(lambda: live.counted()["shed"] == 15, "those who find the queue full are shed")
            assert live.metric("requests_inside") == 5
            assert live.metric("requests_waiting") == 4
            live.process.send_signal(signal.SIGINT)
            until(lambda: live.get("/v2/health/ready")[0] == 503, "it has heard")
            assert live.ask(1) == (503, {"error": "the server is ending"})
        answers = [(k, *one.result()) for k, one in enumerate(asked)]
        assert sorted(status for _, status, _ in answers) == [200] * 5 + [503] * 15
        assert all(said == {"value": k} for k, status, said in answers if status == 200)
        assert ends(live.process, live.replicas) == 0


@pytest.mark.slow
def test_what_a_killed_replica_had_is_served_in_batches_by_others(tmp_path: Path) -> None:
    with serving(scenario(tmp_path, batch=4)) as live, ThreadPoolExecutor(12) as pool:
        with live.stopped():
            asked = [pool.submit(live.ask, k) for k in range(12)]
            live.inside(12)
            live.replicas[0].kill()
            until(lambda: live.metric("replica_restarts_total") == 1, "it is missed")
        assert [one.result() for one in asked] == [(200, {"value": k}) for k in range(12)]
        until(lambda: live.metric("replicas_ready") == 2, "another takes its place")
        assert sum(live.counted().values()) == 12
        # The first found a replica free; whoever was left over at the end may be alone, too.
        assert live.metric('batch_size_bucket{le="1.0"}') <= 2
        assert live.metric('batch_size_bucket{le="4.0"}') == 12
        live.process.send_signal(signal.SIGTERM)
        assert ends(live.process, live.replicas) == 0


@pytest.mark.slow
def test_told_twice_it_does_not_wait(tmp_path: Path) -> None:
    complaints = "bench: 1 requests were inside when it ended, and have no answer.\n"
    path = scenario(tmp_path, batch=1)
    server = serving(path, "--replicas", "1", says=complaints)
    with ThreadPoolExecutor(1) as pool, server as live, live.stopped():
        asked = pool.submit(live.ask, 3)
        live.inside(1)
        live.process.send_signal(signal.SIGINT)
        until(lambda: live.get("/v2/health/ready")[0] == 503, "it has heard")
        live.process.send_signal(signal.SIGINT)
        assert asked.result() == (500, {"error": "the server has ended"})
        assert ends(live.process, live.replicas) == 130


@pytest.mark.slow
def test_ctrl_c_while_it_loads_ends_it(tmp_path: Path) -> None:
    line = command(scenario(tmp_path, load="1 h"), "--replicas", "1")
    with started(line, stderr=subprocess.PIPE, start_new_session=True) as process:
        until(lambda: replicas_of(process), "a replica is started", process)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        assert ends(process) == 130
        assert process.stderr is not None
        assert process.stderr.read() == "bench: It was told to end before it could serve.\n"


@pytest.mark.slow
def test_who_reads_what_it_says_may_be_gone(tmp_path: Path) -> None:
    line = command(scenario(tmp_path, batch=1), "--replicas", "1")
    reading, writing = os.pipe()
    with started(line, stdout=writing) as process:
        os.close(writing)
        os.close(reading)
        until(lambda: replicas_of(process), "a replica is started", process)
        assert ends(process) == 141


@pytest.mark.slow
def test_it_needs_no_open_streams(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    shell = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"]
    line = command(scenario(tmp_path, batch=1), "--quiet", "--replicas", "1", "--port", str(port))
    with started([*shell, *line]) as process:
        live = Live(process, f"http://127.0.0.1:{port}", [])
        until(lambda: _answers(live), "it answers", process)
        assert live.ask(3) == (200, {"value": 3})
        process.send_signal(signal.SIGTERM)
        assert ends(process) == 0


def _answers(live: Live) -> bool:
    try:
        return live.get("/v2/health/ready")[0] == 200
    except OSError:
        return False


# A replica -------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("faults", "error", "is_missed"),
    [
        ("fail_from_call: 1", "a planted failure", False),
        ("crash_at_call: 1", "ended while it started", False),
        ("crash_at_call: 4", None, True),
    ],
)
def test_who_was_ready_is_missed_once(
    tmp_path: Path, faults: str, error: str | None, is_missed: bool
) -> None:
    """One that could not start has said so: were it missed as well, two would come in its place."""
    path = scenario(tmp_path, faults=f"{{{faults}}}")
    (served,) = served_of(prepare(path, Settings()), "cloud", None).stages
    missed: list[bool] = []

    async def test() -> None:
        process = Process(
            served.arm, served.task, 1, None, lambda answers: None, lambda: missed.append(True)
        )
        if error:
            with pytest.raises(BenchError, match=error):
                await process.ready()
        else:
            await process.ready()
            process.start([b"1"])
        await comes(lambda: not process.is_there)
        await process.end(0)
        assert missed == [True] * is_missed

    playing(test)


# What cannot be --------------------------------------------------------------------------------


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
