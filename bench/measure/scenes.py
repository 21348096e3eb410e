"""Photographs with labels in them whose text is known: what a camera that reads sees."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from bench.measure.datasets import PHOTOGRAPHS, keep_input
from bench.measure.models import fetch
from bench.measure.tasks import Sample

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels."""
EMPTY_SHARE = 0.25
"""Of the scenes shows no text."""
MOST_LINES = 9
WIDTHS = (480, 960)
FONT_SIZES = (18, 34)
MARGIN = 8
_WORDS = (
    "FRAGILE", "THIS SIDE UP", "KEEP DRY", "Platform", "Open daily", "Exit only", "No parking",
    "Room", "Lot", "Weight kg", "Mind the gap", "Reception", "Deliver to", "Batch", "Best before",
)  # fmt: skip
_FONTS = ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSerif.ttf")


def labelled_scenes(count: int, seed: int) -> tuple[list[Sample], dict[Path, list[Box]]]:
    """``count`` scenes as JPEG files in the cache, and by file the boxes of the labels in it.

    The truth of a scene is its lines from top to bottom; that of one without text is ``""``.
    """
    rng = np.random.default_rng(seed)
    pictures = []
    for file in PHOTOGRAPHS:
        with Image.open(fetch(file)) as image:
            pictures.append(image.convert("RGB"))
    samples, boxes = [], {}
    for number in range(count):
        picture = pictures[number % len(pictures)]
        width = int(rng.integers(*WIDTHS))
        scene = picture.resize((width, round(picture.height * width / picture.width)))
        lines = 0 if rng.random() < EMPTY_SHARE else int(rng.integers(1, MOST_LINES + 1))
        placed = _with_labels(scene, lines, rng)
        noisy = np.asarray(scene, dtype=float) + rng.normal(0, 4, (scene.height, scene.width, 1))
        buffer = io.BytesIO()
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=88)
        path = keep_input("scenes", buffer.getvalue(), "jpg")
        samples.append(Sample(path, "\n".join(text for text, _ in placed), "labelled scenes"))
        boxes[path] = [box for _, box in placed]
    return samples, boxes


def _with_labels(scene: Image.Image, lines: int, rng: np.random.Generator) -> list[tuple[str, Box]]:
    """Paste so many labels, one below the other, and say what is where."""
    placed: list[tuple[str, Box]] = []
    bands = max(lines, 1)
    for band in range(lines):
        text, label = _label(rng)
        free = scene.height // bands
        if label.height > free or label.width > scene.width:
            scale = min(free / label.height, scene.width / label.width)
            label = label.resize((int(label.width * scale), int(label.height * scale)))
        left = int(rng.integers(0, scene.width - label.width + 1))
        top = band * free + int(rng.integers(0, free - label.height + 1))
        scene.paste(label, (left, top))
        placed.append((text, (left, top, left + label.width, top + label.height)))
    return placed


def _label(rng: np.random.Generator) -> tuple[str, Image.Image]:
    """One line of dark text on light paper, a little blurred."""
    import matplotlib

    text = f"{rng.choice(_WORDS)} {rng.integers(0, 10 ** int(rng.integers(1, 7)))}"
    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    font = ImageFont.truetype(str(fonts / rng.choice(_FONTS)), int(rng.integers(*FONT_SIZES)))
    paper, ink = rng.integers(190, 256, 3), rng.integers(0, 80, 3)
    left, top, right, bottom = font.getbbox(text)
    size = (round(right - left) + 2 * MARGIN, round(bottom - top) + 2 * MARGIN)
    label = Image.new("RGB", size, tuple(map(int, paper)))
    ImageDraw.Draw(label).text(
        (MARGIN - left, MARGIN - top), text, font=font, fill=tuple(map(int, ink))
    )
    return text, label.filter(ImageFilter.GaussianBlur(rng.uniform(0, 0.8)))
