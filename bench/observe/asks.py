"""What is sent to a service for each of the inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.measure import LiveInput
from bench.serve import asking


@dataclass(frozen=True)
class Ask:
    """One request, as bytes."""

    headers: dict[str, str]
    body: bytes
    size: float = 0.0
    """In the task's own unit; 0 where it has none."""


def asks_of(inputs: Sequence[LiveInput]) -> list[Ask]:
    """Of a server of this project's, which takes encoded inputs as they are."""
    return [Ask(*asking(one.encoded), one.size) for one in inputs]
