"""Collected tables of published times → the compact files that projections are made of.

``python -m tests.evidence.timings FOLDER DEVICES NETWORKS`` reads the collected tables (``*.csv`` with
the columns device, runtime, precision, model, input, batch, latency_ms, throughput_per_s), what
their devices are called here (file, device_in_csv, id_match, project_device, part) and what the
networks were counted to, and writes ``settings.csv``, ``networks.csv`` and ``timings.csv`` under
``hardware_profiles/published``. What is kept, by rule:

1. The device has a file, and the row is of its part (processor, GPU, NPU).
2. The network is one that was counted, at that very input; its name is compared without case and
   punctuation, and by :data:`ALSO`.
3. One request at a time (``one``: batch 1, by its latency) and full batches (``many``: the best
   rate of a batch of 8 or more) are settings of their own. Hailo's and Edge TPU's rates are of a
   pipeline and so ``many`` at any batch; OpenVINO's and Qualcomm's modes say themselves what they are.
4. Of several rows of one cell the median counts.
5. A cell more than three times from what its setting's own costs say of the network is left out
   (another input, a broken run, a mistyped number), and a setting with fewer than three cells is.
"""

from __future__ import annotations

import csv
import math
import re
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, fields
from pathlib import Path

import numpy as np

from bench.counts import COUNTS, Counts
from bench.hardware import Catalogue, Key, Setting
from bench.measure import NETWORKS
from bench.profile.projection.costs import features, fitted

FOLDER = Path(__file__).parents[2] / "hardware_profiles" / "published"
MEASURED = Path(__file__).parent / "measured"
LEAST_CELLS = 3
LEAST_BATCH = 8
FURTHEST = 3.0
PIPELINED = ("hailo.csv",)
MODES = {
    "throughput mode": "many", "latency mode": "one",
    "best-throughput": "many", "balanced": None, "best-latency": "one",
}  # fmt: skip
ALSO = {
    "bertbasecased": "bertbase", "bertbaseuncased": "bertbase", "bertlargeuncased": "bertlarge",
    "bertbaseuncasedhf": "bertbase", "bertbasebertbasecased": "bertbase",
    "bertbasebertbaseuncased": "bertbase", "bertbertbase": "bertbase", "bertbertlarge": "bertlarge",
    "bertlarge": "bertlarge", "bert": "bertlarge", "robertabase": "bertbase",
    "robertalarge": "bertlarge", "distilbertbaseuncased": "distilbertbase",
    "distilbertbasedistilbertbaseuncased": "distilbertbase",
    "distilbertbaseuncaseddistilbertbaseuncasedfinetunedsst2english": "distilbertbase",
    "distilrobertabasedistilrobertabase": "distilbertbase", "distilbertbaseuncasedhf": "distilbertbase",
    "bertlargeuncasedwholewordmaskingsquad0001": "bertlarge", "googlevitbasepatch16224": "vitbasepatch16224",
    "vitb16224": "vitbasepatch16224", "vitb16384": "vitbasepatch16384", "vitl16224": "vitlargepatch16224",
    "vitl16384": "vitlargepatch16384", "vit": "vitb16", "swint": "swintinypatch4window7224",
    "swins": "swinsmallpatch4window7224", "swinb": "swinbasepatch4window7224",
    "swinl": "swinlargepatch4window7224", "swintiny": "swintinypatch4window7224",
    "swinsmall": "swinsmallpatch4window7224", "deitbase": "deitbasepatch16224",
    "deitsmall": "deitsmallpatch16224", "deittiny": "deittinypatch16224",
    "vittiny": "vittinypatch16224", "vitsmall": "vitsmallpatch16224", "vitbase": "vitbasepatch16224",
    "beit": "beitbasepatch16224", "resnetv118": "resnet18", "resnetv134": "resnet34",
    "resnetv150": "resnet50", "resnet50v15": "resnet50", "rn50v15": "resnet50", "resnet50v1": "resnet50",
    "resnet101v1": "resnet101", "mobilenetv1": "mobilenetv1100", "mobilenet": "mobilenetv1100",
    "mobilenetv210": "mobilenetv2", "mobilenetv214": "mobilenetv2140", "mobilenetv212": "mobilenetv2",
    "resnet50v27": "resnet50", "efficientnetlite0": "efficientnetlite0", "regnetx16gf": "regnetx016",
    "regnetx800mf": "regnetx008", "regnety400m": "regnety004", "regnety800mf": "regnety008",
    "wideresnet50": "wideresnet502", "resnext50": "resnext5032x4d", "resnext101": "resnext10132x8d",
    "mnasnet05": "mnasnet05", "mnasnet": "mnasnet10", "mobilevit": "mobilevits", "yolov11n": "yolo11n",
    "yolov11s": "yolo11s", "yolov11m": "yolo11m", "yolov11l": "yolo11l", "yolov11x": "yolo11x",
    "yolov12n": "yolo12n", "yolov8det": "yolov8n", "yolov11det": "yolo11n", "yolov10det": "yolov10n",
    "yolov8seg": "yolov8nseg", "yolov11seg": "yolo11nseg", "squeezenet": "squeezenet11",
    "shufflenetv2": "shufflenetv2x10", "inceptionv1": "googlenet", "mobilenetv3": "mobilenetv3large",
    "sereresnext10132x4d": "seresnext10132x4d", "yolov8nano": "yolov8n", "yolov8small": "yolov8s",
    "imageclassificationmobilenetv1": "mobilenetv1100", "imageclassificationmobilenetv2": "mobilenetv2",
    "imageclassificationppresnet50": "resnet50d",
    "efficientvitb2cls": "efficientvitb2", "efficientvitl2cls": "efficientvitl2", "levit": "levit128",
    "visiontransformer": "vitbasepatch16384", "proxylessnasnet": "proxylessmobile",
    "efficientnetv1efficientnetv1b0": "efficientnetb0", "efficientnetv1efficientnetv1b4": "efficientnetb4",
    "efficientnetv2efficientnetv2s": "efficientnetv2s", "efficientnetv2b0": "efficientnetv2b0",
    "poolformers12": "poolformers12", "davittiny": "davittiny", "repghost10x": "repghostnet100",
    "repghost20x": "repghostnet200", "googlenet": "googlenet", "yolo11": "yolo11n", "allminilml6v2": "minilml6",
    "nextvitsmall": "nextvitsmall", "nextvitbase": "nextvitbase", "fcnresnet50": "fcnresnet50",
    "resnext10132x4d": "resnext10132x4d", "densenet121": "densenet121",
}  # fmt: skip
"""Other names of counted networks."""


def plain(name: str) -> str:
    """A name without what spelling makes of it."""
    name = re.sub(r"\((cased|uncased|oiv7)\)", "", name.lower())
    name = re.sub(r"(_20\d\d\w*|[_-]?int8|(_(224|299))?_quant|\.pt|_ssld|_hf)$", "", name)
    name = re.sub(r"^(tf_|legacy_)", "", name)
    return re.sub(r"[^a-z0-9]", "", name)


def side_of(text: str) -> int | None:
    """The side of an image, or the length of a text."""
    numbers = [int(n) for n in re.findall(r"\d+", text)]
    numbers = [n for n in numbers if n > 16]
    return numbers[0] if numbers else None


def family(name: str) -> str:
    """How the name of a network begins: its architecture."""
    found = re.match(r"(?:tf_|legacy_)?(yolo(?:v)?\d+|[a-z]+)", name)
    return found[1] if found else name


def counted(path: Path) -> dict[str, dict[int, tuple[str, Counts]]]:
    """Networks as they were counted, by plain name and input."""
    found: dict[str, dict[int, tuple[str, Counts]]] = defaultdict(dict)
    for row in csv.DictReader(path.open()):
        values = {key: float(row[key]) for key in COUNTS}
        sides = found[plain(row["network"])]
        sides.setdefault(int(row["input"]), (row["network"], Counts(**values)))
    return found


def rows_of(
    folder: Path, devices: Mapping[tuple[str, str], Mapping[str, str]], networks: Mapping
) -> Iterator[tuple[Setting, Key, float]]:
    """Setting, network and milliseconds a sample of each row that the rules keep."""
    for path in sorted(folder.glob("*.csv")):
        if path.name.startswith(("llm_", "mlperf_inf", "model_features")):
            continue
        for row in csv.DictReader(path.open()):
            device = devices.get((path.name, row["device"]))
            if not device or not device["project_device"]:
                continue
            network = network_of(path.name, row, networks)
            time = time_of(path.name, row)
            if network is None or time is None:
                continue
            regime, ms = time
            setting = Setting(
                device["project_device"], device["part"], row["runtime"], row["precision"],
                regime, device["id_match"], row["source"], row["as_of"][:10],
            )  # fmt: skip
            yield setting, network, ms


def network_of(file: str, row: Mapping[str, str], networks: Mapping) -> tuple[str, int] | None:
    name = plain(row["model"])
    known = networks.get(name) or networks.get(ALSO.get(name, ""))
    if known is None:
        return None
    side = side_of(row["input"])
    if side is None:  # the one in its name, or what such networks are usually given
        named = re.search(r"_(\d{3})$", row["model"])
        side = int(named[1]) if named else 224
        if name.startswith("efficientnet") and not name.endswith(("b0", "lite0")):
            return None
    if side not in known:
        return None
    if "padding" in row["input"]:
        return None
    return known[side][0], side


def time_of(file: str, row: Mapping[str, str]) -> tuple[str, float] | None:
    """The regime, and milliseconds a sample."""
    batch = int(float(row["batch"] or 1))
    rate, latency = (float(row[key] or 0) for key in ("throughput_per_s", "latency_ms"))
    regime: str | None = "one" if batch == 1 else "many" if batch >= LEAST_BATCH else None
    for words, said in MODES.items():
        if words in row["runtime"]:
            regime = said
    if file in PIPELINED:
        regime = "many"
    if regime == "many":
        ms = 1e3 / rate if rate else latency / batch
    elif regime == "one":
        ms = latency or (1e3 / rate if rate else 0)
    else:
        return None
    return (regime, ms) if ms > 0 else None


def main() -> None:
    folder, devices, networks = (Path(argument) for argument in sys.argv[1:4])
    with devices.open() as file:
        known = {(row["file"], row["device_in_csv"]): row for row in csv.DictReader(file)}
    cells: dict[Setting, dict[Key, list[float]]] = defaultdict(lambda: defaultdict(list))
    counts = counted(networks)
    for setting, network, ms in rows_of(folder, known, counts):
        cells[setting][network].append(ms)
    for setting, network, ms in measured(counts):
        cells[setting][network].append(ms)
    table = {
        setting: {key: statistics.median(times) for key, times in own.items()}
        for setting, own in cells.items()
    }
    by_key = {(name, side): c for sides in counts.values() for side, (name, c) in sides.items()}
    table = {s: screened(s, own, by_key) for s, own in table.items() if len(own) >= LEAST_CELLS}
    write({s: own for s, own in table.items() if len(own) >= LEAST_CELLS}, by_key)


def measured(networks: Mapping) -> Iterator[tuple[Setting, Key, float]]:
    """What this project measured itself with the networks' own definitions."""
    for path in sorted(MEASURED.glob("*.csv")):
        for row in csv.DictReader(path.open()):
            network = network_of(path.name, row, networks)
            if network:
                regime = "one" if row["batch"] == "1" else "many"
                setting = Setting(
                    row["device"], row["part"], row["runtime"], row["precision"], regime,
                    "exact", "measured by this project", row["as_of"],
                )  # fmt: skip
                yield setting, network, float(row["ms"]) / float(row["batch"])


def screened(
    setting: Setting, own: Mapping[Key, float], counts: Mapping[Key, Counts]
) -> dict[Key, float]:
    """The cells that lie within :data:`FURTHEST` of what the setting's own costs say."""
    if len(own) < 2 * len(COUNTS):
        return dict(own)
    x = features([counts[key] for key in own])
    seconds = np.array(list(own.values()))
    rough = 1 / np.maximum(x.mean(axis=0), 1e-9)
    costs = fitted(x, seconds, rough, spread=10.0)
    away = np.abs(np.log(x @ costs) - np.log(seconds))
    return {
        key: ms
        for (key, ms), far in zip(own.items(), away, strict=True)
        if far < math.log(FURTHEST)
    }


def write(table: Mapping[Setting, Mapping[Key, float]], counts: Mapping[Key, Counts]) -> None:
    order = sorted(
        table, key=lambda s: (s.device, s.runtime, s.precision, s.regime, s.source, s.match)
    )
    benchmarks = [model.network for model in Catalogue().published_models.values() if model.network]
    used = {key for own in table.values() for key in own}
    used |= {(network.name, network.input) for network in benchmarks}
    used = sorted(used | {(network.name, network.input) for network in NETWORKS})
    names = [field.name for field in fields(Setting)]
    save("settings.csv", ["setting", *names], [[i, *astuple(s)] for i, s in enumerate(order, 1)])
    save(
        "networks.csv", ["network", "input", "family", *COUNTS],
        [[*key, family(key[0]), *(f"{value:.10g}" for value in counts[key])] for key in used],
    )  # fmt: skip
    save(
        "timings.csv", ["setting", "network", "input", "ms"],
        [[i, *key, f"{table[s][key]:.4g}"] for i, s in enumerate(order, 1) for key in sorted(table[s])],
    )  # fmt: skip


def save(name: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with (FOLDER / name).open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(rows)


if __name__ == "__main__":
    main()
