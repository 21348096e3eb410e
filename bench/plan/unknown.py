"""What nothing can be said of, put together by what its user can do about it."""

from __future__ import annotations

from collections.abc import Iterable

from bench.hardware import Offer
from bench.record import Record


class Unknown(Record):
    """Offers that nothing can be said of, all for one reason."""

    reason: str
    """In general: it names no offer and no device."""
    todo: str
    """What would change it; empty where nothing is known to."""
    devices: list[str]
    """What their machines compute on, each once."""
    offers: list[str]


def together(refused: Iterable[tuple[Offer, str, str]]) -> list[Unknown]:
    """One for each pair of reason and remedy, those of the most offers first.

    Args:
        refused: offers, why nothing can be said of each, and what would change it.
    """
    alike: dict[tuple[str, str], list[Offer]] = {}
    for offer, reason, todo in refused:
        alike.setdefault((reason, todo), []).append(offer)
    return [
        Unknown(
            reason=reason,
            todo=todo,
            devices=list(dict.fromkeys(o.machine.device for o in offers if o.machine.device)),
            offers=[offer.name for offer in offers],
        )
        for (reason, todo), offers in sorted(alike.items(), key=lambda item: -len(item[1]))
    ]
