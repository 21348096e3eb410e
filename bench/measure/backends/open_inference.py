"""A server that speaks the Open Inference Protocol v2 over HTTP: Triton, MLServer, KServe, …

The boundary stays host buffer to host buffer, so that the network and the protocol are inside:
that is what a client of the server waits for.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, urlsplit

import numpy.typing as npt
from pydantic import Field, field_validator, model_validator

from bench.errors import InputError
from bench.measure.backends import (
    BackendOptions,
    Feeds,
    Placement,
    RequestFailed,
    RunsOn,
    TensorSpec,
)
from bench.measure.backends import _open_tensors as tensors
from bench.measure.clock import Clock
from bench.record import Record
from bench.secrets import HIDDEN, names_a_secret
from bench.units import PositiveSeconds

FORMATS: tuple[str, ...] = ()
RUNS_ON: RunsOn = "remote"
THREAD_SAFE = True

BINARY_HEADER = "Inference-Header-Content-Length"
HUNG_UP = (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError)
STARTING = frozenset({425, 429, 502, 503, 504})
"""What a server, or the proxy before it, answers while it starts (RFC 9110, 6585, 8470)."""
PASSING = STARTING | {408, 500}
LONGEST_PAUSE_S = 1.0
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class Tensor(Record):
    """An input or output, in the protocol's own words; a size of -1 varies."""

    name: str = Field(min_length=1)
    datatype: Literal[tensors.NAMES]  # type: ignore[valid-type]
    shape: list[int] = Field(min_length=1)


class Options(BackendOptions):
    """Where the server is, which of its models to ask, and how it is told who asks."""

    url: str = Field(default="http://127.0.0.1:8000", pattern=r"^https?://")
    model: str = Field(default="model", min_length=1)
    version: str | None = None
    headers: dict[str, str] = Field(default={})
    """Sent with every request. ``${NAME}`` in a value is the environment variable's, which appears
    in no record or message; a header that holds a secret must take it from there."""
    ca: Path | None = None
    """Certificates (PEM) of the authority that the server's own is held against, in place of the
    system's."""
    verify: bool = True
    """Whether the server's certificate is looked at."""
    timeout: PositiveSeconds = 30.0
    ready_limit: PositiveSeconds = 60.0
    """A server that is starting is waited for so long."""
    binary: bool = False
    """Tensors as bytes behind the JSON (Triton's extension), where the server has it."""
    inputs: list[Tensor] = Field(default=[])
    """What the model takes, where the server's description of it does not say."""

    @field_validator("url")
    @classmethod
    def _bare(cls, url: str) -> str:
        if "@" in url or "?" in url or "#" in url:
            raise ValueError("an address is http(s)://host:port/path here, without user or query")
        return url

    @field_validator("headers", mode="before")
    @classmethod
    def _no_secret_written(cls, headers: Any) -> Any:
        for name, value in headers.items() if isinstance(headers, dict) else ():
            if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", str(name)):
                raise ValueError(f"{str(name)!r} cannot be the name of a header")
            # The value is not repeated: it may be the secret.
            if not isinstance(value, str) or not value.isprintable():
                raise ValueError(f"the value of the header {name!r} must be one line of text")
            if names_a_secret(str(name)) and not _VARIABLE.search(value):
                raise ValueError(
                    f"the header {name!r} holds a secret; write the name of the environment "
                    f'variable that has it, as in {name}: "${{NAME}}" or "Bearer ${{NAME}}"'
                )
        return headers

    @model_validator(mode="after")
    def _certificates_are_used(self) -> Options:
        if self.ca is not None and not (self.verify and self.url.startswith("https:")):
            raise ValueError("ca goes with an https:// address and verify: true")
        return self


def missing() -> str | None:
    return None


def wait_until_ready(options: Options) -> None:
    """Ask again and again until the server no longer says that it is starting.

    Raises:
        InputError: nothing answers, or it is still starting after ``ready_limit``.
    """
    end, pause_s = time.monotonic() + options.ready_limit, 0.1
    with closing(_Line(options)) as line:
        while True:
            states = [line.exchange("GET", place, None, {})[0].status for place in line.signs]
            if not (starting := STARTING.intersection(states)):
                return
            if time.monotonic() + pause_s > end:
                raise line.fault(
                    f"HTTP {max(starting)}",
                    f"it is not ready (HTTP {max(starting)}) after {options.ready_limit:g} s",
                    todo="Look at what it waits for, or give it longer: ready_limit",
                )
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def load(model: Path, options: Options, threads: int, clock: Clock) -> RemoteSession:
    return RemoteSession(options)


class RemoteSession:
    """A model on a server.

    Raises:
        InputError: nothing answers, the server has no such model, or it refuses a request
            (:class:`~bench.measure.backends.RequestFailed`).
    """

    def __init__(self, options: Options) -> None:
        self._options, self._binary = options, options.binary
        self._line = _Line(options)
        try:
            self._learn(options)
        except InputError:
            self.close()
            raise

    def run(self, feeds: Feeds) -> Sequence[npt.NDArray[Any]]:
        headers, body = self._request(feeds)
        answer, said = self._line.ask("POST", self._line.infer, body, headers)
        length = answer.getheader(BINARY_HEADER)
        try:
            document = json.loads(said[: int(length)] if length else said)
            if "outputs" not in document and "error" in document:
                raise self._line.fault("error in HTTP 200", f"it answered: {document['error']}")
            found = tensors.outputs(document, said[int(length) :] if length else b"")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._line.fault(
                "answer", f"its answer cannot be read ({type(error).__name__}: {error})"
            ) from error
        wanted = [spec.name for spec in self.outputs] or list(found)
        if not wanted:
            raise self._line.fault("answer", "its answer has no outputs")
        if absent := [name for name in wanted if name not in found]:
            raise self._line.fault("answer", f"its answer has no output {absent[0]!r}")
        return [found[name] for name in wanted]

    @property
    def url(self) -> str:
        """Where :meth:`run` posts."""
        return self._line.url

    @property
    def tls(self) -> Callable[[], ssl.SSLContext | None]:
        """Makes what keeps the connection secret, also in another process; ``None``: nothing does."""
        return partial(_tls, self._options)

    def message(self, feeds: Feeds) -> tuple[dict[str, str], bytes]:
        """The headers, with the secrets in them, and the body of what :meth:`run` posts."""
        headers, body = self._request(feeds)
        return {**self._line.headers, **headers}, body

    def placement(self) -> Placement:
        return Placement(wanted="server", nodes={"server": 1}, proof=None)

    def metadata(self) -> dict[str, str]:
        return {}

    def close(self) -> None:
        """Close the connections of all threads."""
        self._line.close()

    def _learn(self, options: Options) -> None:
        """Take what the server says of the model, and what the options say in its place."""
        described = self._describe()
        try:
            given = [entry.model_dump() for entry in options.inputs] or described.get("inputs")
            entries = {entry["name"]: entry for entry in given or []}
            self._datatypes = {name: entry["datatype"] for name, entry in entries.items()}
            self.inputs = [_spec(entry, "input", options) for entry in entries.values()]
            outputs = described.get("outputs") or []
            self.outputs = [_spec(entry, "output", options) for entry in outputs]
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise self._line.fault(
                "answer", "its description of the model cannot be read"
            ) from error
        if not self.inputs:
            raise self._line.fault(
                "answer", "its description of the model names no inputs", passing=False,
                todo="Say what it takes: inputs: [{name: x, datatype: FP32, shape: [-1, 4]}]",
            )  # fmt: skip

    def _describe(self) -> Any:
        _, said = self._line.ask("GET", self._line.model, None, {})
        try:
            return json.loads(said)
        except ValueError as error:
            raise self._line.fault(
                "answer", f"it answered {self._line.model} with something that is no JSON"
            ) from error

    def _request(self, feeds: Feeds) -> tuple[dict[str, str], bytes]:
        entries, tail = [], b""
        for name, array in feeds.items():
            datatype = tensors.datatype_of(name, array, self._datatypes.get(name))
            entry: dict[str, Any] = {
                "name": name,
                "shape": list(array.shape),
                "datatype": datatype,
            }
            if self._binary:
                content = tensors.to_bytes(array, datatype)
                entry["parameters"] = {"binary_data_size": len(content)}
                tail += content
            else:
                entry["data"] = tensors.to_json(array, datatype)
            entries.append(entry)
        document: dict[str, Any] = {"inputs": entries}
        if self._binary:
            document["parameters"] = {"binary_data_output": True}
        head = json.dumps(document).encode()
        if not self._binary:
            return {"Content-Type": "application/json"}, head
        return {
            "Content-Type": "application/octet-stream",
            BINARY_HEADER: str(len(head)),
        }, head + tail


class _Line:
    """One keep-alive connection per thread to the server of a model."""

    def __init__(self, options: Options) -> None:
        self._options = options
        parts = urlsplit(options.url)
        try:
            self._host = parts.hostname or ""
            self._port = parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError as error:
            raise InputError(
                f"the address cannot be used ({error})",
                where=options.url,
                allowed="http://host:port",
            ) from error
        version = f"/versions/{quote(options.version)}" if options.version else ""
        self.model = f"{parts.path.rstrip('/')}/v2/models/{quote(options.model)}{version}"
        self.infer = f"{self.model}/infer"
        self.signs = (f"{self.model}/ready", self.model)
        """What is asked to learn whether the server is still starting."""
        self.url = f"{parts.scheme}://{parts.netloc}{self.infer}"
        self.headers, self._secrets = _resolved(options)
        self._tls = _tls(options)
        self._local = threading.local()
        self._open: list[http.client.HTTPConnection] = []

    def ask(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[http.client.HTTPResponse, bytes]:
        """An exchange that succeeded."""
        answer, said = self.exchange(method, path, body, headers)
        if answer.status != 200:
            self._drop()
            text = said.decode(errors="replace")[:200]
            raise self.fault(
                f"HTTP {answer.status}",
                f"it answered {path} with HTTP {answer.status}: {text}",
                passing=answer.status in PASSING,
                todo=_ACCESS if answer.status in (401, 403) else None,
            )
        return answer, said

    def exchange(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[http.client.HTTPResponse, bytes]:
        """A request and its answer, whatever that says."""
        sent = {**self.headers, **headers}
        try:
            try:
                return self._exchange(method, path, body, sent)
            except HUNG_UP:
                # Servers close idle connections, and the next request finds out (RFC 9112, 9.3.1).
                self._drop()
                return self._exchange(method, path, body, sent)
        except ssl.SSLCertVerificationError as error:
            self._drop()
            raise self.fault(
                "connection", f"its certificate is not trusted ({error.verify_message})",
                passing=False, todo="Name the certificate of its authority: ca: FILE",
            ) from error  # fmt: skip
        except TimeoutError as error:
            self._drop()
            raise self.fault("time-out", f"it did not answer in time ({error})") from error
        except (OSError, http.client.HTTPException) as error:
            self._drop()
            raise self.fault("connection", f"it cannot be reached ({error})") from error

    def close(self) -> None:
        """Close the connections of all threads."""
        while self._open:
            self._open.pop().close()
        self._local = threading.local()

    def _drop(self) -> None:
        """Close this thread's connection."""
        if connection := getattr(self._local, "connection", None):
            connection.close()
            self._open.remove(connection)
            del self._local.connection

    def fault(
        self, code: str, what: str, *, passing: bool = True, todo: str | None = None
    ) -> RequestFailed:
        """What went wrong with a request, without the secrets that a server may have repeated."""
        for secret in self._secrets:
            what = what.replace(secret, HIDDEN)
        return RequestFailed(
            code,
            f"the inference server of the model {self._options.model!r}: {what}",
            passing=passing,
            where=self._options.url,
            todo=todo or "Check that the server runs, and its list of models",
        )

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
            found = (
                http.client.HTTPSConnection(
                    self._host, self._port, timeout=timeout, context=self._tls
                )
                if self._tls
                else http.client.HTTPConnection(self._host, self._port, timeout=timeout)
            )
            self._open.append(found)
            self._local.connection = found
            found.connect()
            found.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return found


_ACCESS = 'Say who asks: headers: {Authorization: "Bearer ${NAME}"}, with NAME in the environment'


def _resolved(options: Options) -> tuple[dict[str, str], list[str]]:
    """The headers as they are sent, and the secrets in them, the longest first."""
    secrets: set[str] = set()

    def value_of(found: re.Match[str]) -> str:
        value = os.environ.get(found[1], "").strip()
        if not value or not value.isprintable() or not value.isascii():
            raise InputError(
                f"the environment variable {found[1]!r} "
                + ("holds what no header can" if value else "is not set"),
                where="headers", todo=f"Set it before the run: export {found[1]}=…",
            )  # fmt: skip
        secrets.add(value)
        return value

    sent = {name: _VARIABLE.sub(value_of, value) for name, value in options.headers.items()}
    return sent, sorted(secrets, key=len, reverse=True)


def _tls(options: Options) -> ssl.SSLContext | None:
    if not options.url.startswith("https:"):
        return None
    try:
        context = ssl.create_default_context(cafile=options.ca)
    except OSError as error:  # no such file, or none with certificates
        raise InputError(
            f"the certificates cannot be read ({error.strerror or error})",
            where=f"ca: {options.ca}", allowed="a file of certificates (PEM)",
        ) from error  # fmt: skip
    if not options.verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _spec(entry: Any, kind: str, options: Options) -> TensorSpec:
    datatype = entry["datatype"]
    if datatype not in tensors.DTYPES:
        raise InputError(
            f"the {kind} {entry['name']!r} of the model {options.model!r} has the datatype "
            f"{datatype}, which is not known here",
            where=options.url, allowed=", ".join(tensors.DTYPES),
        )  # fmt: skip
    sizes = [int(size) for size in entry["shape"]]  # some servers write them as texts
    shape = tuple(size if size >= 0 else None for size in sizes)
    return TensorSpec(entry["name"], tensors.DTYPES[datatype], shape)
