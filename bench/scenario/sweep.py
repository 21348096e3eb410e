"""What-ifs: one scenario file, and other values for some of its fields."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.documents import Source, parse
from bench.errors import InputError
from bench.hardware import Assumptions, Catalogue, Device, Excerpt, Offer, Region
from bench.record import Record
from bench.scenario.schema import ResolvedScenario, Scenario

MOST_POINTS = 100_000
Resolve = Callable[[Scenario, Source, Catalogue], ResolvedScenario]


class Point(Record):
    """One combination of the values, and the scenario with them."""

    settings: dict[str, Any]
    """By path, as written."""
    scenario: ResolvedScenario


class Sweep(Record):
    """Every combination of the values a scenario's ``sweep`` lists: what its points are made of.

    The points themselves would take ten thousand times the room. They are made anew one after
    another (:meth:`points`), from the file as it was and from what its names led to then.
    """

    path: str
    """Of the scenario file."""
    text: str
    """What stood in it."""
    values: dict[str, list[Any]]
    """By path, as written."""
    devices: dict[str, Device]
    offers: dict[str, Offer]
    regions: dict[str, Region | None]
    """By the name of the offer."""
    assumptions: Assumptions

    def __len__(self) -> int:
        return math.prod(len(values) for values in self.values.values())

    def points(self, resolve_one: Resolve) -> Iterator[Point]:
        """One after another; ``resolve_one`` as in :func:`sweep_of`."""
        source = parse(self.text, Path(self.path))
        catalogue = Excerpt(self.devices, self.offers, self.regions, self.assumptions)
        return _points(source, self.values, catalogue, resolve_one)


def sweep_of(
    scenario: Scenario,
    source: Source,
    catalogue: Catalogue,
    resolve_one: Resolve,
    check: Callable[[ResolvedScenario], None],
) -> Sweep | None:
    """The sweep of a scenario; ``None`` if it has none. Every point is tried.

    Args:
        resolve_one: makes a resolved scenario of a changed one.
        check: refuses points.

    Raises:
        InputError: a path leads nowhere, a value does not fit, or there are too many points.
    """
    if not scenario.sweep:
        return None
    number = math.prod(len(values) for values in scenario.sweep.values())
    if number > MOST_POINTS:
        raise InputError(
            f"the sweep has {number:,} points",
            where=source.where(("sweep",)),
            allowed=f"up to {MOST_POINTS:,}",
        )
    devices: dict[str, Device] = {}
    offers: dict[str, Offer] = {}
    for point in _points(source, scenario.sweep, catalogue, resolve_one):
        check(point.scenario)
        devices |= {arm.device.name: arm.device for arm in point.scenario.arms.values()}
        offers |= {offer.name: offer for offer in point.scenario.offers.values()}
    return Sweep(
        path=str(source.path.resolve()),
        text=source.text,
        values=scenario.sweep,
        devices=devices,
        offers=offers,
        regions={name: catalogue.region_of(offer) for name, offer in offers.items()},
        assumptions=catalogue.assumptions,
    )


def _points(
    source: Source, values: Mapping[str, list[Any]], catalogue: Catalogue, resolve_one: Resolve
) -> Iterator[Point]:
    for combination in itertools.product(*values.values()):
        settings = dict(zip(values, combination, strict=True))
        data = copy.deepcopy(source.data)
        del data["sweep"]
        for path, value in settings.items():
            _set(data, path, value, source)
        changed = source.record(Scenario, (), data)
        yield Point(settings=settings, scenario=resolve_one(changed, source, catalogue))


def _set(data: Any, path: str, value: Any, source: Source) -> None:
    """Put ``value`` where ``path`` leads: ``deployments.NAME.scaling.max_replicas``."""
    place, steps = data, path.split(".")
    for position, step in enumerate(steps):
        inner = _member(place, step)
        if inner is None and position < len(steps) - 1:
            known = list(place) if isinstance(place, Mapping) else _names(place)
            raise InputError(
                f"the path {path!r} leads nowhere: there is no {step!r}",
                where=source.where(("sweep", path), key=True),
                allowed=", ".join(map(str, known)),
            )
        if position == len(steps) - 1:
            if not isinstance(place, dict):
                raise InputError(
                    f"the path {path!r} does not end at a field",
                    where=source.where(("sweep", path), key=True),
                )
            place[step] = value
        place = inner


def _member(place: Any, step: str) -> Any:
    if isinstance(place, Mapping):
        return place.get(step)
    if isinstance(place, list):
        return next(
            (item for item in place if isinstance(item, Mapping) and item.get("name") == step), None
        )
    return None


def _names(place: Any) -> list[str]:
    return [str(item.get("name")) for item in place] if isinstance(place, list) else []
