"""A suite that uses pytest-benchmark's fixture, as it is; a figure is the median time of one test."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from pydantic import Field

from bench.gate.figures import Figure
from bench.record import Record
from bench.units import PositiveSeconds

NEEDS = ("pytest", "pytest-benchmark")
RESULT = "benchmark.json"
FEWEST = 5


class Options(Record):
    """What is run of the suite."""

    path: list[str] = Field(default=[])
    """As pytest takes them; none: what the project's settings say."""
    arguments: list[str] = Field(default=[])
    """More of pytest's own."""
    sample: PositiveSeconds = 0.1
    """Calls are batched until one sample takes so long."""


def command(options: Options, result: Path) -> list[str]:
    return [
        "-m", "pytest", *options.path, "--benchmark-only", f"--benchmark-json={result}",
        f"--benchmark-min-time={options.sample:g}", f"--benchmark-min-rounds={FEWEST}",
        f"--benchmark-max-time={FEWEST * options.sample:g}", "--benchmark-warmup=off", "-p", "no:cacheprovider",
        *options.arguments,
    ]  # fmt: skip


def figures(options: Options, result: Path) -> dict[str, Figure]:
    if not result.is_file() or not result.stat().st_size:
        return {}
    seen: list[dict[str, Any]] = json.loads(result.read_text())["benchmarks"]
    alike = Counter(one["name"] for one in seen)
    return {
        one["name"] if alike[one["name"]] == 1 else one["fullname"]: Figure.seen(
            one["stats"]["median"], "s"
        )
        for one in seen
    }
