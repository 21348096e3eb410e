"""What-ifs: one scenario file, and other values for some of its fields."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

from bench.documents import Source
from bench.errors import InputError
from bench.record import Record
from bench.scenario.schema import ResolvedScenario, Scenario

MOST_POINTS = 100_000


class Point(Record):
    """One combination of the values, and the scenario with them."""

    settings: dict[str, Any]
    """By path, as written."""
    scenario: ResolvedScenario


class Sweep(Record):
    """Every combination of the values a scenario's ``sweep`` lists."""

    points: list[Point]


def sweep_of(
    scenario: Scenario, source: Source, resolve_one: Callable[[Scenario], ResolvedScenario]
) -> Sweep | None:
    """All points of a scenario; ``None`` if it has no ``sweep``.

    Args:
        resolve_one: makes a resolved scenario of a changed one.

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
    points = []
    for values in itertools.product(*scenario.sweep.values()):
        settings = dict(zip(scenario.sweep, values, strict=True))
        data = copy.deepcopy(source.data)
        del data["sweep"]
        for path, value in settings.items():
            _set(data, path, value, source)
        points.append(
            Point(settings=settings, scenario=resolve_one(source.record(Scenario, (), data)))
        )
    return Sweep(points=points)


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
