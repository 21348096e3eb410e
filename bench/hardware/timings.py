"""Times of networks on devices that other people published, as one compact table.

Three files under ``hardware_profiles/published``: ``networks.csv`` is what a sample of each network
computes and writes, ``settings.csv`` what ran where (device × runtime × precision, one request at a
time or full batches), and ``timings.csv`` the milliseconds of a sample of each network in each
setting. How they were made, by which rules, is in their README; nothing in them is projected.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, get_args

from bench.counts import COUNTS, Counts
from bench.errors import shorten
from bench.hardware.tables import read_rows

Regime = Literal["one", "many"]
"""One request at a time, or full batches."""
Part = Literal["cpu", "gpu", "npu"]
Key = tuple[str, int]
"""A network and its input: the side of an image in pixels, or the length of a text in tokens."""


@dataclass(frozen=True)
class Network:
    """A published network at one input."""

    key: Key
    family: str
    """Of the architecture: what is left out together when projections are tried."""
    counts: Counts


@dataclass(frozen=True)
class Setting:
    """What ran where."""

    device: str
    part: Part
    """Of the device, what computed."""
    runtime: str
    precision: str
    regime: Regime
    match: str
    """``exact``, ``class`` (memory, clock or host may differ) or ``chip`` (another host)."""
    source: str
    as_of: str

    @property
    def software(self) -> str:
        """The runtime without its version: the first word of its name, in small letters."""
        return self.runtime.split()[0].rstrip(",").lower()

    @property
    def compiled(self) -> bool:
        """Whether it is software of the chip's maker, which fuses what frameworks write out."""
        return bool(_COMPILED.search(self.runtime))

    @property
    def threads(self) -> int | None:
        """How many ran, where the runtime says so."""
        found = _THREADS.search(self.runtime)
        return int(found[1]) if found else None


@dataclass(frozen=True)
class Timings:
    """The whole table; ``seconds`` a sample by setting and network."""

    networks: Mapping[Key, Network]
    seconds: Mapping[Setting, Mapping[Key, float]]


def read_timings(folder: Path) -> Timings:
    """The table in ``folder``.

    Raises:
        InputError: a file that cannot be read, or a row that cannot be of such a table.
    """
    networks = {network.key: network for network in read_rows(folder / "networks.csv", _network)}
    settings = dict(read_rows(folder / "settings.csv", _setting))
    seconds: dict[Setting, dict[Key, float]] = {setting: {} for setting in settings.values()}

    def taken(row: Mapping[str, str]) -> None:
        key = (row["network"], int(row["input"]))
        if key not in networks:
            raise ValueError(f"{key[0]} at {key[1]} is not in networks.csv")
        if row["setting"] not in settings:
            raise ValueError(f"setting {row['setting']} is not in settings.csv")
        seconds[settings[row["setting"]]][key] = _positive(row["ms"]) / 1e3

    for _ in read_rows(folder / "timings.csv", taken):
        pass
    return Timings(networks, seconds)


def _network(row: Mapping[str, str]) -> Network:
    counts = Counts(*(float(row[key]) for key in COUNTS))
    if not all(0 <= value < math.inf for value in counts) or counts.layers < 1:
        raise ValueError(f"{row['network']}: a count below zero, or no layer")
    return Network((row["network"], int(row["input"])), row["family"], counts)


def _setting(row: Mapping[str, str]) -> tuple[str, Setting]:
    for column, allowed in (("regime", get_args(Regime)), ("part", get_args(Part))):
        if row[column] not in allowed:
            raise ValueError(f"unknown {column} {row[column]!r} (allowed: {', '.join(allowed)})")
    return row["setting"], Setting(**{name: row[name] for name in _SETTING})  # type: ignore[arg-type]


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise ValueError(f"{shorten(text)!r} is not a time above zero")
    return value


_COMPILED = re.compile("tensorrt|mlperf|fastertransformer", re.IGNORECASE)
_THREADS = re.compile(r"(\d+) threads")
_SETTING = tuple(field.name for field in fields(Setting))
