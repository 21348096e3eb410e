"""What a client can ask a live server over HTTP: the Open Inference Protocol v2, and its metrics."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

from bench import __version__
from bench.requests import Outcome
from bench.serve import protocol
from bench.serve.line import Line, Passed
from bench.serve.metrics import Metrics
from bench.serve.pool import Request
from bench.ticks import PER_SECOND

PER_MS = PER_SECOND / 1000
STATUS = {Outcome.SHED: 503, Outcome.TIMED_OUT: 504, Outcome.LOST: 500}
WORDS = {
    Outcome.SHED: "too many requests wait",
    Outcome.TIMED_OUT: "it has waited as long as it may",
}
TIMING = "Server-Timing"
"""What a request met (W3C Server Timing): milliseconds in the queue and in service; the
number of its batch, and how many were in it. Of the second stage, names end in ``-2``, and so on."""
EXTENSIONS = ["binary_tensor_data"]
NO_HEADERS: Mapping[str, str] = MappingProxyType({})
NOT_REFUSED = web.ResponseKey("not_refused", bool)
"""Marks what is 400 or more and no refusal: the pool has counted the request, or it asked no more than that."""
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Limits:
    """What one client may take of a server."""

    body: int = 64 << 20
    """Bytes of a request, beyond which it is refused (HTTP 413)."""
    inputs: int = 1024
    """Of one request."""
    send_s: float = 30.0
    """From the end of its headers, a request has so long to come."""
    idle_s: float = 75.0
    """A connection has so long for its first headers, and from an answer to the next ones."""
    linger_s: float = 2.0
    """What was refused unread is read for so long, or its sender might not see why."""


class App:
    """One model, or several one after the other, behind pools."""

    def __init__(self, name: str, line: Line, metrics: Metrics, limits: Limits) -> None:
        self._name, self._line, self._metrics, self._limits = name, line, metrics, limits
        self.draining = False
        self._http = web.Application(client_max_size=limits.body, middlewares=[self._faults])
        router = self._http.router
        for model in ("/v2/models/{model}", "/v2/models/{model}/versions/{version}"):
            router.add_post(f"{model}/infer", self._infer)
        for path, handler in {
            "/v2": self._server,
            "/v2/health/live": self._live,
            "/v2/health/ready": self._ready,
            "/metrics": self._said,
        }.items():
            router.add_get(path, handler)
        for model in ("/v2/models/{model}", "/v2/models/{model}/versions/{version}"):
            router.add_get(model, self._metadata)
            router.add_get(f"{model}/ready", self._model_ready)

    def runner(self, last_s: float) -> web.AppRunner:
        """What listens.

        Args:
            last_s: at the end, answers on their way out have so long.
        """
        metrics = self._metrics

        class Count(AbstractAccessLogger):
            def log(
                self, request: web.BaseRequest, response: web.StreamResponse, time: float
            ) -> None:
                if response.status >= 400 and not response.get(NOT_REFUSED):
                    metrics.refused(response.status)

        return web.AppRunner(
            self._http, access_log_class=Count, logger=_quiet(), handler_cancellation=True,
            keepalive_timeout=self._limits.idle_s, lingering_time=self._limits.linger_s,
            shutdown_timeout=last_s,
        )  # fmt: skip

    @web.middleware
    async def _faults(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Every refusal is the protocol's: an object that says what is wrong."""
        try:
            return await handler(request)
        except web.HTTPException as error:
            if error.status < 400:
                raise
            allowed = {name: value for name, value in error.headers.items() if name == "Allow"}
            return _error(error.status, error.text or error.reason, allowed)
        except (protocol.BadRequest, web.RequestPayloadError) as error:
            return _error(400, protocol.shortened(error))
        except ConnectionError:  # the client is gone
            raise
        except Exception as error:  # ours to mend, and no reason to hang up
            return _error(500, f"{type(error).__name__}: {protocol.shortened(error)}")

    # What there is ----------------------------------------------------------------------------

    async def _server(self, request: web.Request) -> web.Response:
        return web.json_response(
            {"name": "inference-testbed", "version": __version__, "extensions": EXTENSIONS}
        )

    async def _live(self, request: web.Request) -> web.Response:
        return web.json_response({"live": True})

    async def _ready(self, request: web.Request) -> web.Response:
        ready = self._line.is_ready and not self.draining
        answer = web.json_response({"ready": ready}, status=200 if ready else 503)
        answer[NOT_REFUSED] = True
        return answer

    async def _model_ready(self, request: web.Request) -> web.Response:
        self._require_model(request)
        return await self._ready(request)

    async def _metadata(self, request: web.Request) -> web.Response:
        self._require_model(request)
        return web.json_response(protocol.metadata(self._name))

    async def _said(self, request: web.Request) -> web.Response:
        content, kind = self._metrics.exposition()
        return web.Response(body=content, headers={"Content-Type": kind})

    # What it is for ---------------------------------------------------------------------------

    async def _infer(self, request: web.Request) -> web.Response:
        self._require_model(request)
        body = await self._body(request)
        if self.draining:
            return _error(503, "the server is ending")
        header = request.headers.get(protocol.BINARY_HEADER)
        asked = protocol.inference(header, body, self._limits.inputs)
        source = hash(request.remote) & 0x7FFFFFFF
        mine = await asyncio.gather(
            *(self._line.take(payload, source) for payload in asked.payloads)
        )
        for one in mine:
            if one.outcome is not Outcome.DONE:
                return _refused(one.last, one.outcome)
        headers, content = protocol.answer(self._name, asked, [one.answer for one in mine])
        headers[TIMING] = _timing(max(mine, key=lambda one: one.last.served))
        return web.Response(body=content, headers=headers)

    async def _body(self, request: web.Request) -> bytes:
        limits, length = self._limits, request.content_length or 0
        if length > limits.body:
            raise web.HTTPRequestEntityTooLarge(limits.body, length)
        try:
            async with asyncio.timeout(limits.send_s):
                return await request.read()
        except TimeoutError:
            text = f"the body did not come within {limits.send_s:g} s"
            raise web.HTTPRequestTimeout(text=text) from None

    def _require_model(self, request: web.Request) -> None:
        asked = request.match_info["model"], request.match_info.get("version", protocol.VERSION)
        if asked != (self._name, protocol.VERSION):
            there = f"there is {self._name!r}, version {protocol.VERSION}"
            raise web.HTTPNotFound(text=f"there is no such model; {there}")


def _refused(request: Request, outcome: Outcome) -> web.Response:
    status = 400 if request.answer.is_unreadable else STATUS[outcome]
    headers = {"Retry-After": "1"} if outcome is Outcome.SHED else {}
    refusal = _error(status, request.answer.error or WORDS[outcome], headers)
    refusal[NOT_REFUSED] = True
    return refusal


def _timing(passed: Passed) -> str:
    """Of a request that was served, at all stages that it came to."""
    return ", ".join(_at(stop, f"-{k}" * (k > 1)) for k, stop in enumerate(passed.stops, 1))


def _at(stop: Request, which: str) -> str:
    queue, service = stop.start - stop.reach, stop.served - stop.start
    return (
        f"queue{which};dur={queue / PER_MS:.6f}, service{which};dur={service / PER_MS:.6f}, "
        f'batch{which};desc="{stop.in_batch}/{stop.batch}", replica{which};desc="{stop.server}"'
    )


def _error(status: int, text: str, headers: Mapping[str, str] = NO_HEADERS) -> web.Response:
    return web.json_response({"error": text}, status=status, headers=headers)


def _quiet() -> logging.Logger:
    """Whoever sends garbage could fill a disk with tracebacks: metrics count it instead."""
    logger = logging.getLogger("bench.serve")
    logger.propagate = False
    logger.addHandler(logging.NullHandler())
    return logger
