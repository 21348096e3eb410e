"""A live server at eight tenths of what it can do: its memory stands still, and nothing is lost.

``BENCH_SOAK_S`` says for how many seconds; `nox -s soak` takes ten minutes.
"""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from tests.serving import Live, body, playing, scenario, serving

aiohttp = pytest.importorskip("aiohttp", reason="the extra serve is not installed")
pytestmark = pytest.mark.evidence

LASTS_S = float(os.environ.get("BENCH_SOAK_S", "30"))
REPLICAS, SERVICE_S, UTILISATION = 2, 0.01, 0.8
PADDING = " " * 20_000
"""Around an input, so that one that is kept is seen."""
GROWTH = 1.02


async def one(session: aiohttp.ClientSession, url: str, number: int) -> int | None:
    """The status; every fiftieth sends nonsense, and every twentieth does not wait (``None``)."""
    content = body(data=["no number" if number % 50 == 0 else f"{number}{PADDING}"])
    try:
        async with asyncio.timeout(SERVICE_S / 2 if number % 20 == 7 else None):
            async with session.post(url, data=content) as answer:
                await answer.read()
                return int(answer.status)
    except TimeoutError:
        return None


async def drive(live: Live) -> tuple[Counter[int | None], list[list[float]]]:
    """What became of requests that came by a Poisson process, and the megabytes of each process."""
    rng = random.Random(1)  # noqa: S311 - no secret
    processes = [psutil.Process(live.process.pid), *live.replicas]
    rate = UTILISATION * REPLICAS / SERVICE_S
    url = f"{live.address}/v2/models/synthetic/infer"
    asked: set[asyncio.Task[int | None]] = set()
    seen: Counter[int | None] = Counter()
    memory: list[list[float]] = []
    begun = due = time.monotonic()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        for number in range(round(rate * LASTS_S)):
            due += rng.expovariate(rate)
            await asyncio.sleep(max(due - time.monotonic(), 0))
            asked.add(asyncio.ensure_future(one(session, url, number)))
            ended = {task for task in asked if task.done()}
            seen.update(task.result() for task in ended)
            asked -= ended
            if time.monotonic() - begun > len(memory):
                memory.append([process.memory_info().rss / 1e6 for process in processes])
        seen.update(await asyncio.gather(*asked))
    return seen, memory


def test_memory_stands_still_and_nothing_is_lost(tmp_path: Path) -> None:
    path = scenario(tmp_path, batch=1, base=f"{SERVICE_S} s")
    with serving(path, "--replicas", str(REPLICAS)) as live:

        async def test() -> None:
            seen, memory = await drive(live)
            live.inside(0)
            ended = live.counted()
            print(f"\n{seen.total():,} requests: {dict(seen)}; the server: {ended}")
            assert seen.keys() <= {200, 400, None}
            assert seen[200] <= ended["done"] <= seen[200] + seen[None]
            assert seen[400] <= ended["failed"] <= seen[400] + seen[None]
            assert ended["shed"] == ended["timed_out"] == ended["lost"] == 0
            assert live.metric("replica_restarts_total") == 0
            quarter = len(memory) // 4
            for name, mb in zip(
                ("front", "replica", "replica"), zip(*memory, strict=True), strict=True
            ):
                second, last = (
                    statistics.median(mb[k * quarter : (k + 1) * quarter]) for k in (1, 3)
                )
                print(f"{name}: {second:.1f} MB in the second quarter, {last:.1f} MB in the last")
                assert last < GROWTH * second

        playing(test, lasts_s=LASTS_S)
