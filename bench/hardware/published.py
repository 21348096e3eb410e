"""Results other people published: the MLPerf Inference tables, by their own rules of reading.

The tables (``hardware_profiles/published``) look uniform and are not:

1. SingleStream gives the 90th percentile of the latency; MultiStream the 99th of a query of eight
   samples, and the energy of all eight. Server gives the rate that kept a bound on the latency, and
   no latency; so does Interactive, with a tighter bound on the tokens of language models.
2. Power is that of the whole system at the wall: watts for Offline and Server, millijoules a query
   for the streams. In rounds from 4.0 on it stands in rows of its own.
3. Language models of round 4.1 say samples and mean tokens. From 5.1 on they say tokens, but for some
   rows of Interactive, which say queries and mean tokens all the same: Llama 3.1 8B on eight B200 would
   answer 102,903 queries a second, and gives out 146,960 tokens a second offline. Whisper says samples
   and means tokens: an H200 would hear 4,170 samples of half a minute in a second, 35 hours of speech.
4. The same result may stand there twice, and counts once.
5. A platform's name says which software it ran, and whether in a power-saving mode.
6. Of an accelerator cut into slices (MIG), the name says how many of them serve: ``(1x1g.10gb MIG)``
   is one slice in the whole system, however many accelerators ``n_acc`` counts there;
   ``(7x1g.10gb MIG)`` is every accelerator, cut into seven.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from bench.errors import InputError, shorten
from bench.files import LARGE, require_file
from bench.hardware.sourced import Sourced
from bench.record import Origin, Record
from bench.units import Bytes, Operations

LoadPattern = Literal["Offline", "Server", "Interactive", "SingleStream", "MultiStream"]
SAMPLES_A_QUERY = {
    "Offline": 1, "Server": 1, "Interactive": 1, "SingleStream": 1, "MultiStream": 8
}  # fmt: skip
PERCENTILE = {"SingleStream": 90.0, "MultiStream": 99.0}
TABLES = ("mlperf_inference_closed.csv", "mlperf_inference_closed_v5.csv")
"""In ``hardware_profiles/published``: rounds 2.0 to 4.1, and those from 5.1 on."""

_GENERAL_SOFTWARE = re.compile(
    r"reference|onnxruntime|tflite|armnn|pytorch|[-_]tf[-_]|deepsparse|tvm|ncnn", re.IGNORECASE
)
_ONE_SLICE = re.compile(r"\(1x[^)]*\bMIG\)")
_SAVING_MODE = re.compile("maxq", re.IGNORECASE)
_ROUNDS = {
    "v2.0": "2022-04-06", "v2.1": "2022-09-08", "v3.0": "2023-04-05", "v3.1": "2023-09-11",
    "v4.0": "2024-03-27", "v4.1": "2024-08-28", "v5.1": "2025-09-09", "v6.0": "2026-04-01",
}  # fmt: skip
"""The day on which MLCommons published a round."""
_IN_TOKENS = {
    "v4.0": ("llama2-70b",), "v4.1": ("gptj", "llama2-70b", "mixtral-8x7b"),
    "v5.1": ("whisper",), "v6.0": ("whisper",),
}  # fmt: skip
"""Models whose rates are tokens though the table says otherwise."""


class NetworkAt(Record):
    """A network of ``networks.csv`` at one input."""

    name: str
    input: int


class PublishedModel(Sourced):
    """A model of the table, and how much work one sample of it is."""

    name: str
    """As in the table, without the accuracy that it keeps."""
    title: str
    flops: Operations
    """A multiplication and an addition are two."""
    weights: Bytes
    """At four bytes each."""
    activations: Bytes | None = None
    """Written while one sample is computed, at four bytes each."""
    recurrent: bool = False
    """Computed step after step, so that one sample alone cannot fill a device."""
    task: dict[str, Any] = Field(default={})
    """The task of this program, with the options, that runs this very model."""
    network: NetworkAt | None = None
    """The network among the published times that it is, with its counts."""
    fixed_work: bool = True
    """False where the answers, and so the work, have any length."""


class PublishedModels(Record):
    """``hardware_profiles/published/models.yaml``."""

    schema_version: Literal[1]
    models: list[PublishedModel] = Field(min_length=1)


class PublishedResult(Record):
    """One row of the table, in base units."""

    round: str
    submitter: str
    platform: str
    accelerator: str
    accelerators: int
    """How many are in use, slices where it is one of them; 0 where it computes on its processor."""
    device: str | None
    """What the catalogue calls the accelerator; ``None`` where it does not know it."""
    model: str
    """With the accuracy it keeps: ``bert-99.9``."""
    pattern: LoadPattern
    unit: Literal["samples", "tokens"]
    per_s: float | None
    """Of the whole system: samples or tokens in a second."""
    latency_s: float | None
    """Of a query, at the percentile that :data:`PERCENTILE` gives."""
    power_w: float | None
    """Of the whole system, at the wall."""
    energy_j: float | None
    """Of a query, at the wall."""
    software: Literal["makers", "general"]
    """``makers``: what the chip's maker tuned for it; ``general``: a framework as anybody runs it."""
    saving: bool
    """Whether the platform ran in a power-saving mode."""
    location: str

    @property
    def family(self) -> str:
        """The model without the accuracy it keeps."""
        return re.sub(r"-99(\.9)?$", "", self.model)

    @property
    def energy_per_sample_j(self) -> float | None:
        if self.energy_j is not None:
            return self.energy_j / SAMPLES_A_QUERY[self.pattern]
        if self.power_w is not None and self.per_s:
            return self.power_w / self.per_s
        return None

    @property
    def origin(self) -> Origin:
        return Origin(
            subject=f"{self.model} {self.pattern} on {self.platform}",
            provenance="published",
            source=f"MLPerf Inference, closed division, from mlcommons/{_copy_of(self.round)}, "
            f"{self.round}, {self.location}",
            as_of=_ROUNDS[self.round],
        )


def read_results(path: Path, devices: Mapping[str, str]) -> list[PublishedResult]:
    """Every row of a table once; ``devices``: what the catalogue calls an accelerator.

    Raises:
        InputError: a row that cannot be what the table's rules say.
    """
    found: dict[PublishedResult, None] = {}
    try:
        require_file(path, LARGE)
        with path.open(newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file, strict=True)
            try:
                _check_columns(rows.fieldnames or ())
                for row in rows:
                    found[_result(row, devices)] = None
            except (ValueError, csv.Error) as error:
                # What is no CSV is not counted as read.
                line = rows.line_num + isinstance(error, csv.Error)
                raise InputError(
                    f"not a row of published results: {shorten(' '.join(str(error).split()), 160)}",
                    where=f"{path}:{max(line, 1)}:1",
                ) from error
    except OSError as error:
        raise InputError(f"the file cannot be read ({error.strerror})", where=str(path)) from error
    return list(found)


def _check_columns(columns: Sequence[str]) -> None:
    if missing := [column for column in _COLUMNS if column not in columns]:
        raise ValueError(f"no column {', '.join(missing)}")


def _result(row: Mapping[str, str], devices: Mapping[str, str]) -> PublishedResult:
    if None in row or None in row.values():
        raise ValueError(f"it has {'more' if None in row else 'fewer'} cells than the head")
    pattern, round_ = row["scenario"], row["version"]
    if pattern not in SAMPLES_A_QUERY:
        raise ValueError(f"unknown scenario {pattern!r} (allowed: {', '.join(SAMPLES_A_QUERY)})")
    if round_ not in _ROUNDS:
        raise ValueError(f"unknown round {round_!r} (allowed: {', '.join(_ROUNDS)})")
    stream = pattern in PERCENTILE
    units, power_unit = _UNITS[pattern]
    if row["unit"] not in units:
        raise ValueError(f"{pattern} in {row['unit']!r} (allowed: {', '.join(units)})")
    if row["power"] and row["power_unit"] != power_unit:
        raise ValueError(f"power of {pattern} in {row['power_unit']!r} (allowed: {power_unit})")
    value = _positive("result", row["result"])
    power = _positive("power", row["power"]) if row["power"] else None
    count = float(row["n_acc"] or 0)
    if not (count >= 0 and count.is_integer()):
        raise ValueError(f"n_acc {row['n_acc']!r} is not a number of accelerators")
    accelerator = row["accelerator"].strip(" -")
    return PublishedResult(
        round=round_,
        submitter=row["org"],
        platform=row["platform"],
        accelerator=accelerator,
        accelerators=min(int(count), 1) if _ONE_SLICE.search(accelerator) else int(count),
        device=devices.get(accelerator),
        model=row["model"],
        pattern=pattern,
        unit="tokens" if not stream and _counts_tokens(row) else "samples",
        per_s=None if stream else value,
        latency_s=value / 1e3 if stream else None,
        power_w=None if stream else power,
        energy_j=power / 1e3 if stream and power is not None else None,
        software="general" if _GENERAL_SOFTWARE.search(row["platform"]) else "makers",
        saving=bool(_SAVING_MODE.search(row["platform"])),
        location=row["location"],
    )


def _counts_tokens(row: Mapping[str, str]) -> bool:
    if row["unit"] == "Tokens/s" or row["scenario"] == "Interactive":
        return True
    return row["model"].startswith(_IN_TOKENS.get(row["version"], ("\n",)))


def _copy_of(round_: str) -> str:
    """The repository that the rows of a round were read in."""
    return f"inference_results_{round_}" if round_ > "v5" else "cm4mlperf-results"


def _positive(key: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise ValueError(f"{key} {shorten(text)!r} is not a number above zero")
    return value


_UNITS = {
    "Offline": (("Samples/s", "Tokens/s"), "Watts"),
    "Server": (("Queries/s", "Tokens/s"), "Watts"),
    "Interactive": (("Tokens/s", "Queries/s"), "Watts"),
    "SingleStream": (("Latency (ms)",), "millijoules"),
    "MultiStream": (("Latency (ms)",), "millijoules"),
}
_COLUMNS = (
    "version", "org", "platform", "accelerator", "n_acc", "model", "scenario", "result", "unit",
    "power", "power_unit", "location",
)  # fmt: skip
