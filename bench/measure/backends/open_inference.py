"""A server that speaks the Open Inference Protocol v2 over HTTP: Triton, MLServer, KServe, …

The boundary stays host buffer to host buffer, so that the network and the protocol are inside:
that is what a client of the server waits for.
"""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import numpy as np
import numpy.typing as npt
from pydantic import Field

from bench.errors import InputError
from bench.measure.backends import BackendOptions, Feeds, Placement, RunsOn, TensorSpec
from bench.measure.clock import Clock
from bench.units import PositiveSeconds

FORMATS: tuple[str, ...] = ()
RUNS_ON: RunsOn = "remote"
THREAD_SAFE = True

DTYPES = {
    "BOOL": "bool", "UINT8": "uint8", "UINT16": "uint16", "UINT32": "uint32", "UINT64": "uint64",
    "INT8": "int8", "INT16": "int16", "INT32": "int32", "INT64": "int64",
    "FP16": "float16", "FP32": "float32", "FP64": "float64",
}  # fmt: skip
BY_NUMPY = {numpy: name for name, numpy in DTYPES.items()}
BINARY_HEADER = "Inference-Header-Content-Length"
HUNG_UP = (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError)


class Options(BackendOptions):
    """Where the server is, and which of its models to ask."""

    url: str = Field(default="http://127.0.0.1:8000", pattern=r"^http://")
    model: str = Field(default="model", min_length=1)
    version: str | None = None
    timeout: PositiveSeconds = 30.0
    binary: bool = False
    """Tensors as bytes behind the JSON (Triton's extension), where the server has it."""


def missing() -> str | None:
    return None


def load(model: Path, options: Options, threads: int, clock: Clock) -> RemoteSession:
    return RemoteSession(options)


class RemoteSession:
    """One keep-alive connection per thread.

    Raises:
        InputError: nothing answers, the server has no such model, or it refuses a request.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        parts = urlsplit(options.url)
        try:
            self._host, self._port = parts.hostname or "", parts.port or 80
        except ValueError as error:
            raise InputError(
                f"the address cannot be used ({error})",
                where=options.url,
                allowed="http://host:port",
            ) from error
        version = f"/versions/{quote(options.version)}" if options.version else ""
        self._path = f"{parts.path.rstrip('/')}/v2/models/{quote(options.model)}{version}"
        self._local = threading.local()
        described = self._json("GET", self._path, None)
        try:
            self.inputs = [_spec(entry) for entry in described["inputs"]]
            self.outputs = [_spec(entry) for entry in described["outputs"]]
        except (KeyError, TypeError) as error:
            raise self._fault("its description of the model names no inputs and outputs") from error

    def run(self, feeds: Feeds) -> Sequence[npt.NDArray[Any]]:
        headers, body = self._request(feeds)
        answer, said = self._ask("POST", f"{self._path}/infer", body, headers)
        length = answer.getheader(BINARY_HEADER)
        try:
            document = json.loads(said[: int(length)] if length else said)
            found = _outputs(document, said[int(length) :] if length else b"")
        except (ValueError, KeyError, TypeError) as error:
            raise self._fault(
                f"its answer cannot be read ({type(error).__name__}: {error})"
            ) from error
        if absent := [spec.name for spec in self.outputs if spec.name not in found]:
            raise self._fault(f"its answer has no output {absent[0]!r}")
        return [found[spec.name] for spec in self.outputs]

    def placement(self) -> Placement:
        return Placement(wanted="server", nodes={"server": 1}, proof=None)

    def metadata(self) -> dict[str, str]:
        return {}

    def close(self) -> None:
        """Close this thread's connection."""
        if connection := getattr(self._local, "connection", None):
            connection.close()
            del self._local.connection

    def _request(self, feeds: Feeds) -> tuple[dict[str, str], bytes]:
        entries, tail = [], b""
        for name, array in feeds.items():
            if array.dtype.name not in BY_NUMPY:
                raise InputError(
                    f"the protocol has no type for {array.dtype} (input {name!r})",
                    where=self._options.url, allowed=", ".join(BY_NUMPY),
                )  # fmt: skip
            entry: dict[str, Any] = {
                "name": name,
                "shape": list(array.shape),
                "datatype": BY_NUMPY[array.dtype.name],
            }
            if self._options.binary:
                content = np.ascontiguousarray(array).tobytes()
                entry["parameters"] = {"binary_data_size": len(content)}
                tail += content
            else:
                entry["data"] = array.ravel().tolist()
            entries.append(entry)
        document: dict[str, Any] = {"inputs": entries}
        if self._options.binary:
            document["parameters"] = {"binary_data_output": True}
        head = json.dumps(document).encode()
        if not self._options.binary:
            return {"Content-Type": "application/json"}, head
        return {
            "Content-Type": "application/octet-stream",
            BINARY_HEADER: str(len(head)),
        }, head + tail

    def _json(self, method: str, path: str, body: bytes | None) -> Any:
        _, said = self._ask(method, path, body, {})
        try:
            return json.loads(said)
        except ValueError as error:
            raise self._fault(f"it answered {path} with something that is no JSON") from error

    def _ask(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[http.client.HTTPResponse, bytes]:
        try:
            try:
                answer, said = self._exchange(method, path, body, headers)
            except HUNG_UP:
                # Servers close idle connections, and the next request finds out (RFC 9112, 9.3.1).
                self.close()
                answer, said = self._exchange(method, path, body, headers)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            kind = (
                "did not answer in time" if isinstance(error, TimeoutError) else "cannot be reached"
            )
            raise self._fault(f"it {kind} ({error})") from error
        if answer.status != 200:
            self.close()
            text = said.decode(errors="replace")[:200]
            raise self._fault(f"it answered {path} with HTTP {answer.status}: {text}")
        return answer, said

    def _exchange(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[http.client.HTTPResponse, bytes]:
        connection = self._connection()
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer, answer.read()

    def _connection(self) -> http.client.HTTPConnection:
        """This thread's connection; small writes are not held back (Nagle's algorithm off)."""
        found: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if found is None:
            timeout = self._options.timeout
            found = http.client.HTTPConnection(self._host, self._port, timeout=timeout)
            found.connect()
            found.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._local.connection = found
        return found

    def _fault(self, what: str) -> InputError:
        return InputError(
            f"the inference server of the model {self._options.model!r}: {what}",
            where=self._options.url,
            todo="Check that the server runs, and its list of models",
        )


def _outputs(document: Any, tail: bytes) -> dict[str, npt.NDArray[Any]]:
    found, place = {}, 0
    for entry in document["outputs"]:
        dtype = np.dtype(DTYPES[entry["datatype"]])
        size = entry.get("parameters", {}).get("binary_data_size")
        if size is None:
            flat = np.array(entry["data"], dtype=dtype).ravel()
        else:
            flat = np.frombuffer(tail[place : place + size], dtype=dtype)
            place += size
        found[entry["name"]] = flat.reshape(entry["shape"])
    return found


def _spec(entry: Any) -> TensorSpec:
    shape = tuple(size if size >= 0 else None for size in entry["shape"])
    return TensorSpec(entry["name"], DTYPES.get(entry["datatype"], "unknown"), shape)
