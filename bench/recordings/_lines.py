"""The lines of a file that somebody else wrote, packed or not, one by one and none without an end."""

from __future__ import annotations

import gzip
import zlib
from codecs import BOM_UTF8
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from bench.errors import InputError
from bench.files import LARGE, require_file

BLOCK = 1 << 20
LONGEST = 1 << 16
"""Bytes of a line, and of the beginning that says what a file is."""
MOST_UNPACKED = 1 << 34
PACKED = b"\x1f\x8b"


def lines(path: Path) -> Iterator[tuple[int, str | None]]:
    """Each line without its end, and its number; ``None`` for one that is too long.

    Raises:
        InputError: the file cannot be read, or unpacks to more than makes sense.
    """
    number, seen, begun = 0, 0, b""
    with _opened(path) as file:
        while block := file.read(BLOCK):
            seen += len(block)
            if seen > MOST_UNPACKED:
                raise InputError(
                    "the trace unpacks to more than can be read", where=str(path),
                    allowed=f"up to {MOST_UNPACKED:,} bytes",
                )  # fmt: skip
            whole, end, begun = (begun + block).rpartition(b"\n")
            for text in _texts(whole, number == 0) if end else ():
                number += 1
                yield number, text if len(text) <= LONGEST else None
            begun = begun[: LONGEST + 1]  # of a line that is too long, the rest is not kept
    for text in _texts(begun, number == 0) if begun else ():
        yield number + 1, text if len(text) <= LONGEST else None


def _texts(data: bytes, is_first: bool) -> list[str]:
    return (
        (data.removeprefix(BOM_UTF8) if is_first else data).decode("utf-8", "replace").split("\n")
    )


def beginning(path: Path) -> tuple[bytes, list[str]]:
    """The first bytes of a file, unpacked, and the whole lines in them that are not blank.

    Raises:
        InputError: the file cannot be read, or is empty.
    """
    with _opened(path) as file:
        data = file.read(LONGEST)
    if not data:
        raise unreadable(path, "the file is empty")
    text = data.removeprefix(BOM_UTF8).decode("utf-8", "replace")
    if len(data) == LONGEST:  # the last line may go on
        text = text.rpartition("\n")[0]
    return data, [line for line in text.splitlines() if line.strip()]


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    try:
        require_file(path, LARGE)
        with path.open("rb") as file:
            packed = file.read(len(PACKED)) == PACKED
            file.seek(0)
            if not packed:
                yield file
                return
            with gzip.open(file) as unpacked:
                yield unpacked  # type: ignore[misc]
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, why: object) -> InputError:
    return InputError(f"the trace cannot be read ({why})", where=str(path))
