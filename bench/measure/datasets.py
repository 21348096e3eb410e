"""Images with known text: rendered labels, words photographed on a page, a user's own folder."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from bench.errors import InputError, nearest, shorten
from bench.files import LARGE, read_bytes, require_file
from bench.folders import cache_folder
from bench.measure.models import ModelFile, fetch
from bench.measure.tasks import Sample, printable
from bench.store import atomic_write

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")

_LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"
_FONTS = ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSansMono.ttf", "DejaVuSerif.ttf")

PAGE = ModelFile(
    name="photographed page",
    origin="wheel:scikit-image==0.26.0!skimage/data/page.png",
    sha256="341a6f0a61557662b02734a9b6e56ec33a915b2c41886b97509dedf2a43b47a3",
    licence="BSD-3-Clause (scikit-image's sample data)",
    meaning="a photograph of a printed page, unevenly lit, 384 by 191 grey pixels",
)
PHOTOGRAPHS = tuple(
    ModelFile(
        name=f"photograph {name}",
        origin=f"wheel:scikit-image==0.26.0!skimage/data/{name}",
        sha256=digest,
        licence="CC0 or public domain (scikit-image's sample data)",
        meaning="a colour photograph",
    )
    for name, digest in (
        ("astronaut.png", "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5"),
        ("coffee.png", "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7"),
        ("chelsea.png", "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb"),
        ("rocket.jpg", "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c"),
    )
)
# Words on that page, found and transcribed by hand: left, top, right, bottom, text.
_WORDS = (
    (5, 10, 145, 36, "Region-based"), (149, 11, 296, 36, "segmentation"),
    (4, 48, 84, 64, "Let us first"), (88, 48, 161, 65, "determine"),
    (165, 49, 246, 65, "markers of"), (250, 49, 350, 65, "the coins and"),
    (4, 66, 85, 82, "background."), (131, 67, 217, 83, "markers are"),
    (218, 67, 294, 84, "pixels that"), (296, 66, 378, 82, "we can label"),
    (4, 83, 104, 101, "unambiguously"), (108, 84, 175, 101, "as either"),
    (179, 85, 247, 102, "object or"), (252, 84, 337, 101, "background."),
    (4, 117, 70, 134, "histogram"), (122, 122, 173, 137, "values:"),
)  # fmt: skip


def rendered_labels(count: int, seed: int) -> list[Sample]:
    """``count`` parcel labels with noise, blur and rotation, as JPEG files in the cache."""
    rng = np.random.default_rng(seed)
    labels = [_draw_label(rng) for _ in range(count)]
    return [
        Sample(keep_input("labels", encoded, "jpg"), text, "rendered labels")
        for text, encoded in labels
    ]


def photographed_words() -> list[Sample]:
    """Words cut from a photograph of a printed page that scikit-image's wheel ships, as PNG."""
    with Image.open(fetch(PAGE)) as page:
        page.load()
        samples = []
        for left, top, right, bottom, text in _WORDS:
            buffer = io.BytesIO()
            page.crop((left, top, right, bottom)).save(buffer, "PNG")
            path = keep_input("words", buffer.getvalue(), "png")
            samples.append(Sample(path, text, "photographed words"))
    return samples


def photographs(count: int, seed: int) -> list[Sample]:
    """Crops of photographs that scikit-image's wheel ships, as JPEG; nothing is known of them."""
    rng = np.random.default_rng(seed)
    pictures = []
    for file in PHOTOGRAPHS:
        with Image.open(fetch(file)) as image:
            pictures.append(image.convert("RGB"))
    samples = []
    for number in range(count):
        picture = pictures[number % len(pictures)]
        side = int(rng.integers(min(picture.size) // 2, min(picture.size)))
        left, top = (int(rng.integers(0, length - side + 1)) for length in picture.size)
        buffer = io.BytesIO()
        picture.crop((left, top, left + side, top + side)).save(buffer, "JPEG", quality=90)
        path = keep_input("photographs", buffer.getvalue(), "jpg")
        samples.append(Sample(path, None, "photographs"))
    return samples


def image_folder(folder: Path) -> list[Sample]:
    """Every image in ``folder``; the text in each from ``labels.csv`` (``file,text``) if present.

    Raises:
        InputError: no such folder, no image in it, one that cannot be read, or a ``labels.csv`` that
            cannot be read or names a file that is not there.
    """
    if not folder.is_dir():
        raise InputError("there is no such folder of images", where=str(folder))
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        raise InputError(
            "the folder holds no image", where=str(folder), allowed=", ".join(IMAGE_SUFFIXES)
        )
    for path in paths:
        require_file(path, LARGE)
        try:
            with Image.open(path) as image:
                image.load()
        except Exception as error:  # each decoder raises what it likes
            raise InputError(f"not an image that can be read ({error})", where=str(path)) from error
    truths = read_labels(folder / "labels.csv", {path.name for path in paths})
    return [Sample(p, truths.get(p.name), printable(folder.name) or "images") for p in paths]


def read_labels(path: Path, known: Collection[str]) -> dict[str, str]:
    """The text of each file of ``known`` that ``labels.csv`` (``file,text``) names; none if absent.

    Raises:
        InputError: with the line, where the file cannot be read, or says something of no file or
            two things of one.
    """
    if not path.exists():
        return {}
    rows = csv.reader(io.StringIO(_text(path), newline=""))
    truths: dict[str, str] = {}
    columns: list[str] | None = None
    while row := _next_row(rows, path):
        where = f"{path}:{rows.line_num}"
        if columns is None:
            columns = [name.strip() for name in row]
            if not {"file", "text"} <= set(columns):
                raise InputError(
                    f"the first line names the columns {shorten(', '.join(columns))}", where=where,
                    allowed="a CSV file, separated by commas, with the columns file and text",
                )  # fmt: skip
            continue
        cells = dict(zip(columns, row, strict=False))
        name, text = cells.get("file", ""), cells.get("text")
        if text is None:
            raise InputError("the row ends before the column text", where=where)
        if name not in known:
            raise InputError(
                f"there is no image {shorten(name)!r} in the folder", where=where,
                todo=f"Did you mean {near!r}?" if (near := nearest(name, known)) else None,
            )  # fmt: skip
        if truths.setdefault(name, text) != text:
            raise InputError(f"{shorten(name)!r} has another text further above", where=where)
    return truths


def _next_row(rows: Any, path: Path) -> list[str]:
    """The next row with something in it; empty at the end."""
    try:
        return next((row for row in rows if any(row)), [])
    except csv.Error as error:
        raise InputError(
            f"the labels cannot be read ({error})", where=f"{path}:{rows.line_num}",
            todo="Is a quotation mark left open?" if "limit" in str(error) else None,
        ) from error  # fmt: skip


def _text(path: Path) -> str:
    """A file in UTF-8, with or without the mark that Excel puts before it."""
    try:
        content = read_bytes(path, LARGE)
    except OSError as error:
        raise InputError(
            f"the labels cannot be read ({error.strerror})", where=str(path)
        ) from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise InputError(
            f"the labels are not in UTF-8 (byte {content[error.start]:#04x})",
            where=f"{path}:{line}", todo='Save the file as "CSV UTF-8"',
        ) from error  # fmt: skip


def _draw_label(rng: np.random.Generator) -> tuple[str, bytes]:
    import matplotlib

    letters = "".join(rng.choice(list(_LETTERS), 3))
    text = f"{letters}-{rng.integers(0, 10**6):06d}"
    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    font = ImageFont.truetype(str(fonts / rng.choice(_FONTS)), 40)
    paper, ink = int(rng.integers(190, 250)), int(rng.integers(10, 70))
    image = Image.new("L", (round(font.getlength(text)) + 32, 72), paper)
    ImageDraw.Draw(image).text((16, 12), text, font=font, fill=ink)
    image = image.rotate(rng.uniform(-4, 4), resample=Image.Resampling.BICUBIC, fillcolor=paper)
    image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0, 3.2)))
    pixels = np.asarray(image, dtype=float)
    pixels = pixels + rng.normal(0, rng.uniform(4, 45), pixels.shape)
    buffer = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=85)
    return text, buffer.getvalue()


def keep_input(group: str, encoded: bytes, suffix: str) -> Path:
    """Store an input in the cache under its own hash; the file's name is the sample's."""
    name = hashlib.sha256(encoded).hexdigest()[:24]
    path = cache_folder() / "inputs" / group / f"{name}.{suffix}"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as file:
            file.write(encoded)
    return path
