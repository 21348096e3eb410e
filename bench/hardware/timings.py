"""Times of networks on devices that other people published, as one compact table.

Three files under ``hardware_profiles/published``: ``networks.csv`` is what a sample of each network
computes and writes, ``settings.csv`` what ran where (device × runtime × precision, one request at a
time or full batches), and ``timings.csv`` the milliseconds of a sample of each network in each
setting. How they were made, by which rules, is in their README; nothing in them is projected.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar, get_args

from bench.counts import COUNTS, Counts
from bench.errors import InputError, shorten
from bench.files import LARGE, require_file

Regime = Literal["one", "many"]
"""One request at a time, or full batches."""
T = TypeVar("T")


@dataclass(frozen=True)
class Network:
    """A published network at one input."""

    name: str
    input: int
    """Side of an image in pixels, or length of a text in tokens."""
    family: str
    counts: Counts


@dataclass(frozen=True)
class Setting:
    """What ran where."""

    number: int
    device: str
    runtime: str
    precision: str
    regime: Regime
    match: str
    """``exact``, ``class`` (memory, clock or host may differ) or ``chip`` (another host)."""
    source: str
    as_of: str
    licence: str


@dataclass(frozen=True)
class Timings:
    """The whole table; ``seconds`` a sample by setting and network."""

    networks: Mapping[tuple[str, int], Network]
    settings: Mapping[int, Setting]
    seconds: Mapping[int, Mapping[tuple[str, int], float]]


def read_timings(folder: Path) -> Timings:
    """The table in ``folder``.

    Raises:
        InputError: a file that cannot be read, or a row that cannot be of such a table.
    """
    networks = {
        (network.name, network.input): network
        for network in _rows(folder / "networks.csv", _network)
    }
    settings = {setting.number: setting for setting in _rows(folder / "settings.csv", _setting)}
    seconds: dict[int, dict[tuple[str, int], float]] = {number: {} for number in settings}

    def take(row: Mapping[str, str]) -> None:
        key = (row["network"], int(row["input"]))
        if key not in networks:
            raise ValueError(f"{key[0]} at {key[1]} is not in networks.csv")
        if int(row["setting"]) not in seconds:
            raise ValueError(f"setting {row['setting']} is not in settings.csv")
        seconds[int(row["setting"])][key] = _positive(row["ms"]) / 1e3

    for _ in _rows(folder / "timings.csv", take):
        pass
    return Timings(networks, settings, seconds)


def _network(row: Mapping[str, str]) -> Network:
    counts = Counts(*(float(row[key]) for key in COUNTS))
    if not all(0 <= value < math.inf for value in counts) or counts.layers < 1:
        raise ValueError(f"{row['network']}: a count below zero, or no layer")
    return Network(row["network"], int(row["input"]), row["family"], counts)


def _setting(row: Mapping[str, str]) -> Setting:
    regime = row["regime"]
    if regime not in get_args(Regime):
        raise ValueError(f"unknown regime {regime!r} (allowed: {', '.join(get_args(Regime))})")
    words = (row[key] for key in ("match", "source", "as_of", "licence"))
    return Setting(
        int(row["setting"]), row["device"], row["runtime"], row["precision"],
        "one" if regime == "one" else "many", *words,
    )  # fmt: skip


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise ValueError(f"{shorten(text)!r} is not a time above zero")
    return value


def _rows(path: Path, made: Callable[[Mapping[str, str]], T]) -> Iterator[T]:
    try:
        require_file(path, LARGE)
        with path.open(newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file, strict=True)
            try:
                for row in rows:
                    yield made(row)
            except (ValueError, KeyError, TypeError, csv.Error) as error:
                raise InputError(
                    f"not a row of published times: {shorten(' '.join(str(error).split()), 160)}",
                    where=f"{path}:{max(rows.line_num, 1)}:1",
                ) from error
    except OSError as error:
        raise InputError(f"the file cannot be read ({error.strerror})", where=str(path)) from error
