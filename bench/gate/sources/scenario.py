"""A scenario or suite: what `bench measure` sees of its arms, or what `bench run` makes of them.

Read as JSON and Parquet, not as records: the other side may be of a version whose records were others. Of
a scenario with one arm, figures have plain names; of several, each begins with its arm's or deployment's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from bench.gate.figures import Figure
from bench.record import Record
from bench.stats import sample_floor

NEEDS = ()
BY_TURNS = True
RESULT = "run"
STEPS = ("input", "preprocess", "execute", "predict", "postprocess", "output")
SINGLE = "single-stream"


class Options(Record):
    """Which, and how far."""

    path: str
    """Of the scenario, in the side's folder."""
    goal: Literal["measure", "run"] = "measure"
    """``run`` also simulates, and has dollars per million."""
    budget: str = "gate"


def command(options: Options, result: Path) -> list[str]:
    return [
        "-m", "bench", options.goal, options.path, "--budget", options.budget, "--out", str(result), "--quiet",
        "--engine", "inline",  # this is a fresh process already
    ]  # fmt: skip


def figures(options: Options, result: Path) -> dict[str, Figure]:
    if not (result / "measurement.json").is_file():
        return {}
    arms = json.loads((result / "measurement.json").read_text())["arms"]
    batches, requests = (
        pd.read_parquet(result / f"{name}.parquet") for name in ("batches", "requests")
    )
    found: dict[str, Figure] = {}
    for arm in arms:
        prefix = f"{arm['arm']} " if len(arms) > 1 else ""
        own = (
            table[(table["arm"] == arm["arm"]) & (table["phase"] == SINGLE)]
            for table in (batches, requests)
        )
        found |= dict(_named(prefix, _measured(arm, *own)))
    if (result / "comparison.json").is_file():
        ranking = json.loads((result / "comparison.json").read_text())["ranking"]
        for ranked in ranking:
            prefix = f"{ranked['deployment']} " if len(ranking) > 1 else ""
            found |= dict(_named(prefix, _simulated(ranked)))
    return found


def _named(prefix: str, figures: Iterator[tuple[str, Figure]]) -> Iterator[tuple[str, Figure]]:
    for name, figure in figures:
        part_of = figure.part_of and prefix + figure.part_of
        yield prefix + name, figure.model_copy(update={"part_of": part_of})


def _measured(
    arm: dict[str, Any], batches: pd.DataFrame, requests: pd.DataFrame
) -> Iterator[tuple[str, Figure]]:
    answered = requests[requests["error"].isna()] if len(requests) else requests
    times = (answered["finished_ns"] - answered["scheduled_ns"]).to_numpy() / 1e9
    for percentile in (50, 99):
        yield f"p{percentile}", _quantile(times, percentile / 100)
    for step in STEPS if len(batches) else ():
        yield f"{step} step", Figure.seen(float(batches[f"{step}_s"].median()), "s", part_of="p50")
    for load in arm["loads"]:
        if load["kind"] == "offline":
            yield "throughput", Figure.seen(load["throughput"]["value"], "1/s", better="higher")
    yield "cold start", Figure.seen(arm["load"]["value"] + arm["first_call"]["value"], "s")
    peak = max(one["memory_peak_bytes"] for one in arm["replicates"])
    yield "memory", Figure.seen(peak, "bytes")
    energy = [one["energy_per_inference_j"] for one in arm["power"]]
    if energy:
        yield "energy", Figure(value=energy[0]["value"], unit="J", reason=energy[0]["reason"])
    for score in arm["accuracy"]:
        name = (
            score["metric"] if score["group"] == "all" else f"{score['metric']} of {score['group']}"
        )
        yield name, Figure.seen(score["value"], "share", better="equal", exact=True)
    if (agreement := arm["agreement"]) and agreement["answered"]:
        share = agreement["agreeing"] / agreement["answered"]
        yield "agreement", Figure.seen(share, "share", better="higher", exact=True)


def _quantile(times: Any, share: float) -> Figure:
    if len(times) < (needed := sample_floor(share)):
        return Figure(
            value=None, unit="s", reason=f"insufficient: {len(times)} of {needed} requests"
        )
    return Figure.seen(float(np.quantile(times, share)), "s")


def _simulated(ranked: dict[str, Any]) -> Iterator[tuple[str, Figure]]:
    for name, key in (("dollars per million", "usd_per_million"), ("simulated p99", "p99_s")):
        estimate = ranked[key]
        unit = "USD" if key.startswith("usd") else "s"
        yield (
            name,
            Figure.model_validate(
                {"value": estimate["value"], "unit": unit, "reason": estimate["reason"]}
            ),
        )
