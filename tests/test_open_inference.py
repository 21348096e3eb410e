"""A real MLServer on loopback, and servers that misbehave."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.errors import InputError
from bench.measure.backends import open_inference
from bench.measure.clock import WallClock
from bench.pipeline import measure_only
from bench.prepare import Settings
from tests import models

X = np.random.default_rng(1).standard_normal((5, 4)).astype(np.float32)
START_LIMIT_S = 90
START = "from mlserver.cli import main; main()"


def load(**options: Any) -> open_inference.RemoteSession:
    return open_inference.load(Path(), open_inference.Options(**options), 1, WallClock())


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@pytest.fixture(scope="module")
def mlserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    for package in ("mlserver", "onnx", "onnxruntime"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    folder = tmp_path_factory.mktemp("mlserver")
    model = models.onnx_model(folder / "small.onnx")
    http, grpc, metrics = free_ports(3)
    (folder / "settings.json").write_text(
        json.dumps(
            {
                "host": "127.0.0.1",
                "http_port": http,
                "grpc_port": grpc,
                "metrics_port": metrics,
                "parallel_workers": 0,
                "debug": False,
            }
        )
    )
    tensor = {"datatype": "FP32"}
    (folder / "model-settings.json").write_text(
        json.dumps(
            {
                "name": "small",
                "implementation": "served_model.OnnxModel",
                "parameters": {"uri": str(model)},
                "inputs": [{"name": "x", "shape": [-1, 4], **tensor}],
                "outputs": [{"name": "y", "shape": [-1, 3], **tensor}],
            }
        )
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-c", START, "start", str(folder)],
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_until_ready(f"http://127.0.0.1:{http}", server, folder / "log")
            yield f"http://127.0.0.1:{http}"
        finally:
            server.terminate()
            server.wait(30)


def wait_until_ready(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_LIMIT_S
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/v2/models/small/ready", timeout=1):  # noqa: S310
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    pytest.fail(f"MLServer did not start: {log.read_text()[-1000:]}")


def test_a_real_server_answers_as_the_model_does(mlserver: str) -> None:
    with closing(load(url=mlserver, model="small")) as session:
        assert session.inputs[0].name == "x"
        assert session.inputs[0].shape == (None, 4)
        for rows in (X, X[:1]):
            (y,) = session.run({"x": rows})
            np.testing.assert_allclose(y, models.expected(rows), rtol=1e-5)
        assert session.placement().proof is None


def test_a_real_server_is_measured_under_load(mlserver: str, tmp_path: Path) -> None:
    model = models.onnx_model(tmp_path / "small.onnx")
    suite = tmp_path / "remote.yaml"
    suite.write_text(
        f"""\
schema_version: 1
name: remote
task: {{name: tensors, file: {model}, samples: 8}}
measure:
  max_batch: 2
  loads:
    - {{name: server, arrivals: {{name: poisson, rate: 40/s}}, concurrency: 8, duration: 2 s}}
arms:
  - {{backend: {{name: open-inference, url: "{mlserver}", model: small}}, device: this-host}}
"""
    )
    _, measurement = measure_only(suite, tmp_path / "out", Settings())
    arm = measurement.arms[0]
    rules = {v.rule: v.status for v in arm.verdicts}
    assert rules["output"] == "valid"
    assert rules["placement"] == "not checked"
    server = arm.load_result("server")
    assert server is not None
    assert server.errors == 0
    assert server.queries > 40
    assert server.response["p50"].value is not None


def test_an_unknown_model_is_said_with_the_servers_words(mlserver: str) -> None:
    with pytest.raises(InputError, match="HTTP 404"):
        load(url=mlserver, model="nobody")


METADATA = {
    "name": "m",
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
    "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 3]}],
}


@contextmanager
def stub(
    answer: bytes, status: int = 200, delay_s: float = 0.0, hangs_up: bool = False
) -> Iterator[str]:
    """A server that describes its model well and answers every request with ``answer``."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._send(json.dumps(METADATA).encode(), 200)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            time.sleep(delay_s)
            self._send(answer, status)

        def _send(self, content: bytes, status: int) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            self.close_connection = hangs_up  # without having said so

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # the client hangs up
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_connection_that_the_server_closed_is_opened_again() -> None:
    with stub(outputs(), hangs_up=True) as url, closing(load(url=url, model="m")) as session:
        for _ in range(3):
            (y,) = session.run({"x": X[:1]})
            assert y.shape == (1, 3)


def test_an_address_that_is_none() -> None:
    with pytest.raises(InputError, match="http://host:port"):
        load(url="http://127.0.0.1:many", model="m")


def outputs(**changes: Any) -> bytes:
    entry = {"name": "y", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3], **changes}
    return json.dumps({"model_name": "m", "outputs": [entry]}).encode()


def test_a_good_answer_of_the_stub_is_read() -> None:
    with stub(outputs()) as url, closing(load(url=url, model="m")) as session:
        (y,) = session.run({"x": X[:1]})
    assert y.tolist() == [[1, 2, 3]]


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        (b"no such luck", 500, "HTTP 500: no such luck"),
        (b"{", 200, "cannot be read"),
        (b"[]", 200, "cannot be read"),
        (outputs(shape=[2, 3]), 200, "cannot be read"),
        (outputs(datatype="FP99"), 200, "cannot be read"),
        (outputs(name="z"), 200, "no output 'y'"),
    ],
)
def test_bad_answers(answer: bytes, status: int, said: str) -> None:
    with (
        stub(answer, status) as url,
        closing(load(url=url, model="m")) as session,
        pytest.raises(InputError, match=said),
    ):
        session.run({"x": X[:1]})


def test_a_slow_server_times_out_and_a_silent_one_is_named() -> None:
    with (
        stub(outputs(), delay_s=1.0) as url,
        closing(load(url=url, model="m", timeout=0.1)) as session,
        pytest.raises(InputError, match="did not answer in time"),
    ):
        session.run({"x": X[:1]})
    port = free_ports(1)[0]
    with pytest.raises(InputError, match="cannot be reached"):
        load(url=f"http://127.0.0.1:{port}", model="m")


def test_binary_tensors_there_and_back() -> None:
    """The stub's answer in Triton's binary form; the request's form is checked on its bytes."""
    session = object.__new__(open_inference.RemoteSession)
    session._options = open_inference.Options(binary=True)
    headers, body = session._request({"x": X[:1]})
    head = json.loads(body[: int(headers[open_inference.BINARY_HEADER])])
    assert head["inputs"][0]["parameters"] == {"binary_data_size": 16}
    assert body[int(headers[open_inference.BINARY_HEADER]) :] == X[:1].tobytes()
    entry: dict[str, Any] = {"name": "y", "datatype": "FP32", "shape": [1, 4]}
    entry["parameters"] = {"binary_data_size": 16}
    found = open_inference._outputs({"outputs": [entry]}, X[:1].tobytes())
    np.testing.assert_array_equal(found["y"], X[:1])
