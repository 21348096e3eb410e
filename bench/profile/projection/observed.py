"""Settings with their published times: what their networks cost there, and what that leaves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from bench.counts import Counts
from bench.hardware import Device, Key, Part, Regime, Setting
from bench.profile.projection.costs import (
    SIGMA,
    Array,
    features,
    fitted,
    pooled,
    rates_of,
    scale_of,
)

Kind = tuple[Part, Regime]
FEWEST = 3
"""Settings of a kind that make a pattern."""
NARROWEST = 0.05
"""Residuals of a setting are taken to scatter by at least so much."""
FURTHEST = 4.0
"""A residual beyond so many deviations says no more than one there."""


@dataclass(frozen=True)
class Observed:
    """One setting; arrays go by network."""

    setting: Setting
    keys: tuple[Key, ...]
    x: Array
    seconds: Array
    pattern: Array
    """Of its kind, by its data sheet."""

    @cached_property
    def costs(self) -> Array:
        return fitted(self.x, self.seconds, self.pattern)

    @cached_property
    def sigma(self) -> float:
        """How far times lie from the costs' sum, robustly, in logarithms."""
        squares = np.median(self._away**2) / 0.455  # the median of χ² with one degree of freedom
        return float(max(np.sqrt(squares), NARROWEST))

    @cached_property
    def residuals(self) -> dict[Key, float]:
        """log seconds − log of the costs' sum, in sigmas, by network."""
        limited = np.clip(self._away / self.sigma, -FURTHEST, FURTHEST)
        return dict(zip(self.keys, limited.tolist(), strict=True))

    @cached_property
    def _away(self) -> Array:
        return np.log(self.seconds) - np.log(self.x @ self.costs)

    def log_seconds(self, counts: Counts) -> float:
        """By the costs alone."""
        return float(np.log(features([counts])[0] @ self.costs))

    def without(self, left_out: Collection[Key]) -> Observed:
        """The setting as it would be, had nobody published these networks there."""
        kept = [number for number, key in enumerate(self.keys) if key not in left_out]
        return replace(
            self, keys=tuple(self.keys[n] for n in kept), x=self.x[kept], seconds=self.seconds[kept]
        )


class Observations:
    """All settings, and the pattern of each kind of processor in each regime.

    Args:
        seconds: a sample, by setting and network.
        counts: of each network.
    """

    def __init__(
        self,
        seconds: Mapping[Setting, Mapping[Key, float]],
        counts: Mapping[Key, Counts],
        devices: Mapping[str, Device],
    ) -> None:
        self._devices, self.counts = devices, counts
        self._raw: dict[Kind, list[tuple[Setting, tuple[Key, ...], Array, Array]]] = defaultdict(
            list
        )
        for setting, own in seconds.items():
            keys = tuple(own)
            entry = (
                setting,
                keys,
                features([counts[key] for key in keys]),
                np.array([*own.values()]),
            )
            self._raw[setting.part, setting.regime].append(entry)
        self._usual: dict[tuple[Part, str], tuple[float, float]] = {}
        self._patterns: dict[Kind, Array | None] = {}

    @cached_property
    def every(self) -> dict[Setting, Observed]:
        return {
            setting: Observed(setting, keys, x, seconds, self.expected(setting))
            for entries in self._raw.values()
            for setting, keys, x, seconds in entries
        }

    def of(self, device: str, regime: Regime) -> list[Observed]:
        return [o for s, o in self.every.items() if s.device == device and s.regime == regime]

    @cached_property
    def by_network(self) -> dict[Key, list[Observed]]:
        found: dict[Key, list[Observed]] = defaultdict(list)
        for observed in self.every.values():
            for key in observed.keys:
                found[key].append(observed)
        return found

    def knows(self, kind: Kind) -> bool:
        return len(self._raw[kind]) >= FEWEST

    def expected(self, setting: Setting) -> Array:
        """The costs that a device of its data sheet would have, were it like its kind on the whole."""
        return self._pattern((setting.part, setting.regime)) * self._scale(setting)

    def _pattern(self, kind: Kind) -> Array:
        found = self._patterns.get(kind)
        if found is None:
            tables = [(x, s, self._scale(setting)) for setting, _, x, s in self._raw[kind]]
            found = self._patterns[kind] = pooled(tables)
        return found

    def _scale(self, setting: Setting) -> Array:
        sheet = self._devices[setting.device].data_sheet
        return scale_of(
            sheet, setting.precision, self._usual_rates(setting.part, setting.precision)
        )

    def _usual_rates(self, part: Part, precision: str) -> tuple[float, float]:
        """The medians of what the data sheets of such processors say."""
        if (part, precision) not in self._usual:
            names = {s.device for (p, _), own in self._raw.items() if p == part for s, *_ in own}
            rates = [rates_of(self._devices[name].data_sheet, precision) for name in names]
            self._usual[part, precision] = (
                _median(rate for rate, _ in rates), _median(width for _, width in rates)
            )  # fmt: skip
        return self._usual[part, precision]


def _median(values: Iterable[float | None]) -> float:
    known = [value for value in values if value]
    return float(np.median(known)) if known else 1.0


__all__ = ["SIGMA", "Kind", "Observations", "Observed"]
