"""What is not timed may be asked again: a request that failed in passing must not cost the arm.

In the timed run the same failure is an answer, which :func:`bench.measure.validity.errors` counts.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from bench.measure.backends import Feeds, RequestFailed, Session

ATTEMPTS = 10
"""Of a server that fails every third request, one request in 59,000 fails so often."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.02, 1.0


class Patient:
    """A session that asks again where a request failed in passing."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.inputs, self.outputs = session.inputs, session.outputs
        self.placement, self.metadata = session.placement, session.metadata

    def run(self, feeds: Feeds) -> Sequence[npt.NDArray[Any]]:
        """As the session's own.

        Raises:
            RequestFailed: for good, or :data:`ATTEMPTS` times.
        """
        pause_s = FIRST_PAUSE_S
        for _ in range(ATTEMPTS - 1):
            try:
                return self._session.run(feeds)
            except RequestFailed as error:
                if not error.passing:
                    raise
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        return self._session.run(feeds)
