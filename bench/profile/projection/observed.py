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
    Array,
    features,
    fitted,
    pooled,
    rates_of,
    scale_of,
)

Kind = tuple[Part, Regime, bool]
"""What computes, how many requests at a time, and whether the maker's compiler fused it."""
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
        limited = map(self._limited, self._away.tolist())
        return dict(zip(self.keys, limited, strict=True))

    @cached_property
    def _away(self) -> Array:
        return np.log(self.seconds) - np.log(self.x @ self.costs)

    def residual(self, counts: Counts, seconds: float) -> float:
        """As :attr:`residuals`, of a network that was measured and not published here."""
        return self._limited(float(np.log(seconds)) - self.log_seconds(counts))

    def _limited(self, away: float) -> float:
        return min(max(away / self.sigma, -FURTHEST), FURTHEST)

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
        self._tables = {
            setting: (features([counts[key] for key in own]), np.array([*own.values()]))
            for setting, own in seconds.items()
        }
        self._keys = {setting: tuple(own) for setting, own in seconds.items()}
        self._usual: dict[tuple[Part, str], tuple[float, float]] = {}
        self._patterns: dict[Kind, Array] = {}

    @cached_property
    def every(self) -> dict[Setting, Observed]:
        return {
            setting: Observed(setting, self._keys[setting], x, seconds, self.expected(setting))
            for setting, (x, seconds) in self._tables.items()
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
        return len(self.whole[kind]) >= FEWEST

    def expected(self, setting: Setting) -> Array:
        """The costs that a device of its data sheet would have, were it like its kind on the whole."""
        return self._pattern(kind_of(setting)) * self._scale(setting)

    @cached_property
    def whole(self) -> dict[Kind, list[Setting]]:
        """By kind, the settings that use all of their device: of several numbers of threads, the most."""
        most: dict[tuple[str, str], int] = defaultdict(int)
        for setting in self._tables:
            place = setting.device, setting.software
            most[place] = max(most[place], setting.threads or 0)
        found: dict[Kind, list[Setting]] = defaultdict(list)
        for setting in self._tables:
            if (setting.threads or 0) == most[setting.device, setting.software]:
                found[kind_of(setting)].append(setting)
        return found

    @cached_property
    def alone(self) -> dict[Part, tuple[float, float]]:
        """How much longer a single request takes than its share of a full batch: mean and deviation
        of the logarithm, over networks that one runtime of one device has both of."""
        found: dict[Part, list[float]] = defaultdict(list)
        for setting, one in self.every.items():
            if setting.regime == "one":
                for other in self.of(setting.device, "many"):
                    same = other.setting.software == setting.software
                    if same and other.setting.precision == setting.precision:
                        found[setting.part] += _ratios(one, other)
        return {part: (float(np.median(r)), float(np.std(r))) for part, r in found.items() if r}

    def _pattern(self, kind: Kind) -> Array:
        if kind not in self._patterns:
            tables = [(*self._tables[s], self._scale(s)) for s in self.whole[kind]]
            self._patterns[kind] = pooled(tables)
        return self._patterns[kind]

    def _scale(self, setting: Setting) -> Array:
        sheet = self._devices[setting.device].data_sheet
        return scale_of(
            sheet, setting.precision, self._usual_rates(setting.part, setting.precision)
        )

    def _usual_rates(self, part: Part, precision: str) -> tuple[float, float]:
        """The medians of what the data sheets of such processors say."""
        if (part, precision) not in self._usual:
            names = {setting.device for setting in self._tables if setting.part == part}
            rates = [rates_of(self._devices[name].data_sheet, precision) for name in names]
            self._usual[part, precision] = (
                _median(rate for rate, _ in rates), _median(width for _, width in rates)
            )  # fmt: skip
        return self._usual[part, precision]


def kind_of(setting: Setting) -> Kind:
    """What settings share a pattern."""
    return setting.part, setting.regime, setting.compiled


def _ratios(one: Observed, many: Observed) -> list[float]:
    theirs = dict(zip(many.keys, many.seconds.tolist(), strict=True))
    return [
        float(np.log(seconds / theirs[key]))
        for key, seconds in zip(one.keys, one.seconds, strict=True)
        if key in theirs
    ]


def _median(values: Iterable[float | None]) -> float:
    known = [value for value in values if value]
    return float(np.median(known)) if known else 1.0
