"""Who waits, for a simulation and a live server alike: batches that are formed, and requests in none."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

Request = TypeVar("Request")


@dataclass(eq=False)
class Waiting(Generic[Request]):
    """First come, first served."""

    formed: list[list[Request]] = field(default_factory=list)
    """Batches that wait for a server as they are, before all the others."""
    waiting: list[Request] = field(default_factory=list)
    """Those in no batch yet."""

    def __len__(self) -> int:
        return sum(map(len, self.formed)) + len(self.waiting)

    def remove(self, request: Request) -> None:
        """Wherever it waits."""
        for place in (*self.formed, self.waiting):
            if request in place:
                place.remove(request)
        self.formed = [batch for batch in self.formed if batch]

    def emptied(self) -> list[Request]:
        """All that waited, the oldest first."""
        found = [request for batch in self.formed for request in batch] + self.waiting
        self.formed, self.waiting = [], []
        return found
