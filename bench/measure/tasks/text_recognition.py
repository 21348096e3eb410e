"""Text recognition: PP-OCRv6 (small) reads one line of text from an image.

The model's output at each of ``W / 8`` places is a probability for every character and for
"blank"; connectionist temporal classification (Graves et al., ICML 2006) turns the best path
into text: repeats are merged, blanks dropped.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydantic import Field
from rapidfuzz.distance import Levenshtein

from bench.errors import InputError
from bench.measure.backends import Feeds, Session
from bench.measure.datasets import image_folder, photographed_words, rendered_labels
from bench.measure.models import ModelFile
from bench.measure.tasks import ONE_STAGE, Sample, Score, Task
from bench.record import Record

HEIGHT = 48
MAX_WIDTH = 1280
WIDTH_STEP = 16

MODELS = {
    "v6-small": ModelFile(
        name="PP-OCRv6 recognition, small",
        origin="wheel:rapidocr==3.10.0!rapidocr/models/PP-OCRv6_rec_small.onnx",
        sha256="6f327246b50388f3c176ae304bd95767ea6dc0c9ae92153ef8cbe210b3c14884",
        licence="Apache-2.0",
        meaning="images [N, 3, 48, W] in -1…1, BGR → probabilities [N, W/8, 18710], blank first",
    ),
    "v4-mobile": ModelFile(
        name="PP-OCRv4 recognition, mobile (half the weights)",
        origin=(
            "wheel:rapidocr-onnxruntime==1.4.4!"
            "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx"
        ),
        sha256="48fc40f24f6d2a207a2b1091d3437eb3cc3eb6b676dc3ef9c37384005483683b",
        licence="Apache-2.0",
        meaning="images [N, 3, 48, W] in -1…1, BGR → probabilities [N, W/8, 6625], blank first",
    ),
}


class Options(Record):
    """The model, and where the images come from."""

    model: Literal["v6-small", "v4-mobile"] = "v6-small"
    labels: int = Field(default=48, ge=1, le=10_000)
    """Rendered labels; the photographed words come on top."""
    seed: int = 7
    input: Path | None = None
    """A folder of the user's own images, in place of both."""


def build(options: Options) -> TextRecognition:
    if options.input is not None:
        samples = image_folder(options.input)
    else:
        samples = rendered_labels(options.labels, options.seed) + photographed_words()
    return TextRecognition(MODELS[options.model], samples)


class TextRecognition(Task):
    """The six steps of reading a line of text."""

    size_unit = "pixels of width"

    def __init__(self, model: ModelFile, samples: Sequence[Sample]) -> None:
        self.samples = samples
        self.files = {ONE_STAGE: [model]}
        self._characters: list[str] = []

    def prepare(self, sessions: Mapping[str, Session]) -> None:
        metadata = sessions[ONE_STAGE].metadata()
        if "character" not in metadata:
            raise InputError(
                "the model carries no character set", where=self.files[ONE_STAGE][0].origin,
                allowed="a PaddleOCR recognition model with 'character' in its metadata",
            )  # fmt: skip
        self._characters = ["", *metadata["character"].splitlines(), " "]

    def size(self, sample: Sample) -> float:
        """How wide the line is when it is as high as the model wants it."""
        with Image.open(sample.path) as image:
            return width_of(image)

    def preprocess(self, encoded: Sequence[bytes]) -> Feeds:
        """Decode, resize to 48 pixels high, normalise, pad to the widest of the batch."""
        return {"x": padded([_decode(item) for item in encoded])}

    def predict(self, outputs: Sequence[npt.NDArray[Any]]) -> Any:
        """Probabilities → best path: the likeliest character at every place, and how likely."""
        probabilities = outputs[0]
        return probabilities.argmax(axis=2), probabilities.max(axis=2)

    def postprocess(self, prediction: Any) -> list[dict[str, Any]]:
        """CTC decoding of each best path."""
        return [self._decode_path(path, sure) for path, sure in zip(*prediction, strict=True)]

    def agrees(self, answer: Mapping[str, Any], reference: Mapping[str, Any]) -> bool:
        """The same text."""
        return bool(answer["text"] == reference["text"])

    def score(self, answered: Sequence[tuple[Sample, Mapping[str, Any]]]) -> list[Score]:
        """Character error rate: edits needed ÷ characters in the truth."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for sample, answer in answered:
            if sample.truth:
                pair = (sample.truth, str(answer["text"]))
                groups.setdefault("all", []).append(pair)
                groups.setdefault(sample.group, []).append(pair)
        return [
            Score("character_error_rate", error_rate(pairs), group, len(pairs))
            for group, pairs in groups.items()
        ]

    def _decode_path(
        self, path: npt.NDArray[np.int64], sure: npt.NDArray[np.float32]
    ) -> dict[str, Any]:
        keep = path != 0
        keep[1:] &= path[1:] != path[:-1]
        text = "".join(self._characters[index] for index in path[keep])
        confidence = float(sure[keep].mean()) if keep.any() else 0.0
        return {"text": text, "confidence": round(confidence, 4)}


def _decode(encoded: bytes) -> npt.NDArray[np.float32]:
    with Image.open(io.BytesIO(encoded)) as image:
        return as_line(image)


def as_line(image: Image.Image) -> npt.NDArray[np.float32]:
    """An image as the model wants it, ``[3, 48, W]``."""
    size = (width_of(image), HEIGHT)
    resized = image.convert("RGB").resize(size, Image.Resampling.BILINEAR)
    pixels = np.asarray(resized, dtype=np.float32)[:, :, ::-1]
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)) / np.float32(127.5) - np.float32(1)


def padded(lines: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    """Lines side by side, filled up to the widest of them: ``[N, 3, 48, W]``."""
    width = max(line.shape[2] for line in lines)
    width = math.ceil(width / WIDTH_STEP) * WIDTH_STEP
    batch = np.zeros((len(lines), 3, HEIGHT, width), dtype=np.float32)
    for row, line in zip(batch, lines, strict=True):
        row[:, :, : line.shape[2]] = line
    return batch


def width_of(image: Image.Image) -> int:
    """How wide it is when it is as high as the model wants it."""
    return max(1, min(MAX_WIDTH, math.ceil(HEIGHT * image.width / image.height)))


def error_rate(pairs: Sequence[tuple[str, str]]) -> float:
    """Edits that lead from what was read to the truth ÷ characters of the truth."""
    edits = sum(Levenshtein.distance(truth, read) for truth, read in pairs)
    return edits / sum(len(truth) for truth, _ in pairs)
