"""An Open Inference Protocol server that says nothing of itself, and forms batches as MLServer does.

A batch closes when it is full, or some time after its first request came, and goes to the one worker there
is, which takes one after the other. Service is sleep. Run as a program it prints its address, and serves until
it is ended; ``GET /took`` says by batch size how long each batch really took::

    python -m tests.batching_server '{"most": 4, "wait_s": 0.01}'
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from aiohttp import web

from bench import event_loop

MODEL = {
    "name": "m",
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
    "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 1]}],
}
Asked = asyncio.Future[None]


class Batcher:
    def __init__(self, most: int, wait_s: float, base_s: float, item_s: float, token: str) -> None:
        self.most, self.wait_s, self.base_s, self.item_s = most, wait_s, base_s, item_s
        self.token = token
        self.came: asyncio.Queue[Asked] = asyncio.Queue()
        self.formed: asyncio.Queue[list[Asked]] = asyncio.Queue()
        self.took: dict[int, list[float]] = {}

    async def form(self) -> None:
        while True:
            batch = [await self.came.get()]
            with suppress(TimeoutError):
                async with asyncio.timeout(self.wait_s):
                    while len(batch) < self.most:
                        batch.append(await self.came.get())
            self.formed.put_nowait(batch)

    async def work(self) -> None:
        while True:
            batch = await self.formed.get()
            start = time.perf_counter()
            await asyncio.sleep(self.base_s + self.item_s * len(batch))
            self.took.setdefault(len(batch), []).append(time.perf_counter() - start)
            for one in batch:
                if not one.done():
                    one.set_result(None)

    async def infer(self, request: web.Request) -> web.Response:
        (entry,) = (await request.json())["inputs"]
        if self.token and request.headers.get("X-Api-Key") != self.token:
            return web.json_response({"error": "who is it?"}, status=401)
        asked: Asked = asyncio.get_running_loop().create_future()
        self.came.put_nowait(asked)
        await asked
        answer = {"name": "y", "datatype": "FP32", "shape": [1, 1], "data": [sum(entry["data"])]}
        return web.json_response({"model_name": "m", "outputs": [answer]})


async def serve(**how: Any) -> None:
    batcher = Batcher(**how)

    async def took(_: web.Request) -> web.Response:
        return web.json_response(batcher.took)

    async def model(_: web.Request) -> web.Response:
        return web.json_response(MODEL)

    app = web.Application()
    app.add_routes(
        [
            web.get("/took", took),
            web.get("/v2/models/m", model),
            web.get("/v2/models/m/ready", model),
            web.post("/v2/models/m/infer", batcher.infer),
        ]
    )
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.gather(batcher.form(), batcher.work())


@contextmanager
def serving(
    most: int = 4, wait_s: float = 0.005, base_s: float = 0.01, item_s: float = 0.003,
    token: str = "",
) -> Iterator[str]:  # fmt: skip
    """Its address, as long as ``with`` lasts; in a process of its own."""
    how = {"most": most, "wait_s": wait_s, "base_s": base_s, "item_s": item_s, "token": token}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.batching_server", json.dumps(how)],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.communicate()


def took(url: str) -> dict[int, list[float]]:
    """By batch size, in seconds."""
    with urllib.request.urlopen(f"{url}/took", timeout=60) as said:  # noqa: S310
        return {int(size): seconds for size, seconds in json.load(said).items()}


if __name__ == "__main__":
    event_loop.run(serve(**json.loads(sys.argv[1])))
