"""How far projections are from published results that they were not made of, question by question.

``python -m tests.evidence.projection`` writes ``likeness.csv`` and ``held_out.csv`` under
``hardware_profiles/published``, which projections take their intervals from, and the figures of the docs.

- ``new``: a network whose whole family of architectures was left out of its setting;
- ``few``: a network left out of a setting with few others;
- ``elsewhere``: one cell left out, its network being published in other settings;
- ``measured``: as ``new``, and its time in one setting of another device is known, where its family was
  left out likewise;
- ``data sheet``: all of a device left out.

An interval is tried on a device with the errors of the other devices alone (of the other families, where
a setting stands by itself), so that coverage is no tautology.
"""

from __future__ import annotations

import csv
import itertools
import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bench.hardware import Catalogue, Key
from bench.profile.projection.benchmarks import RUNTIME
from bench.profile.projection.errors import FOLDS, NORMAL_90
from bench.profile.projection.likeness import carried, relation
from bench.profile.projection.observed import Observations, Observed, kind_of
from bench.profile.projection.project import Projector
from tests.evidence.record import save

FOLDER = Path(__file__).parents[2] / "hardware_profiles" / "published"
CELLS_A_SETTING = 12
"""Of a setting with thousands of cells so many are tried, drawn by a fixed seed."""
ANCHORS = 6
"""So many settings of other devices stand for the calibrated machine, drawn likewise."""
FEWEST_COMMON = 3
CATALOGUE = Catalogue()
OLD = Path(__file__).parents[2] / "docs" / "evidence" / "projection_before.json"
"""What the method before this one, a Gaussian process over nine models, was seen to do."""


class Tried(NamedTuple):
    """One answer: log projected − log published."""

    question: str
    part: str
    regime: str
    device: str
    family: str
    away: float
    setting: str
    network: str
    pair: str = ""
    """Of the calibrated machine and the device asked for: ``gpu`` or ``other``."""


def main() -> None:
    projector = Projector(CATALOGUE)
    observations = projector.observations
    write("likeness.csv", ("relation", "correlation", "pairs"), likeness(observations))
    tried = [
        *new(projector), *few(projector), *elsewhere(projector), *measured(projector),
        *by_data_sheet(projector),
    ]  # fmt: skip
    rows = summed(tried, ("question", "part", "regime"))
    write("held_out.csv", ("question", "part", "regime", "cells", "median", "log_error"), rows)
    save("projection", figures(projector, tried))


def likeness(observations: Observations) -> Iterator[tuple[str, str, int]]:
    """How residuals of the same networks go together, by what two settings share."""
    sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0, 0])
    for one, other in itertools.combinations(observations.every.values(), 2):
        common = one.residuals.keys() & other.residuals.keys()
        if len(common) < FEWEST_COMMON:
            continue
        weight = min(1.0, 40 / len(common))
        a = np.array([one.residuals[key] for key in common])
        b = np.array([other.residuals[key] for key in common])
        for number, value in enumerate((a @ b, a @ a, b @ b)):
            sums[relation(one.setting, other.setting)][number] += weight * float(value)
        sums[relation(one.setting, other.setting)][3] += 1
    for name, (ab, aa, bb, pairs) in sorted(sums.items()):
        yield name, f"{max(ab / np.sqrt(aa * bb), 0.0):.3f}", int(pairs)


def new(projector: Projector) -> Iterator[Tried]:
    for observed in projector.observations.every.values():
        if projector.sureness.well_known(observed):
            for key, away in zip(observed.keys, projector.sureness.left_out(observed), strict=True):
                yield of("new", observed, key, float(away))


def family_of(key: Key) -> str:
    return CATALOGUE.timings.networks[key].family


def few(projector: Projector) -> Iterator[Tried]:
    for observed in projector.observations.every.values():
        if not projector.sureness.well_known(observed) and len(observed.keys) >= FEWEST_COMMON:
            for key in observed.keys:
                yield left_out(projector, observed, key, "few", [])


def elsewhere(projector: Projector) -> Iterator[Tried]:
    draw = np.random.default_rng(0)
    by_network = projector.observations.by_network
    for observed in projector.observations.every.values():
        for number in draw.permutation(len(observed.keys))[:CELLS_A_SETTING]:
            key = observed.keys[number]
            known = [
                (other, other.residuals[key]) for other in by_network[key] if other is not observed
            ]
            if known and len(observed.keys) > FEWEST_COMMON:
                yield left_out(projector, observed, key, "elsewhere", known)


def left_out(
    projector: Projector, observed: Observed, key: Any, question: str, known: Sequence[Any]
) -> Tried:
    rest = observed.without({key})
    number = observed.keys.index(key)
    log = float(np.log(observed.x[number] @ rest.costs))
    if known:
        log += rest.sigma * carried(rest, known, projector.likeness)
    return of(question, observed, key, log - float(np.log(observed.seconds[number])))


def measured(projector: Projector) -> Iterator[Tried]:
    """The calibrated machine is each of some settings of other devices in turn."""
    draw = np.random.default_rng(1)
    settings = [
        o for o in projector.observations.every.values() if projector.sureness.well_known(o)
    ]
    for observed in settings:
        others = [o for o in settings if o.setting.device != observed.setting.device]
        others = [o for o in others if o.setting.regime == observed.setting.regime] or others
        for number in draw.permutation(len(others))[:ANCHORS]:
            yield from measured_on(projector, observed, others[number])


def measured_on(projector: Projector, observed: Observed, anchor: Observed) -> Iterator[Tried]:
    gpus = {observed.setting.part, anchor.setting.part} == {"gpu"}
    families = {key: family_of(key) for key in (*observed.keys, *anchor.keys)}
    order = sorted(set(families.values()))
    for fold in range(FOLDS):
        out = set(order[fold::FOLDS])
        gone = {key for key, family in families.items() if family in out}
        common = [key for key in observed.keys if key in gone and key in anchor.keys]
        if not common or len(gone & set(observed.keys)) > 0.8 * len(observed.keys):
            continue
        rest, there = observed.without(gone), anchor.without(gone)
        if min(len(there.keys), len(rest.keys)) < FEWEST_COMMON:
            continue
        for key in common[:CELLS_A_SETTING]:
            counts = projector.observations.counts[key]
            seen = float(anchor.seconds[anchor.keys.index(key)])
            z = carried(rest, [(there, there.residual(counts, seen))], projector.likeness)
            real = float(np.log(observed.seconds[observed.keys.index(key)]))
            log = rest.log_seconds(counts) + rest.sigma * z
            yield of("measured", observed, key, log - real, "gpu" if gpus else "other")


def by_data_sheet(projector: Projector) -> Iterator[Tried]:
    """Each device in turn, and the pattern of its kind made anew of the others."""
    observations = projector.observations
    devices = CATALOGUE.devices
    every = {s: dict(zip(o.keys, o.seconds, strict=True)) for s, o in observations.every.items()}
    for name in sorted({setting.device for setting in every}):
        if devices[name].data_sheet is None:
            continue
        rest = {s: own for s, own in every.items() if s.device != name}
        others = Observations(rest, observations.counts, devices)
        whole = [s for own in observations.whole.values() for s in own if s.device == name]
        for setting in whole:
            asked_so = setting.compiled or setting.part == "cpu"
            if not asked_so or not others.knows(kind_of(setting)):
                continue
            observed = observations.every[setting]
            logs = np.log(observed.x @ others.expected(setting)) - np.log(observed.seconds)
            # One number a setting: its networks are all off by the same level.
            yield of("data sheet", observed, None, float(np.median(logs)))


def of(question: str, observed: Observed, key: Key | None, away: float, pair: str = "") -> Tried:
    setting = observed.setting
    family = CATALOGUE.timings.networks[key].family if key else ""
    where = f"{setting.device} {setting.runtime} {setting.precision} {setting.source}"
    network = key[0] if key else ""
    return Tried(
        question, setting.part, setting.regime, setting.device, family, away, where, network, pair
    )


def summed(tried: Iterable[Tried], by: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """Cells, median and deviation of the absolute errors in logarithms, group by group."""
    for key, own in sorted(grouped(tried, by).items()):
        away = np.abs([one.away for one in own])
        groups = len({one.device for one in own})
        log_error = np.quantile(away, min(0.9 * (groups + 1) / groups, 1.0)) / NORMAL_90
        yield *key, len(own), f"{np.median(away):.3f}", f"{log_error:.3f}"


def grouped(tried: Iterable[Tried], by: Sequence[str]) -> dict[tuple[Any, ...], list[Tried]]:
    found: dict[tuple[Any, ...], list[Tried]] = defaultdict(list)
    for one in tried:
        found[tuple(getattr(one, name) for name in by)].append(one)
    return found


def figures(projector: Projector, tried: Sequence[Tried]) -> dict[str, Any]:
    """What the docs say."""
    every = projector.observations.every
    networks = {key for observed in every.values() for key in observed.keys}
    return {
        "table": {
            "settings": len(every),
            "devices": len({setting.device for setting in every}),
            "networks": len(networks),
            "cells": sum(len(observed.keys) for observed in every.values()),
        },
        "held_out": [
            {**dict(zip(("question", "part", "regime"), key, strict=True)), **said(own)}
            for key, own in sorted(grouped(tried, ("question", "part", "regime")).items())
        ],
        "measured": [
            {"between": key[0], **said(own)}
            for key, own in sorted(
                grouped((t for t in tried if t.question == "measured"), ("pair",)).items()
            )
        ],
        "all": [
            {"question": key[0], "regime": key[1], **said(own)}
            for key, own in sorted(grouped(tried, ("question", "regime")).items())
        ],
        "benchmark": list(beside_the_old(projector)),
        "by_device": [
            {"device": key[0], "regime": key[1], **said(own)}
            for key, own in sorted(
                grouped((t for t in tried if t.question == "new"), ("device", "regime")).items()
            )
        ],
    }


def said(own: Sequence[Tried]) -> dict[str, Any]:
    errors = np.abs(np.expm1([one.away for one in own]))
    lower, median, upper = np.quantile(errors, [0.25, 0.5, 0.75])
    return {
        "cells": len(own),
        "devices": len({one.device for one in own}),
        "median": round(float(median), 4),
        "lower": round(float(lower), 4),
        "upper": round(float(upper), 4),
        "coverage": coverage(own),
    }


def coverage(own: Sequence[Tried]) -> float | None:
    """The share of answers in the interval that others' errors make: of the other families of the same
    setting, where a setting stands by itself, of the other devices elsewhere."""
    alone = own[0].question in ("new", "measured")
    inside = asked = 0
    for own_setting in grouped(own, ("setting",) if alone else ()).values():
        groups = grouped(own_setting, ("family",) if alone else ("device",))
        if len(groups) < FEWEST_COMMON:
            continue
        for key, left_out in groups.items():
            others = [abs(t.away) for name, rest in groups.items() if name != key for t in rest]
            count = len(groups) - 1
            widest = np.quantile(others, min(0.9 * (count + 1) / count, 1.0))
            inside += sum(abs(one.away) <= widest for one in left_out)
            asked += len(left_out)
    return round(inside / asked, 4) if asked else None


def beside_the_old(projector: Projector) -> Iterator[dict[str, Any]]:
    """Models of the benchmark left out of everything, with what the method before made of them."""
    old = json.loads(OLD.read_text())["figures"]["held_out"]
    before = {row["quantity"]: row["families"] for row in old if row["left_out"] == "counted work"}
    every, counts = projector.observations.every, projector.observations.counts
    for model in CATALOGUE.published_models.values():
        if model.network is None:
            continue
        key = model.network.name, model.network.input
        rest = {
            s: {k: t for k, t in zip(o.keys, o.seconds, strict=True) if k != key}
            for s, o in every.items()
        }
        rest = {setting: own for setting, own in rest.items() if own}
        without = Observations(rest, counts, CATALOGUE.devices)
        for quantity, regime in (("throughput", "many"), ("latency", "one")):
            own = [
                of("few", o, key, without.every[s].log_seconds(counts[key]) - float(np.log(t)))
                for s, o in every.items()
                if s.runtime == RUNTIME and s.regime == regime and s in rest
                for k, t in zip(o.keys, o.seconds, strict=True)
                if k == key
            ]
            found = before[quantity].get(model.name, {}).get("median")
            yield {"model": model.name, "quantity": quantity, **said(own), "before": found}


def write(name: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with (FOLDER / name).open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(rows)
    print(f"{name} is written", file=sys.stderr)


if __name__ == "__main__":
    main()
