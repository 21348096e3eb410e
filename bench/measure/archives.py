"""Zip archives from anywhere: looked through before anything in them is read."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from bench.errors import InputError, shorten

SMALL_BYTES = 64 * 2**20
LARGEST_GROWTH = 100
"""Unpacked, an archive may be 64 MiB, or so many times larger than it is packed. PyTorch and pip do
not pack weights at all, and packed arrays of real data shrink a few times."""


_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError)


@contextmanager
def opened(
    archive: Path | IO[bytes], where: str, kind: str = "zip archive"
) -> Iterator[zipfile.ZipFile]:
    """The archive, with every name in it once, and of a size that can be read.

    Readers differ in which of two entries of one name they take, so that what one of them checks
    need not be what another loads.

    Raises:
        InputError: no archive (``kind`` says what it should have been), a damaged one, a name that
            is there twice, or one that unpacks to far more than it is. ``where`` names it.
    """
    try:
        file = zipfile.ZipFile(archive)
    except (OSError, ValueError, *_DAMAGED) as error:
        raise InputError(f"this is no {kind} ({error})", where=where) from error
    with file:
        _check(file.infolist(), _size(archive), where)
        try:
            yield file
        except _DAMAGED as error:
            raise InputError(f"the {kind} is damaged ({error})", where=where) from error


def _check(entries: list[zipfile.ZipInfo], packed: int, where: str) -> None:
    name, times = max(Counter(e.filename for e in entries).items(), key=_count, default=("", 0))
    if times > 1:
        raise InputError(
            f"the archive holds {shorten(name)!r} {times} times, and readers differ in which they take",
            where=where,
            allowed="archives with every name once",
        )
    unpacked = sum(entry.file_size for entry in entries)
    limit = SMALL_BYTES + LARGEST_GROWTH * packed
    if unpacked > limit:
        raise InputError(
            f"the archive of {packed:,} bytes would unpack to {unpacked:,} bytes; it was not read",
            where=where,
            allowed=f"up to {limit:,} bytes for one of its size",
        )


def _count(entry: tuple[str, int]) -> int:
    return entry[1]


def _size(archive: Path | IO[bytes]) -> int:
    if isinstance(archive, Path):
        return archive.stat().st_size
    return archive.seek(0, os.SEEK_END)
