"""A real MLServer on loopback, and servers that misbehave."""

from __future__ import annotations

import json
import math
import os
import re
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from pydantic import ValidationError

from bench.errors import InputError
from bench.measure.backends import RequestFailed, _open_tensors, open_inference
from bench.measure.clock import WallClock
from bench.pipeline import measure_only
from bench.prepare import Settings
from tests import models
from tests.busy import HANG_S, until
from tests.inference_server import TLS, serving, tensor

pytestmark = pytest.mark.slow

X = np.random.default_rng(1).standard_normal((5, 4)).astype(np.float32)
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
            server.wait(HANG_S)


def wait_until_ready(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    def ready() -> bool:
        try:
            with urllib.request.urlopen(f"{url}/v2/models/small/ready", timeout=10):  # noqa: S310
                return True
        except (urllib.error.URLError, OSError):
            return False

    try:
        until(ready, "MLServer is ready", server)
    except AssertionError as error:
        pytest.fail(f"{error}: {log.read_text()[-1000:]}")


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
    answer: bytes, status: int = 200, silent: bool = False, hangs_up: bool = False
) -> Iterator[str]:
    """A server that describes its model well and answers every request with ``answer``."""

    given_up = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._send(json.dumps(METADATA).encode(), 200)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            if silent:
                given_up.wait()
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
        given_up.set()
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
        stub(outputs(), silent=True) as url,
        closing(load(url=url, model="m", timeout=1)) as session,
        pytest.raises(InputError, match="did not answer in time"),
    ):
        session.run({"x": X[:1]})
    port = free_ports(1)[0]
    with pytest.raises(InputError, match="cannot be reached"):
        load(url=f"http://127.0.0.1:{port}", model="m")


def test_binary_tensors_there_and_back() -> None:
    """The stub's answer in Triton's binary form; the request's form is checked on its bytes."""
    session = object.__new__(open_inference.RemoteSession)
    session._binary, session._datatypes = True, {}
    headers, body = session._request({"x": X[:1]})
    head = json.loads(body[: int(headers[open_inference.BINARY_HEADER])])
    assert head["inputs"][0]["parameters"] == {"binary_data_size": 16}
    assert body[int(headers[open_inference.BINARY_HEADER]) :] == X[:1].tobytes()
    entry: dict[str, Any] = {"name": "y", "datatype": "FP32", "shape": [1, 4]}
    entry["parameters"] = {"binary_data_size": 16}
    found = _open_tensors.outputs({"outputs": [entry]}, X[:1].tobytes())
    np.testing.assert_array_equal(found["y"], X[:1])


def test_a_server_that_is_starting_is_waited_for() -> None:
    with serving(starting=5) as server:
        options = open_inference.Options(url=server.url, model="m")
        open_inference.wait_until_ready(options)
        assert server.asked > 5
        load(url=server.url, model="m").close()


def test_a_server_without_a_ready_endpoint_is_asked_for_its_model() -> None:
    with serving(starting=2, no_ready=True) as server:
        open_inference.wait_until_ready(open_inference.Options(url=server.url, model="m"))
        assert server.asked > 2


def test_a_server_that_is_never_ready_is_given_up() -> None:
    with serving(starting=10_000) as server:
        options = open_inference.Options(url=server.url, model="m", ready_limit=0.3)
        with pytest.raises(InputError, match=r"not ready \(HTTP 503\) after 0.3 s"):
            open_inference.wait_until_ready(options)


def test_a_refused_connection_is_not_waited_for() -> None:
    options = open_inference.Options(url=f"http://127.0.0.1:{free_ports(1)[0]}", ready_limit=600)
    with pytest.raises(InputError, match="cannot be reached"):
        open_inference.wait_until_ready(options)


def test_a_secret_comes_from_the_environment_and_stays_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TOKEN", "s3cret\n")
    header = {"Authorization": "Bearer ${TOKEN}"}
    with serving(token="s3cret") as server:  # noqa: S106
        with closing(load(url=server.url, model="m", headers=header)) as session:
            (y,) = session.run({"x": X})
        np.testing.assert_allclose(y, 2 * X)
        monkeypatch.setenv("TOKEN", "wr0ng")  # the server repeats what it was sent
        with pytest.raises(RequestFailed, match="HTTP 401: nobody is Bearer") as refused:
            load(url=server.url, model="m", headers=header)
        assert not refused.value.passing
        assert "wr0ng" not in f"{refused.value} {vars(refused.value)}"
        with pytest.raises(InputError, match="Say who asks"):
            load(url=server.url, model="m")
    monkeypatch.delenv("TOKEN")
    with pytest.raises(InputError, match="'TOKEN' is not set"):
        load(headers=header)
    monkeypatch.setenv("TOKEN", "two\nlines")
    with pytest.raises(InputError, match="holds what no header can") as unusable:
        load(headers=header)
    assert "lines" not in str(unusable.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"headers": {"Authorization": "Bearer abc123"}}, "holds a secret"),
        ({"headers": {"X-API-Key": "abc123"}}, "holds a secret"),
        ({"headers": {"x-auth-token": "abc123"}}, "holds a secret"),
        ({"headers": {"Ocp-Apim-Subscription-Key": 123}}, "must be one line of text"),
        ({"headers": {"X-Tenant": "a\r\nabc123: b"}}, "must be one line of text"),
        ({"headers": {"a b": "c"}}, "cannot be the name of a header"),
        ({"url": "http://me:abc123@host"}, "without user or query"),
        ({"url": "https://host/?token=abc123"}, "without user or query"),
        ({"ca": "ca.pem"}, "ca goes with an https:// address"),
        ({"url": "https://h", "ca": "ca.pem", "verify": False}, "ca goes with an https:// address"),
        ({"inputs": [{"name": "x", "datatype": "FP8", "shape": [1]}]}, "BF16"),
    ],
)
def test_options_that_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(said)) as refused:
        open_inference.Options.model_validate(options)
    assert all("abc123" not in fault["msg"] for fault in refused.value.errors())


def test_a_header_that_is_no_secret_may_be_written() -> None:
    assert open_inference.Options(headers={"Host": "model.default.example.com"}).headers


def test_the_certificate_of_a_server_is_held_against_its_authority(tmp_path: Path) -> None:
    with serving(tls=True) as server:
        with pytest.raises(RequestFailed, match=r"certificate is not trusted.*ca: FILE") as refused:
            load(url=server.url, model="m")
        assert not refused.value.passing
        for trusting in ({"ca": TLS / "authority.pem"}, {"verify": False}):
            with closing(load(url=server.url, model="m", **trusting)) as session:
                (y,) = session.run({"x": X})
            np.testing.assert_allclose(y, 2 * X)
        for name in ("absent.pem", "empty.pem"):
            (tmp_path / "empty.pem").write_text("")
            with pytest.raises(InputError, match="certificates cannot be read"):
                load(url=server.url, model="m", ca=tmp_path / name)


def bf16(values: list[float]) -> list[float]:
    """The nearest numbers with 8 significant bits, ties to even: the definition, slowly."""
    rounded = []
    for value in values:
        step = 2.0 ** (math.floor(math.log2(abs(value))) - 7)
        rounded.append(round(value / step) * step)  # Python rounds ties to even
    return rounded


@pytest.mark.parametrize("binary", [False, True])
def test_bf16_is_rounded_to_the_nearest(binary: bool) -> None:
    ties = [1 + 1 / 256, 1 + 3 / 256, -1 - 1 / 256, 3.14159, 1e-20, 65504.0, 0.1, 257.0]
    values = np.array([ties[:4], ties[4:]], np.float32)
    with (
        serving(inputs=[tensor("x", "BF16")], outputs=[tensor("y", "BF16")]) as server,
        closing(load(url=server.url, model="m", binary=binary)) as session,
    ):
        assert session.inputs[0].dtype == "float32"
        (y,) = session.run({"x": values})
    assert y.dtype == np.float32
    np.testing.assert_allclose(y.ravel(), 2 * np.array(bf16(values.ravel().tolist())), rtol=1e-7)


def test_bf16_keeps_what_is_no_number_and_no_finite_one() -> None:
    odd = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0], np.float32)
    back = _open_tensors._from_bf16(_open_tensors._to_bf16(odd))
    np.testing.assert_array_equal(back, odd)
    assert np.signbit(back).tolist() == np.signbit(odd).tolist()


@pytest.mark.parametrize("binary", [False, True])
def test_texts_there_and_back(binary: bool) -> None:
    texts = np.array([["a", "", "ä€", "long " * 100]], dtype=object)
    named = {"inputs": [tensor("x", "BYTES")], "outputs": [tensor("y", "BYTES")]}
    with (
        serving(**named) as server,
        closing(load(url=server.url, model="m", binary=binary)) as session,
    ):
        (y,) = session.run({"x": texts})
        assert session.inputs[0].dtype == y.dtype.name == "object"
        assert y.tolist() == [[text * 2 for text in texts[0]]]
        (y,) = session.run({"x": texts.astype(str)})
        assert y.tolist() == [[text * 2 for text in texts[0]]]


@pytest.mark.parametrize("kind", ["input", "output"])
def test_a_datatype_that_is_not_known_is_named(kind: str) -> None:
    with (
        serving(**{f"{kind}s": [tensor("z", "FP8")]}) as server,
        pytest.raises(InputError, match=f"the {kind} 'z' .* datatype FP8, .*BF16"),
    ):
        load(url=server.url, model="m")


@pytest.mark.parametrize("inputs", [None, []])
def test_a_description_without_inputs_can_be_made_up_for(inputs: list[Any] | None) -> None:
    with serving(inputs=inputs, outputs=inputs) as server:
        with pytest.raises(InputError, match=r"names no inputs.*inputs: \[\{name: x"):
            load(url=server.url, model="m")
        with closing(load(url=server.url, model="m", inputs=[tensor("x")])) as session:
            assert session.inputs[0].shape == (None, 4)
            (y,) = session.run({"x": X})
        np.testing.assert_allclose(y, 2 * X)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"error": "out of memory"}, "it answered: out of memory"),
        ({"outputs": []}, "no output 'y'"),
        ({"outputs": None}, "cannot be read"),
    ],
)
def test_an_error_behind_http_200(document: dict[str, Any], said: str) -> None:
    with (
        serving(document=document) as server,
        closing(load(url=server.url, model="m")) as session,
        pytest.raises(RequestFailed, match=said),
    ):
        session.run({"x": X})


def test_a_description_whose_shapes_are_texts() -> None:
    with (
        serving(inputs=[{**tensor("x"), "shape": ["-1", "4"]}]) as server,
        closing(load(url=server.url, model="m")) as session,
    ):
        assert session.inputs[0].shape == (None, 4)


def measured(tmp_path: Path, url: str, **backend: Any) -> Any:
    """A server measured without any model file."""
    suite = tmp_path / "suite.yaml"
    arm = {"backend": {"name": "open-inference", "url": url, "model": "m", **backend}}
    document = {
        "schema_version": 1,
        "name": "served",
        "task": {"name": "tensors"},
        "measure": {"max_batch": 2, "loads": []},
        "arms": [{**arm, "device": "this-host"}],
    }
    suite.write_text(yaml.safe_dump(document))
    return measure_only(suite, tmp_path / "out", Settings(engine="inline"))


@pytest.mark.parametrize("status", [500, 429])
def test_failures_in_passing_are_a_verdict_and_cost_no_arm(tmp_path: Path, status: int) -> None:
    with serving(fail_every=20, status=status, starting=3) as server:
        _, measurement = measured(tmp_path, server.url)
    (arm,) = measurement.arms
    said = {v.rule: v for v in arm.verdicts}
    assert arm.status == said["errors"].status == "invalid"
    failed, asked = map(int, re.findall(r"\d+", said["errors"].reason)[:2])
    # Every twentieth batch, of one or of two requests, however many there were.
    assert max(asked // 40, 1) <= failed <= 2 * math.ceil(asked / 20)
    assert f"{failed} × HTTP {status}" in said["errors"].reason
    assert "no such luck" in said["errors"].reason
    assert [v for v in arm.verdicts if v.status == "invalid"] == [said["errors"]]
    assert said["output"].status == "not checked"
    assert "names no model file" in said["output"].reason


def test_a_server_that_always_fails_is_an_error_with_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.measure.patience.LONGEST_PAUSE_S", 0.01)
    with (
        serving(fail_every=1, words="no space left") as server,
        pytest.raises(InputError, match="HTTP 500: no space left"),
    ):
        measured(tmp_path, server.url)


def test_no_secret_is_left_in_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "s3cret")
    header = {"Authorization": "Bearer ${TOKEN}"}
    with serving(token="s3cret", fail_every=20, words="s3cret") as server:  # noqa: S106
        run, measurement = measured(tmp_path, server.url, headers=header)
    assert "${TOKEN}" in measurement.arms[0].arm
    for path in run.path.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        assert b"s3cret" not in content, path
    errors = run.table("requests.parquet")["error"].dropna()
    assert len(errors)
    assert not errors.str.contains("s3cret").any()


@pytest.mark.parametrize("address", ["http://me:abc123@host", "https://host/?api_key=abc123"])
def test_a_secret_in_an_address_is_refused_before_anything_is_written(
    tmp_path: Path, address: str
) -> None:
    with pytest.raises(InputError, match=r"suite.yaml:\d+:\d+: the address holds") as refused:
        measured(tmp_path, address)
    assert "abc123" not in str(refused.value)
    assert not (tmp_path / "out").exists()
