"""A model on a server that is up and is not ours: what its backend would send it, for others to send."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from bench import extensions
from bench.errors import InputError
from bench.measure.backends import Feeds
from bench.measure.live import LiveArm
from bench.measure.loader import BACKENDS
from bench.scenario import Arm, Choice

AS_IT_IS = {"Accept-Encoding": "identity"}
"""As the backend asks, which has no answer compressed."""


class Posted(NamedTuple):
    """One request. Its headers may hold secrets: it goes into no record."""

    headers: dict[str, str]
    body: bytes


class Remote(NamedTuple):
    """Such a server, and what it is sent."""

    url: str
    """Where requests are posted."""
    tls: Callable[[], ssl.SSLContext | None]
    posted: list[Posted]


def is_remote(arm: Arm) -> bool:
    """Whether the arm's backend asks a server, instead of running the model."""
    return bool(extensions.load(BACKENDS, arm.backend.name).RUNS_ON == "remote")


class RemoteArm(LiveArm):
    """An arm of such a backend.

    Raises:
        InputError: nothing answers, the server does not have the model, or nothing says what it is sent.
    """

    def __init__(self, arm: Arm, task: Choice) -> None:
        super().__init__(arm, task)
        self._session: Any
        self._session, *others = self._sessions.values()
        if others or not hasattr(self._session, "message"):
            self.close()
            raise InputError(
                f"the task {task.name!r} is of several models"
                if others
                else f"the sessions of {arm.backend.name!r} have no message(feeds)",
                where=arm.name,
                allowed="from outside, one call of one model, by the backend open-inference",
            )

    def server(self, encoded: Sequence[bytes]) -> Remote:
        """The server, which is asked the first of these inputs, and what it is sent for each alone.

        Raises:
            InputError: it does not answer, or the task does not ask just once for each.
        """
        asked = _Asked(self._session)
        for one in encoded:
            feeds = self.task.preprocess([one])
            self.task.execute(dict.fromkeys(self._sessions, asked), feeds)
        if len(asked.messages) != len(encoded):
            raise InputError(
                f"the task asks {len(asked.messages)} times for {len(encoded)} inputs",
                where=self.task.__class__.__name__, allowed="from outside, one call for each",
            )  # fmt: skip
        session = self._session
        sent = [Posted({**AS_IT_IS, **headers}, body) for headers, body in asked.messages]
        return Remote(session.url, session.tls, sent)


class _Asked:
    """Keeps what the server would be asked. It is asked once, which stands for all answers."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.inputs, self.outputs = session.inputs, session.outputs
        self.placement, self.metadata = session.placement, session.metadata
        self.messages: list[tuple[dict[str, str], bytes]] = []
        self._answer: Any = None

    def run(self, feeds: Feeds) -> Any:
        self.messages.append(self._session.message(feeds))
        if self._answer is None:
            self._answer = self._session.run(feeds)
        return self._answer
