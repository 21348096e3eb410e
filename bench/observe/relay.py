"""Whoever asks a service at once with what a device hands on: a process of its own, so that nothing that
happens there can hold the device up."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Set
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import numpy as np

from bench import event_loop
from bench.cores import stay_on
from bench.observe.asker import Asker
from bench.observe.asks import Ask
from bench.observe.driver import Sender, session
from bench.observe.loop import WAVE
from bench.observe.rows import Observed, columns_of
from bench.serve import asking


class Relayed(NamedTuple):
    """What was handed on in a block."""

    places: list[int]
    """Of the requests, in the block."""
    rows: Observed
    """What each of them met at the service."""


class Relay(Asker):
    """Such a process.

    Args:
        url: where inputs are posted.
        handed: what comes from the device, as pairs of a place and an input; :data:`WAVE` asks for a word
            when all of it is answered, ``None`` ends a block.
        cores: those it runs on; ``None`` for any.
        stages: how many the service has.
    """

    def __init__(
        self, url: str, handed: Connection, cores: Set[int] | None, stages: int,
        patience_s: float = 60.0,
    ) -> None:  # fmt: skip
        super().__init__(_work, url, handed, cores, stages, patience_s)

    def block(self) -> Relayed:
        """All of a block, when the last of it is answered.

        Raises:
            WorkerLost: the process, or the device, ended before.
        """
        found: Relayed = self._heard()
        return found


def _work(
    line: Connection, url: str, handed: Connection, cores: Set[int] | None, stages: int,
    patience_s: float,
) -> None:  # fmt: skip
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started it says when to end
    stay_on(cores)
    gc.disable()
    with suppress(EOFError, OSError):
        event_loop.run(_relay(line, url, handed, patience_s, stages))


async def _relay(
    line: Connection, url: str, handed: Connection, patience_s: float, stages: int
) -> None:
    heard: asyncio.Queue[Any] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def hear() -> None:
        try:
            heard.put_nowait(handed.recv())
        except (EOFError, OSError) as error:
            loop.remove_reader(handed.fileno())
            heard.put_nowait(error)

    loop.add_reader(handed.fileno(), hear)
    async with session(patience_s) as asked:
        sender = Sender(asked, url, stages)
        while True:
            line.send(await _block(handed, heard, sender, stages))
            gc.collect()


async def _block(
    handed: Connection, heard: asyncio.Queue[Any], sender: Sender, stages: int
) -> Relayed:
    """Raises:
    EOFError: the device has ended.
    """
    places: list[int] = []
    rows: list[Observed] = []
    sent: list[asyncio.Task[None]] = []
    while (said := await heard.get()) is not None:
        if isinstance(said, Exception):
            raise said
        if said == WAVE:
            await asyncio.gather(*sent)
            handed.send(None)
            continue
        place, content = said
        places.append(place)
        rows.append(np.zeros(1, columns_of(stages)))
        sent.append(asyncio.ensure_future(sender.send(rows[-1][0], Ask(*asking(content)))))
    await asyncio.gather(*sent)
    return Relayed(places, np.concatenate([np.zeros(0, columns_of(stages)), *rows]))
