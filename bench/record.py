"""What every record is, and the four words that say where a number comes from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict

SCHEMA_VERSION = 1

Provenance = Literal["measured", "published", "projected", "assumed"]
_FROM_BEST_TO_WORST: tuple[Provenance, ...] = ("measured", "published", "projected", "assumed")


class Record(BaseModel):
    """A frozen value that travels along one arrow; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Estimate(Record):
    """A number with its interval, or ``None`` with the reason why there is none.

    ``low`` and ``high`` bound the value at the stated ``confidence``; ``n`` counts the
    independent observations (samples or replications) behind it.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    confidence: float = 0.95
    reason: str | None = None

    @classmethod
    def absent(cls, reason: str, n: int = 0) -> Estimate:
        """No number, because of ``reason``."""
        return cls(value=None, n=n, reason=reason)


class Origin(Record):
    """Where one number comes from: the subject, its provenance, and the source in words."""

    subject: str
    provenance: Provenance
    source: str
    as_of: str | None = None


class Caveat(Record):
    """What a result leaves out, though a reader would take it for part of the result.

    A stage puts it into its record; the comparison gathers those of each deployment; the verdict,
    the terminal and the pages say them.
    """

    kind: str
    """The same word for the same omission, as ``spot-evictions``."""
    text: str
    """A clause that reads after the deployment's name and a colon, with what to do about it."""


def worst(provenances: Iterable[Provenance]) -> Provenance:
    """The weakest of ``provenances``: a result is as good as the worst thing it is made of.

    Raises:
        ValueError: if there are none.
    """
    return max(provenances, key=_FROM_BEST_TO_WORST.index)
