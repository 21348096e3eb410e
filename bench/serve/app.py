"""What a client can ask a live server over HTTP: the Open Inference Protocol v2, and its metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

from bench import __version__
from bench.requests import Outcome
from bench.serve import protocol
from bench.serve.metrics import Metrics
from bench.serve.pool import Pool, Request
from bench.ticks import PER_SECOND

PER_MS = PER_SECOND / 1000
STATUS = {Outcome.SHED: 503, Outcome.TIMED_OUT: 504, Outcome.LOST: 500}
WORDS = {
    Outcome.SHED: "too many requests wait",
    Outcome.TIMED_OUT: "it has waited as long as it may",
}
TIMING = "Server-Timing"
"""What a request met (W3C Server Timing): milliseconds in the queue and in service, of which batch."""
EXTENSIONS = ["binary_tensor_data"]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class App:
    """One model behind a pool.

    Args:
        largest_body: bytes of a request, beyond which it is refused (HTTP 413).
        body_s: a client has so long to send what it asks.
    """

    def __init__(
        self, name: str, pool: Pool, metrics: Metrics, largest_body: int, body_s: float
    ) -> None:
        self._name, self._pool, self._metrics = name, pool, metrics
        self._largest_body, self._body_s = largest_body, body_s
        self.draining = False
        self.http = web.Application(client_max_size=largest_body, middlewares=[self._faults])
        model = "/v2/models/{model}"
        for path in (f"{model}/infer", f"{model}/versions/1/infer"):  # first: most ask for these
            self.http.router.add_post(path, self._infer)
        for path, handler in {
            "/v2": self._server,
            "/v2/health/live": self._live,
            "/v2/health/ready": self._ready,
            model: self._metadata,
            f"{model}/ready": self._model_ready,
            f"{model}/versions/1": self._metadata,
            f"{model}/versions/1/ready": self._model_ready,
            "/metrics": self._said,
        }.items():
            self.http.router.add_get(path, handler)

    @web.middleware
    async def _faults(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Every refusal is the protocol's: an object that says what is wrong."""
        try:
            return await handler(request)
        except web.HTTPException as error:
            if error.status < 400:
                raise
            return _error(error.status, error.text or error.reason)
        except protocol.BadRequest as error:
            return _error(400, str(error))
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
        ready = self._pool.ready > 0 and not self.draining
        return web.json_response({"ready": ready}, status=200 if ready else 503)

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
        if self.draining:
            return _error(503, "the server is ending")
        if (request.content_length or 0) > self._largest_body:
            raise web.HTTPRequestEntityTooLarge(self._largest_body, request.content_length or 0)
        try:
            async with asyncio.timeout(self._body_s):
                body = await request.read()
        except TimeoutError:
            return _error(408, f"the body did not come within {self._body_s:g} s")
        asked = protocol.inference(request.headers.get(protocol.BINARY_HEADER), body)
        source = hash(request.remote) & 0x7FFFFFFF
        mine = [self._pool.ask(payload, source) for payload in asked.payloads]
        outcomes = await asyncio.gather(*(one.left for one in mine))
        for one, outcome in zip(mine, outcomes, strict=True):
            if outcome is not Outcome.DONE:
                return _refused(one, outcome)
        headers, content = protocol.answer(self._name, asked, [one.answer.output for one in mine])
        headers[TIMING] = _timing(max(mine, key=lambda one: one.served))
        return web.Response(body=content, headers=headers)

    def _require_model(self, request: web.Request) -> None:
        if request.match_info["model"] != self._name:
            raise web.HTTPNotFound(text=f"there is no such model; there is {self._name!r}")


def _refused(request: Request, outcome: Outcome) -> web.Response:
    status = 400 if request.answer.is_unreadable else STATUS[outcome]
    refusal = _error(status, request.answer.error or WORDS[outcome])
    if outcome is Outcome.SHED:
        refusal.headers["Retry-After"] = "1"
    return refusal


def _timing(request: Request) -> str:
    """Of a request that was served."""
    queue, service = request.start - request.reach, request.served - request.start
    return (
        f"queue;dur={queue / PER_MS:.6f}, service;dur={service / PER_MS:.6f}, "
        f'batch;desc="{request.batch}", replica;desc="{request.server}"'
    )


def _error(status: int, text: str) -> web.Response:
    return web.json_response({"error": text}, status=status)
