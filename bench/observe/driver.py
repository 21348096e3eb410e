"""Whoever asks a live service: a process of its own, in open loop, so that nothing can hold it up.

A request is due when the schedule says, whatever became of those before it; its response time counts
from then, and not from when it could be sent (coordinated omission: G. Tene, *How NOT to Measure Latency*,
2013).
"""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import re
import signal
import ssl
import time
from collections.abc import Callable, Sequence, Set
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

import numpy as np

from bench import event_loop
from bench.cores import stay_on
from bench.errors import MissingRequirement
from bench.observe.asker import START_DELAY_NS, Asker, Schedule, Waves
from bench.observe.asks import Ask
from bench.observe.rows import Observed, column, columns_of

if TYPE_CHECKING:
    import aiohttp

Tls = Callable[[], ssl.SSLContext | None]
_ENTRY = re.compile(r'([\w-]+);(?:dur|desc)="?([\d./]+)')


class Driver(Asker):
    """A process that asks; used as ``with Driver(...) as driver``.

    Args:
        url: where inputs are posted.
        asks: what is sent, by the number of the input.
        cores: those it runs on; ``None`` for any.
        patience_s: an answer that takes longer is none.
        stages: how many the service has.
        tls: makes what keeps connections secret; ``None``, or one that makes ``None``: the usual.

    Raises:
        MissingRequirement: packages are missing.
    """

    def __init__(
        self, url: str, asks: Sequence[Ask], cores: Set[int] | None = None,
        patience_s: float = 60.0, stages: int = 1, tls: Tls | None = None,
    ) -> None:  # fmt: skip
        if importlib.util.find_spec("aiohttp") is None:
            raise MissingRequirement(
                "To ask a live service needs the package aiohttp. "
                'Install it once with: pip install "inference-testbed[serve]".'
            )
        super().__init__(_work, url, list(asks), cores, patience_s, stages, tls)

    def stop(self) -> Observed:
        """After Ctrl-C in :meth:`ask`: ask no more, and have what has come so far.

        Raises:
            WorkerLost: the process has ended.
        """
        return self._said(None)


def _work(
    line: Connection, url: str, asks: Sequence[Ask], cores: Set[int] | None, patience_s: float,
    stages: int, tls: Tls | None,
) -> None:  # fmt: skip
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started it says when to end
    stay_on(cores)
    try:
        event_loop.run(_answer(line, url, asks, patience_s, stages, tls))
    except (EOFError, OSError):
        return


async def _answer(
    line: Connection, url: str, asks: Sequence[Ask], patience_s: float, stages: int,
    tls: Tls | None,
) -> None:  # fmt: skip
    async with session(patience_s, tls) as asked:
        client = _Client(Sender(asked, url, stages), asks, stages)
        heard = _next(line)
        while True:
            what = await heard
            heard = _next(line)
            if what is None:
                line.send(client.rows[client.rows["finished"] > 0])
                continue
            asking = asyncio.ensure_future(client.ask(what))
            either: list[asyncio.Future[Any]] = [asking, heard]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if asking.done():
                line.send(await asking)
            else:  # told to stop, or nobody listens any more
                asking.cancel()
                await asyncio.wait({asking})


def _next(line: Connection) -> asyncio.Future[Schedule | Waves | None]:
    return asyncio.ensure_future(asyncio.to_thread(line.recv))


def session(patience_s: float, tls: Tls | None = None) -> aiohttp.ClientSession:
    """Connections, as many as are needed, which stay open."""
    import aiohttp

    limits = aiohttp.ClientTimeout(total=patience_s)
    secret = (tls and tls()) or True
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=3600.0, ssl=secret)
    return aiohttp.ClientSession(connector=connector, timeout=limits)


class Sender:
    """Sends, and notes what comes."""

    def __init__(self, asked: aiohttp.ClientSession, url: str, stages: int) -> None:
        import aiohttp

        self._session, self._url, self._stages = asked, url, stages
        self._failures = (aiohttp.ClientError, TimeoutError, OSError)

    async def send(self, row: Any, ask: Ask) -> None:
        """One request, whose row it is."""
        sent, status, said = time.perf_counter_ns(), 0, ""
        try:
            async with self._session.post(self._url, data=ask.body, headers=ask.headers) as answer:
                await answer.read()
                finished, status = time.perf_counter_ns(), answer.status
                said = answer.headers.get("Server-Timing", "")
        except self._failures:
            finished = time.perf_counter_ns()
        row["sent"], row["finished"], row["status"] = sent, finished, status
        _note(row, said, self._stages)


class _Client:
    """Asks what it is told to."""

    def __init__(self, sender: Sender, asks: Sequence[Ask], stages: int) -> None:
        self._sender, self._asks, self._columns = sender, asks, columns_of(stages)
        self.rows: Observed = np.zeros(0, self._columns)
        """Of what is being asked; ``finished`` is 0 where nothing has come yet."""

    async def ask(self, what: Schedule | Waves) -> Observed:
        rows = self.rows = np.zeros(len(what.sample), self._columns)
        rows["sample"], rows["size"] = what.sample, [self._asks[k].size for k in what.sample]
        gc.collect()
        gc.disable()
        try:
            if isinstance(what, Schedule):
                await self._by_schedule(rows, what)
            else:
                await self._in_waves(rows, what)
        finally:
            gc.enable()
        return rows

    async def _by_schedule(self, rows: Observed, what: Schedule) -> None:
        rows["arrival"] = what.due + time.perf_counter_ns() + START_DELAY_NS
        room = asyncio.Semaphore(what.most or len(rows) + 1)
        async with asyncio.TaskGroup() as sent:
            for place, at in enumerate(rows["arrival"].tolist()):
                if (left := at - time.perf_counter_ns()) > 0:
                    await asyncio.sleep(left / 1e9)
                await room.acquire()
                sent.create_task(self._send(rows, place)).add_done_callback(
                    lambda _: room.release()
                )

    async def _in_waves(self, rows: Observed, waves: Waves) -> None:
        first = 0
        for size, pause in zip(waves.sizes, waves.pause.tolist(), strict=True):
            due = time.perf_counter_ns() + pause
            if pause:
                await asyncio.sleep(pause / 1e9)
            places = range(first, first + size)
            rows["arrival"][first : first + size] = due
            await asyncio.gather(*(self._send(rows, place) for place in places))
            first += size

    async def _send(self, rows: Observed, place: int) -> None:
        await self._sender.send(rows[place], self._asks[rows["sample"][place]])


def _note(row: Any, said: str, stages: int = 1) -> None:
    """What the server says of the request (:data:`bench.serve.app.TIMING`)."""
    entries = dict(_ENTRY.findall(said))
    for stage in range(1, stages + 1):
        which = "" if stage == 1 else f"-{stage}"
        for name in ("queue", "service"):
            took_ms = float(entries.get(f"{name}{which}", "-0.000001"))
            row[column(name, stage)] = round(took_ms * 1e6)
        number, _, batch = entries.get(f"batch{which}", "-1/0").partition("/")
        row[column("in_batch", stage)], row[column("batch", stage)] = int(number), int(batch)
        row[column("server", stage)] = int(entries.get(f"replica{which}", "-1"))
