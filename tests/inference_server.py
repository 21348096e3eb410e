"""An Open Inference Protocol server on loopback that behaves and misbehaves as it is told.

It doubles its input. Run as a program it serves until it is ended, for trials by hand::

    python -m tests.inference_server '{"fail_every": 20, "status": 500}'
"""

from __future__ import annotations

import json
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

from bench.measure.backends import _open_tensors as tensors

TLS = Path(__file__).parent / "data" / "tls"


def tensor(name: str, datatype: str = "FP32") -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": [-1, 4]}


@dataclass
class Behaviour:
    """What the server does; the numbers count requests."""

    inputs: list[dict[str, Any]] | None = field(default_factory=lambda: [tensor("x")])
    outputs: list[dict[str, Any]] | None = field(default_factory=lambda: [tensor("y")])
    starting: int = 0
    """So many requests of any kind are answered 503 first."""
    no_ready: bool = False
    """It does not know /ready."""
    fail_every: int = 0
    """Every so-many-th inference fails with ``status`` and ``words``."""
    status: int = 500
    words: str = "no such luck"
    document: dict[str, Any] | None = None
    """Answered to every inference, in place of the doubled input."""
    token: str = ""
    """A request without it is 401, and is told what it sent."""
    tls: bool = False


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, behaviour: Behaviour) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.behaviour = behaviour
        self.lock = threading.Lock()
        self.asked = self.inferred = 0
        if behaviour.tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(TLS / "server.pem")
            self.socket = context.wrap_socket(
                self.socket, server_side=True, do_handshake_on_connect=False
            )

    @property
    def url(self) -> str:
        return f"http{'s' * self.behaviour.tls}://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """The client hangs up; that is what some tests are about."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def do_GET(self) -> None:
        self._answer(None)

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, body: bytes | None) -> None:
        behaviour = self.server.behaviour
        with self.server.lock:
            self.server.asked += 1
            self.server.inferred += body is not None
            asked, inferred = self.server.asked, self.server.inferred
        sent = self.headers.get("Authorization", "")
        if behaviour.token and behaviour.token not in sent:
            self._send(f"nobody is {sent}".encode(), 401)
        elif asked <= behaviour.starting:
            self._send(b"loading", 503)
        elif body is None and self.path.endswith("/ready"):
            self._send(b"", 404 if behaviour.no_ready else 200)
        elif body is None:
            named = {"inputs": behaviour.inputs, "outputs": behaviour.outputs}
            said = {key: value for key, value in named.items() if value is not None}
            self._send(json.dumps({"name": "m", **said}).encode(), 200)
        elif behaviour.fail_every and inferred % behaviour.fail_every == 0:
            self._send(behaviour.words.encode(), behaviour.status)
        else:
            self._infer(body)

    def _infer(self, body: bytes) -> None:
        if self.server.behaviour.document is not None:
            self._send(json.dumps(self.server.behaviour.document).encode(), 200)
            return
        length = self.headers.get("Inference-Header-Content-Length")
        head, tail = (body[: int(length)], body[int(length) :]) if length else (body, b"")
        (entry,) = json.loads(head)["inputs"]
        (array,) = tensors.outputs({"outputs": [entry]}, tail).values()
        doubled, datatype = array + array, entry["datatype"]
        answer = {"name": "y", "datatype": datatype, "shape": list(doubled.shape)}
        if length:
            content = tensors.to_bytes(doubled, datatype)
            answer["parameters"] = {"binary_data_size": len(content)}
            head = json.dumps({"outputs": [answer]}).encode()
            self._send(head + content, 200, {"Inference-Header-Content-Length": str(len(head))})
        else:
            answer["data"] = np.asarray(doubled).ravel().tolist()
            self._send(json.dumps({"outputs": [answer]}).encode(), 200)

    def _send(self, content: bytes, status: int, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serving(**behaviour: Any) -> Iterator[Server]:
    server = Server(Behaviour(**behaviour))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


if __name__ == "__main__":
    with serving(**json.loads(sys.argv[1])) as running:
        print(running.url, flush=True)
        time.sleep(600)
