"""Text in scenes: PP-OCRv6 finds the lines in a photograph, and reads each of them.

``detect`` is a differentiable-binarisation network (Liao et al., AAAI 2020): it gives each pixel's
probability of being inside a line, shrunk so that neighbours stay apart. Connected pixels are a line; its
box is grown again by area × 1.6 ÷ perimeter. ``recognise`` reads the crops as
:mod:`bench.measure.tasks.text_recognition` does, six of a scene at a time, those of about equal width
together. Thresholds and batches are RapidOCR's, which never mixes scenes; boxes are upright.
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
from scipy import ndimage

from bench.measure.backends import Feeds, Session
from bench.measure.chain import (
    HANDED,
    Chain,
    First,
    Following,
    asked_about,
    files_of,
    handed_on,
    without,
)
from bench.measure.datasets import image_folder
from bench.measure.models import ModelFile
from bench.measure.scenes import Box, labelled_scenes
from bench.measure.tasks import ONE_STAGE, Sample, Score, Task
from bench.measure.tasks.face_detection import overlap
from bench.measure.tasks.text_recognition import (
    MODELS,
    TextRecognition,
    as_line,
    error_rate,
    padded,
    width_of,
)
from bench.record import Record

Pixels = npt.NDArray[np.uint8]

DETECTOR = ModelFile(
    name="PP-OCRv6 detection, small",
    origin="wheel:rapidocr==3.10.0!rapidocr/models/PP-OCRv6_det_small.onnx",
    sha256="090f04abcd9d9a7498bc4ebf677e4cb9bdce1fe4197ddb7e529f1ef44e1ff94f",
    licence="Apache-2.0",
    meaning="images [N, 3, H, W] in -1…1, BGR → probability of a line at each pixel [N, 1, H, W]",
)
LONGEST_SIDE, STEP = 960, 32
"""Larger scenes are made smaller; sides are multiples of the step."""
INSIDE_FROM, LINE_FROM, GROWN, SMALLEST = 0.3, 0.5, 1.6, 3
READ_FROM = 0.5
"""A line that was read with less confidence is left out."""
AT_ONCE = 6
FOUND_FROM, AGREES_FROM = 0.5, 0.7
"""Overlap of a box with the true one, and with the reference's."""


class Options(Record):
    """Which part of the work, and where the scenes come from."""

    stage: Literal["all", "detect", "recognise"] = "all"
    scenes: int = Field(default=24, ge=2, le=10_000)
    seed: int = 7
    input: Path | None = None
    """A folder of the user's own photographs in their place; their texts are in ``labels.csv``, a line
    of text a line."""


def build(options: Options) -> Task:
    if options.input is None:
        detect = SceneDetection(*labelled_scenes(options.scenes, options.seed))
    else:
        detect = SceneDetection(image_folder(options.input), {})
    if options.stage == "detect":
        return detect
    messages = handed_on(detect)
    if options.stage == "recognise":
        return SceneReading(messages)
    reading = SceneReading([])
    return Chain(
        {"detect": detect, "recognise": reading},
        {scene: reading.size(sent) for scene, sent in zip(detect.samples, messages, strict=True)},
    )


class SceneDetection(First):
    """A photograph in, its lines of text out: where they are, and cut out."""

    size_unit = "megapixels"

    def __init__(self, samples: Sequence[Sample], boxes: Mapping[Path, Sequence[Box]]) -> None:
        self.samples = samples
        self.files = {ONE_STAGE: [DETECTOR]}
        self._boxes = boxes

    def size(self, sample: Sample) -> float:
        """Of the photograph as the network sees it."""
        with Image.open(sample.path) as image:
            width, height = _scaled(image.size)
        return width * height / 1e6

    def preprocess(self, encoded: Sequence[bytes]) -> Feeds:
        """Decode, make the longer side 960 at most, normalise; those of one size are put together.

        The photographs themselves go along, since the crops are cut from them.
        """
        images = [_decoded(item) for item in encoded]
        sides = np.array([[*_scaled(image.size), *image.size] for image in images])
        seen = {
            f"seen {width} by {height}": np.stack([_seen(images[k], width, height) for k in group])
            for (width, height), group in _by_size(sides)
        }
        right, below = sides[:, 2:].max(axis=0)
        scenes = np.zeros((len(images), below, right, 3), dtype=np.uint8)
        for scene, image in zip(scenes, images, strict=True):
            scene[: image.height, : image.width] = np.asarray(image)
        return {**seen, "sides": sides, "scenes": scenes}

    def execute(self, sessions: Mapping[str, Session], feeds: Feeds) -> Sequence[npt.NDArray[Any]]:
        """The network once for each size, not filled up: what lies beside a scene changes what is found."""
        session = sessions[ONE_STAGE]
        seen = [session.run({"x": x})[0] for name, x in feeds.items() if name.startswith("seen")]
        return [feeds["sides"], feeds["scenes"], *seen]

    def predict(self, outputs: Sequence[npt.NDArray[Any]]) -> Any:
        """Boxes of each scene in its own pixels, in the order in which one reads, and the scene."""
        sides, scenes, *seen = outputs
        found: dict[int, Any] = {}
        for (_, group), maps in zip(_by_size(sides), seen, strict=True):
            for k, inside in zip(group, maps[:, 0], strict=True):
                width, height = sides[k, 2:].tolist()
                boxes = _lines(inside, (width / inside.shape[1], height / inside.shape[0]))
                found[k] = (_in_reading_order(boxes), scenes[k, :height, :width])
        return [found[k] for k in range(len(sides))]

    def postprocess(self, prediction: Any) -> list[dict[str, Any]]:
        """The boxes, and the crops to hand on."""
        return [
            {
                "boxes": [list(box) for box in boxes],
                HANDED: [scene[top:bottom, left:right] for left, top, right, bottom in boxes],
            }
            for boxes, scene in prediction
        ]

    def sent(self, handed: Sequence[Pixels]) -> list[bytes]:
        """The crops as PNG files."""
        return [_png(crop) for crop in handed]

    def found(self, answer: Mapping[str, Any]) -> int:
        """Lines of text."""
        return len(answer["boxes"])

    def agrees(self, answer: Mapping[str, Any], reference: Mapping[str, Any]) -> bool:
        """As many lines, each overlapping its counterpart by at least 0.7."""
        ours, theirs = answer["boxes"], reference["boxes"]
        return len(ours) == len(theirs) and all(_best(box, ours) >= AGREES_FROM for box in theirs)

    def score(self, answered: Sequence[tuple[Sample, Mapping[str, Any]]]) -> list[Score]:
        """F1 of the lines, found where a box overlaps the true one by at least 0.5."""
        hits = misses = alarms = 0
        for sample, answer in answered:
            truth, found = self._boxes.get(sample.path), answer["boxes"]
            if truth is not None:
                seen = sum(_best(box, found) >= FOUND_FROM for box in truth)
                hits, misses = hits + seen, misses + len(truth) - seen
                alarms += max(len(found) - seen, 0)
        if not self._boxes:
            return []
        return [
            Score("line_f1", 2 * hits / max(2 * hits + misses + alarms, 1), "all", len(answered))
        ]


class SceneReading(Following, TextRecognition):
    """The crops of one scene in, its text out.

    Args:
        messages: about each scene, what the detector hands on.
    """

    size_unit = "pixels of text width"

    def __init__(self, messages: Sequence[Sample]) -> None:
        self.skipped = without(messages)
        super().__init__(MODELS["v6-small"], asked_about(messages, self.skipped))
        self._unseen = [messages[k].truth or "" for k in sorted(self.skipped)]

    def size(self, sample: Sample) -> float:
        """How wide all lines together are when each is as high as the model wants it."""
        return float(sum(_width_of(file) for file in files_of(sample)))

    def received(self, files: Sequence[bytes]) -> list[Pixels]:
        return [np.asarray(_decoded(file)) for file in files]

    def tensors(self, handed: Sequence[Sequence[Pixels]]) -> Feeds:
        """Resize to 48 pixels high, normalise, pad to the widest of six."""
        lines = [as_line(Image.fromarray(crop)) for scene in handed for crop in scene]
        ends = np.cumsum([len(scene) for scene in handed])
        groups: list[list[int]] = []
        for scene, end in zip(handed, ends.tolist(), strict=True):
            own = sorted(range(end - len(scene), end), key=lambda k: lines[k].shape[2])
            groups += [own[k : k + AT_ONCE] for k in range(0, len(own), AT_ONCE)]
        order = [k for group in groups for k in group]
        feeds: dict[str, npt.NDArray[Any]] = {
            f"lines {number}": padded([lines[k] for k in group])
            for number, group in enumerate(groups)
        }
        return {**feeds, "order": np.array(order), "counts": np.array([len(s) for s in handed])}

    def execute(self, sessions: Mapping[str, Session], feeds: Feeds) -> Sequence[npt.NDArray[Any]]:
        """The network once for six lines: their order, lines in each scene, and probabilities."""
        groups = [feeds[name] for name in feeds if name not in ("order", "counts")]
        session = sessions[ONE_STAGE]
        return [feeds["order"], feeds["counts"], *(session.run({"x": x})[0] for x in groups)]

    def predict(self, outputs: Sequence[npt.NDArray[Any]]) -> Any:
        """Best paths of all lines, in the order of the scenes, and how many are of each."""
        order, counts, *groups = outputs
        paths = [TextRecognition.predict(self, [group]) for group in groups]
        read = [path for pair in paths for path in zip(*pair, strict=True)]
        place = np.argsort(order)
        return [read[k] for k in place], counts

    def postprocess(self, prediction: Any) -> list[dict[str, Any]]:
        """The lines that could be read, and the text of each scene."""
        read, counts = prediction
        lines = iter([self._decode_path(path, sure) for path, sure in read])
        scenes = [[next(lines) for _ in range(count)] for count in counts.tolist()]
        sure = [[line for line in scene if line["confidence"] >= READ_FROM] for scene in scenes]
        return [{"text": "\n".join(one["text"] for one in scene), "lines": scene} for scene in sure]

    def nothing(self) -> dict[str, Any]:
        return {"text": "", "lines": []}

    def score(self, answered: Sequence[tuple[Sample, Mapping[str, Any]]]) -> list[Score]:
        """Character error rate of whole scenes: those in which no line was found are read as empty."""
        pairs = [(s.truth, str(a["text"])) for s, a in answered if s.truth is not None]
        times = max(round(len(pairs) / max(len(self.samples), 1)), 1)
        pairs += [(truth, "") for truth in self._unseen for _ in range(times)]
        if not any(truth for truth, _ in pairs):
            return []
        return [Score("character_error_rate", error_rate(pairs), "all", len(pairs))]


def _decoded(encoded: bytes) -> Image.Image:
    with Image.open(io.BytesIO(encoded)) as image:
        return image.convert("RGB")


def _width_of(encoded: bytes) -> int:
    with Image.open(io.BytesIO(encoded)) as image:
        return width_of(image)


def _seen(image: Image.Image, width: int, height: int) -> npt.NDArray[np.float32]:
    """A photograph as the network sees it, ``[3, H, W]``."""
    small = image.resize((width, height), Image.Resampling.BILINEAR)
    pixels = np.asarray(small, dtype=np.float32)[:, :, ::-1].transpose(2, 0, 1)
    return pixels / np.float32(127.5) - np.float32(1)


def _by_size(sides: npt.NDArray[np.int64]) -> list[tuple[tuple[int, int], list[int]]]:
    """The sizes that the network sees, and the scenes of each."""
    groups: dict[tuple[int, int], list[int]] = {}
    for k, (width, height) in enumerate(sides[:, :2].tolist()):
        groups.setdefault((width, height), []).append(k)
    return list(groups.items())


def _png(crop: Pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(crop).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _scaled(size: tuple[int, int]) -> tuple[int, int]:
    """Width and height as the network sees them."""
    scale = min(1.0, LONGEST_SIDE / max(size))
    width, height = (max(round(side * scale / STEP), 1) * STEP for side in size)
    return width, height


def _lines(inside: npt.NDArray[np.float32], scale: tuple[float, float]) -> list[tuple[int, ...]]:
    """Left, top, right, bottom of each line in the photograph's own pixels.

    Args:
        inside: probability of being inside a line, ``[H, W]``.
        scale: from these pixels to the photograph's, across and down.
    """
    limits = inside.shape[1] * scale[0], inside.shape[0] * scale[1]
    grown = ndimage.binary_dilation(inside > INSIDE_FROM, np.ones((2, 2), bool))
    labels, _ = ndimage.label(grown)
    found: list[tuple[int, ...]] = []
    for rows, columns in ndimage.find_objects(labels):
        within = inside[rows, columns]
        height, width = within.shape
        if float(within.mean()) < LINE_FROM or min(height, width) < SMALLEST:
            continue
        by = width * height * GROWN / (2 * (width + height))
        edges = (columns.start - by, rows.start - by, columns.stop + by, rows.stop + by)
        left, top = (max(math.floor(e * s), 0) for e, s in zip(edges[:2], scale, strict=True))
        right, bottom = (
            min(math.ceil(e * s), round(limit))
            for e, s, limit in zip(edges[2:], scale, limits, strict=True)
        )
        found.append((left, top, right, bottom))
    return found


def _in_reading_order(boxes: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """From top to bottom; those whose middle is within the height of the one before, from the left."""
    rows: list[list[tuple[int, ...]]] = []
    for box in sorted(boxes, key=lambda box: box[1] + box[3]):
        middle = (box[1] + box[3]) / 2
        if rows and middle < rows[-1][0][3]:
            rows[-1].append(box)
        else:
            rows.append([box])
    return [box for row in rows for box in sorted(row)]


def _best(box: Sequence[float], others: Sequence[Sequence[float]]) -> float:
    """How much of it the one of the others that fits best overlaps."""
    return max((overlap(np.array(box, float), np.array(o, float)) for o in others), default=0.0)
