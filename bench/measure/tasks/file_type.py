"""File types: Magika says from the first and last bytes of a file what it is."""

from __future__ import annotations

import functools
import gzip
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.measure.audio import write_wav
from bench.measure.backends import Feeds, Session
from bench.measure.datasets import keep_input
from bench.measure.models import ModelFile, fetch
from bench.measure.tasks import ONE_STAGE, Sample, Score, Task
from bench.record import Record

_WHEEL = "wheel:magika==1.0.3!magika/models/standard_v3_3"
MODEL = ModelFile(
    name="Magika, standard v3.3",
    origin=f"{_WHEEL}/model.onnx",
    sha256="fe2d2eb49c5f88a9e0a6c048e15d6ffdf86235519c2afc535044de433169ec8c",
    licence="Apache-2.0",
    meaning="1,024 first and 1,024 last bytes [N, 2048] → probabilities of file types [N, 214]",
)
CONFIG = ModelFile(
    name="Magika's labels",
    origin=f"{_WHEEL}/config.min.json",
    sha256="ae24c742205358f6ff6dfd5facb6743fb69743dbba8373e73da58ff0cbd695db",
    licence="Apache-2.0",
    meaning="how many bytes are taken, and the name of each output",
)
AGREES_WITHIN = 0.02


class Options(Record):
    """None: the files are made by the project."""


def build(options: Options) -> FileType:
    samples = [
        Sample(keep_input("files", content, "bin"), label, "made files")
        for label, content in made_files().items()
    ]
    return FileType(samples)


class FileType(Task):
    """A file's bytes in, its type out."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self.samples = samples
        self.files = {ONE_STAGE: [MODEL]}
        self._config = json.loads(fetch(CONFIG).read_text())
        self._input = ""

    def prepare(self, sessions: Mapping[str, Session]) -> None:
        self._input = sessions[ONE_STAGE].inputs[0].name

    def preprocess(self, encoded: Sequence[bytes]) -> Feeds:
        return {self._input: np.stack([features(item, self._config) for item in encoded])}

    def predict(self, outputs: Sequence[npt.NDArray[Any]]) -> Any:
        return outputs[0]

    def postprocess(self, prediction: Any) -> list[dict[str, Any]]:
        labels = self._config["target_labels_space"]
        best = prediction.argmax(axis=1)
        return [
            {"type": labels[index], "probability": round(float(row[index]), 4)}
            for index, row in zip(best, prediction, strict=True)
        ]

    def agrees(self, answer: Mapping[str, Any], reference: Mapping[str, Any]) -> bool:
        """The same type, its probability within 0.02."""
        near = abs(answer["probability"] - reference["probability"]) <= AGREES_WITHIN
        return bool(near and answer["type"] == reference["type"])

    def score(self, answered: Sequence[tuple[Sample, Mapping[str, Any]]]) -> list[Score]:
        right = sum(answer["type"] == sample.truth for sample, answer in answered)
        return [Score("accuracy", right / len(answered), "all", len(answered))]


def features(content: bytes, config: Mapping[str, Any]) -> npt.NDArray[np.int32]:
    """First and last bytes, white space at the ends stripped, padded (Magika's ``features.py``)."""
    first, last, pad = config["beg_size"], config["end_size"], config["padding_token"]
    block = config["block_size"]
    head = content[:block].lstrip()[:first]
    tail = content[-block:].rstrip()[-last:]
    row = np.full(first + last, pad, dtype=np.int32)
    row[: len(head)] = np.frombuffer(head, dtype=np.uint8)
    row[first + last - len(tail) :] = np.frombuffer(tail, dtype=np.uint8)
    return row


@functools.cache
def made_files() -> Mapping[str, bytes]:
    """One file of each of a dozen types, by Magika's name for it."""
    source = Path(__file__).read_text()
    rows = [(k, round(np.sin(k), 4), f"item {k}") for k in range(60)]
    csv = "number,value,name\n" + "".join(f"{a},{b},{c}\n" for a, b, c in rows)
    html = "".join(f"<tr><td>{a}</td><td>{b}</td></tr>\n" for a, b, _ in rows)
    yaml = "".join(f"- number: {a}\n  value: {b}\n  name: {c}\n" for a, b, c in rows)
    sql = "".join(f"INSERT INTO items VALUES ({a}, {b});\n" for a, b, _ in rows)  # noqa: S608
    c = "".join(
        f"static int twice_{a}(int x)\n{{\n    return 2 * x + {a};\n}}\n\n" for a, _, _ in rows
    )
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr(zipfile.ZipInfo("rows.csv", (2026, 1, 1, 0, 0, 0)), csv)
    return {
        "python": source.encode(),
        "json": json.dumps([{"number": a, "value": b} for a, b, _ in rows], indent=1).encode(),
        "csv": csv.encode(),
        "html": f"<!doctype html>\n<html><body><table>\n{html}</table></body></html>\n".encode(),
        "yaml": f"items:\n{yaml}".encode(),
        "sql": f"CREATE TABLE items (number INTEGER, value REAL);\n{sql}".encode(),
        "c": f"#include <stdio.h>\n\n{c}".encode(),
        "xml": f"<?xml version='1.0'?>\n<table>\n{html}</table>\n".encode(),
        "zip": archive.getvalue(),
        "gzip": gzip.compress(csv.encode(), mtime=0),
        "wav": write_wav(np.sin(np.arange(8000) / 5), 8000),
        "png": _image("PNG"),
        "jpeg": _image("JPEG"),
    }


def _image(kind: str) -> bytes:
    from PIL import Image

    waves = np.sin(np.arange(96)[:, None] / 7) * np.cos(np.arange(128) / 11)
    buffer = io.BytesIO()
    Image.fromarray(((waves + 1) * 127).astype(np.uint8)).save(buffer, kind)
    return buffer.getvalue()
