"""How far projections are from published results that they were not made of.

For every group that is left out - a model on a device, a device, a chip with all its devices, a
model everywhere - the process is fitted anew without it, asked for it, and the width of its
intervals is taken from the other groups alone. Nothing of what is asked is in any number.

The baseline knows a device and a model by one number each, and adds their logarithms.
"""

from __future__ import annotations

import os
import re
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from typing import Any

import numpy as np

from bench.hardware import Catalogue, PublishedModel, PublishedResult
from bench.profile.projection import FIGURES, PROJECTED, Projector, Question, Refused
from bench.profile.projection.cells import WORST_OF_BEST, Cells
from bench.profile.projection.process import fit, predict
from bench.profile.projection.project import NORMAL_90, WIDEST, groups, held_out
from bench.profile.projection.quantities import table
from tests.evidence.record import save

FIVE = ("resnet50", "bert-99", "retinanet", "rnnt", "3d-unet-99")
KINDS: dict[str, Question] = {
    "known device": "known device",
    "data sheet": "data sheet",
    "chip": "data sheet",
    "counted work": "counted work",
}
"""What is left out, and the question that is asked then."""
DIES = {
    "nvidia-a100": "GA100",
    "nvidia-a30": "GA100",
    "nvidia-a10": "GA102",
    "nvidia-a40": "GA102",
    "nvidia-a2": "GA107",
    "nvidia-h100": "GH100",
    "nvidia-h200": "GH100",
    "nvidia-gh200": "GH100",
    "nvidia-l40": "AD102",
    "nvidia-rtx-4090": "AD102",
    "nvidia-l4": "AD104",
    "nvidia-t4": "TU104",
    "nvidia-jetson": "Orin",
    "qualcomm-cloud-ai-100": "Cloud AI 100",
}
"""By how the name begins, the longest beginning first; other devices are chips of their own."""

Found = dict[tuple[str, str], tuple[float, float]]
"""By mode and model: mean of the logarithm, and its deviation as scaled."""


@dataclass(frozen=True)
class Job:
    quantity: str
    kind: str
    group: str


def main() -> None:
    # Two processes of one thread: matrices of 300 gain nothing from more threads.
    os.environ.update({"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"})
    jobs = [
        Job(quantity, kind, group)
        for kind in KINDS
        for quantity in PROJECTED
        if quantity != "concurrency" or kind == "counted work"
        for group in np.unique(grouped(cells_of(quantity), kind))
    ]
    found: dict[tuple[str, str], Found] = defaultdict(dict)
    workers = min(os.cpu_count() or 1, 4)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for number, (job, answers) in enumerate(zip(jobs, pool.map(ask, jobs), strict=True), 1):
            found[job.kind, job.quantity].update(answers)
            if number % 50 == 0 or number == len(jobs):
                print(f"{number} of {len(jobs)}: {job.kind}, {job.quantity}", file=sys.stderr)
    found["counted work", "latency"] = quotient(
        found["counted work", "concurrency"], found["counted work", "throughput"]
    )
    save(
        "projection",
        {
            "table": of_the_table(),
            "held_out": [
                summed(kind, quantity, found[kind, quantity])
                for kind in KINDS
                for quantity in FIGURES
            ],
            "baseline": baseline(found["known device", "throughput"]),
            "spread": {quantity: spread(quantity) for quantity in FIGURES},
            "served_above_offline": served_above_offline(catalogue().published),
            "software": software(),
            "refused_devices": refused_devices(),
            "refused_models": refused_models(),
        },
    )


@cache
def catalogue() -> Catalogue:
    return Catalogue()


@cache
def cells_of(quantity: str) -> Cells:
    known = catalogue()
    return table(quantity, known.published, known.devices, known.published_models)


def die(device: str) -> str:
    beginnings = sorted((name for name in DIES if device.startswith(name)), key=len)
    return DIES[beginnings[-1]] if beginnings else device


def grouped(cells: Cells, kind: str) -> np.ndarray:
    if kind == "chip":
        return np.array([die(device) for device in cells.device], dtype=object)
    return groups(cells, KINDS[kind])


def ask(job: Job) -> Found:
    """What everything else says of one group: fitted, asked and scaled without it."""
    cells, question = cells_of(job.quantity), KINDS[job.kind]
    own = grouped(cells, job.kind) == job.group
    known, asked = cells.where(~own), cells.where(own)
    if question == "known device" and asked.device[0] not in known.device:
        return {}
    fitted = fit(known)
    mean, deviation = predict(known, asked, fitted)
    error = deviation * held_out(known, fitted, question).scale
    return dict(zip(asked.keys, zip(mean, error, strict=True), strict=True))


def quotient(above: Found, below: Found) -> Found:
    """Little's law, as the projection of a new model's latency has it."""
    return {
        key: (max(mean, 0.0) - below[key][0], float(np.hypot(error, below[key][1])))
        for key, (mean, error) in above.items()
    }


def summed(kind: str, quantity: str, found: Found) -> dict[str, Any]:
    """Errors and coverage of one quantity; ``answered`` are those that would not be refused."""
    cells, refuses = cells_of(quantity), refusals(kind, quantity)
    rows = []
    for key, log, device, family in zip(
        cells.keys, cells.log, cells.device, cells.family, strict=True
    ):
        if key in found:
            mean, error = found[key]
            rows.append(
                {
                    "device": device,
                    "family": family,
                    "away": abs(float(np.exp(mean - log)) - 1),
                    "within": bool(abs(mean - log) <= NORMAL_90 * error),
                    "outside": refuses(device, family),
                    "wide": bool(NORMAL_90 * error > WIDEST),
                }
            )
    answered = [row for row in rows if not row["outside"] and not row["wide"]]
    return {
        "left_out": kind,
        "quantity": quantity,
        "cells": len(answered),
        "devices": len({row["device"] for row in answered}),
        **errors(answered),
        "coverage": mean_of(row["within"] for row in answered),
        "families": by(answered, "family"),
        "by_device": by(answered, "device"),
        "refused_outside": sum(row["outside"] for row in rows),
        "refused_too_wide": sum(row["wide"] and not row["outside"] for row in rows),
        "with_refused": {**errors(rows), "coverage": mean_of(row["within"] for row in rows)},
    }


def refusals(kind: str, quantity: str) -> Callable[[str, str], bool]:
    """Whether a device or a model would be refused, were all of its group not in the table."""
    known = catalogue()

    @cache
    def refused(device: str, family: str) -> bool:
        model = known.published_models[family]
        alike = die(device) if kind == "chip" else None
        projector = without(alike, family if kind == "counted work" else None)
        try:
            projector.require_support(device, model, quantity)
        except Refused:
            return True
        return False

    return refused


@cache
def without(chip: str | None, family: str | None) -> Projector:
    known = catalogue()
    results = [
        row
        for row in known.published
        if row.device is None or (die(row.device) != chip and row.family != family)
    ]
    models = {name: m for name, m in known.published_models.items() if name != family}
    return Projector(results, known.devices, models)


def errors(rows: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """Quartiles of \\|projected ÷ published - 1\\|."""
    if not rows:
        return {"median": None, "lower": None, "upper": None}
    lower, median, upper = np.quantile([row["away"] for row in rows], [0.25, 0.5, 0.75])
    return {"median": rounded(median), "lower": rounded(lower), "upper": rounded(upper)}


def by(rows: Sequence[Mapping[str, Any]], column: str) -> dict[str, dict[str, Any]]:
    return {
        name: {
            "cells": len(own),
            "median": errors(own)["median"],
            "coverage": mean_of(row["within"] for row in own),
        }
        for name in sorted({row[column] for row in rows})
        if (own := [row for row in rows if row[column] == name])
    }


def baseline(found: Found) -> dict[str, Any]:
    """Device + model, leaving one cell out; and ours, where both answer."""
    cells = cells_of("throughput")
    plain = {
        (mode, model): log
        for mode, model, log, saving in zip(
            cells.mode, cells.model, cells.log, cells.saving, strict=True
        )
        if model in FIVE and not saving
    }
    theirs = additive(plain)
    both = [key for key in theirs if key in found]
    raw = defaultdict(list)
    for row in catalogue().published:
        if row.pattern == "Offline" and row.model in FIVE and row.accelerators and row.per_s:
            raw[row.accelerator, row.model].append(row.per_s / row.accelerators)
    unscreened = {key: float(np.log(statistics.median(values))) for key, values in raw.items()}
    unscreened_errors = additive(unscreened)
    ours = [{"away": abs(np.exp(found[key][0] - plain[key]) - 1)} for key in both]
    return {
        "cells": len(both),
        "devices": len({mode for mode, _ in both}),
        "ours": errors(ours),
        "device_plus_model": errors([{"away": theirs[key]} for key in both]),
        "unscreened": {
            "cells": len(unscreened_errors),
            "accelerators": len({name for name, _ in unscreened_errors}),
            **errors([{"away": away} for away in unscreened_errors.values()]),
        },
    }


def additive(cells: Mapping[tuple[str, str], float]) -> dict[tuple[str, str], float]:
    """Errors of least squares of log = device + model, where the device has another model."""
    keys, y = list(cells), np.array(list(cells.values()))
    devices, models = (sorted({key[place] for key in keys}) for place in (0, 1))
    design = np.zeros((len(keys), len(devices) + len(models)))
    for number, (device, model) in enumerate(keys):
        design[number, devices.index(device)] = 1
        design[number, len(devices) + models.index(model)] = 1
    found = {}
    for number, key in enumerate(keys):
        rest = np.arange(len(keys)) != number
        if any(keys[other][0] == key[0] for other in np.flatnonzero(rest)):
            effects = np.linalg.lstsq(design[rest], y[rest], rcond=None)[0]
            found[key] = abs(float(np.exp(design[number] @ effects - y[number])) - 1)
    return found


def spread(quantity: str) -> dict[str, Any]:
    """How far the results of one cell lie from their median: makers of systems, rounds."""
    figure, cells = FIGURES[quantity], cells_of(quantity)
    known = {(mode, model): [] for mode, model in cells.keys}
    for row in catalogue().published:
        key = (f"{row.device} {row.saving}", row.model)
        value = figure.of(row) if row.software == "makers" and row.accelerators else None
        if key in known and value is not None:
            known[key].append(value if figure.more_is_better else 1 / value)
    away, widest = [], []
    for values in known.values():
        kept = [value for value in values if value > max(values) / WORST_OF_BEST]
        if len(kept) > 1:
            away += [{"away": abs(value / statistics.median(kept) - 1)} for value in kept]
            widest.append(max(kept) / min(kept))
    return {
        "cells": len(widest),
        "results": len(away),
        **errors(away),
        "median_best_of_worst": rounded(statistics.median(widest)),
    }


def of_the_table() -> dict[str, Any]:
    rows = catalogue().published
    return {
        "rows": len(rows),
        "rounds": sorted({row.round for row in rows}),
        "quantities": {
            name: {
                "cells": len(cells),
                "results": int(cells.results.sum()),
                "devices": len(set(cells.device)),
                "models": len(set(cells.family)),
            }
            for name in FIGURES
            if (cells := cells_of(name))
        },
    }


def served_above_offline(rows: Iterable[PublishedResult]) -> dict[str, int]:
    """Systems whose rate with a bound on the latency exceeds that without one."""
    best: dict[tuple[Any, ...], dict[str, float]] = defaultdict(dict)
    for row in rows:
        if row.per_s is not None:
            key = (row.round, row.submitter, row.platform, row.accelerator, row.accelerators)
            key += (row.model, row.unit)
            best[key][row.pattern] = max(row.per_s, best[key].get(row.pattern, 0.0))
    both = [found for found in best.values() if {"Server", "Offline"} <= found.keys()]
    ratios = [found["Server"] / found["Offline"] for found in both]
    return {
        "systems": len(ratios),
        "above": sum(ratio > 1 for ratio in ratios),
        "above_by_5_percent": sum(ratio > 1.05 for ratio in ratios),
        "above_by_30_percent": sum(ratio > 1.3 for ratio in ratios),
    }


def software() -> list[dict[str, Any]]:
    """ResNet-50 on one and the same accelerator: what software alone makes of it."""
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for row in catalogue().published:
        where = re.search(r"reference-([cg]pu)-(onnxruntime|tf)", row.platform)
        if (row.model, row.pattern) != ("resnet50", "Offline") or row.per_s is None:
            continue
        if row.device == "nvidia-t4" and row.software == "makers":
            found["the maker's", "T4"].append(row.per_s / row.accelerators)
        elif where and row.platform.startswith("aws_g4dn.xlarge"):
            place = "T4" if where[1] == "gpu" else "the processor beside it"
            name = {"onnxruntime": "ONNX Runtime", "tf": "TensorFlow"}[where[2]]
            found[f"{name}, as the benchmark's reference runs it", place].append(row.per_s)
    return [
        {
            "software": name,
            "on": place,
            "results": len(values),
            "lowest": rounded(min(values)),
            "highest": rounded(max(values)),
        }
        for (name, place), values in found.items()
    ]


def refused_devices() -> dict[str, str]:
    resnet = catalogue().published_models["resnet50"]
    return reasons({name: (name, resnet) for name in catalogue().devices})


def refused_models() -> dict[str, str]:
    return reasons({name: ("nvidia-t4", m) for name, m in catalogue().published_models.items()})


def reasons(asked: Mapping[str, tuple[str, PublishedModel]]) -> dict[str, str]:
    found = {}
    for name, (device, model) in asked.items():
        try:
            without(None, None).require_support(device, model)
        except Refused as refused:
            found[name] = refused.what.partition(": ")[2]
    return found


def mean_of(values: Iterable[bool]) -> float | None:
    listed = list(values)
    return rounded(float(np.mean(listed))) if listed else None


def rounded(value: float) -> float:
    return round(float(value), 4)


if __name__ == "__main__":
    main()
