"""Files that others wrote: read whole, if they are files, and no larger than makes sense."""

from __future__ import annotations

import stat
from pathlib import Path

from bench.errors import InputError

LARGE = 1 << 30
"""Bytes: of a table, a log or a picture that somebody else made."""


def require_file(path: Path, most_bytes: int) -> None:
    """Refuse what is no regular file (a folder, a pipe, a device that never ends), or too large.

    Raises:
        FileNotFoundError: there is none; the caller knows what to do about that.
        InputError: it cannot be read as one.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        said = getattr(error, "strerror", None) or str(error)
        raise InputError(f"the file cannot be read ({said})", where=str(path)) from error
    if stat.S_ISDIR(found.st_mode):
        raise InputError("this is a folder", where=str(path), allowed="a file")
    if not stat.S_ISREG(found.st_mode):
        raise InputError(
            "this is a pipe or a device", where=str(path), allowed="a file of limited size"
        )
    if found.st_size > most_bytes:
        raise InputError(
            f"the file has {found.st_size:,} bytes", where=str(path),
            allowed=f"files of up to {most_bytes:,} bytes",
        )  # fmt: skip


def read_bytes(path: Path, most_bytes: int) -> bytes:
    """What is in the file at ``path``.

    Raises:
        FileNotFoundError: there is none.
        InputError: it cannot be read.
    """
    require_file(path, most_bytes)
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"the file cannot be read ({error.strerror})", where=str(path)) from error
