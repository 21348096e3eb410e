"""Tables of published facts as CSV, read row by row."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from bench.errors import InputError, shorten
from bench.files import LARGE, require_file

T = TypeVar("T")


def read_rows(path: Path, made: Callable[[Mapping[str, str]], T]) -> Iterator[T]:
    """What ``made`` makes of each row, by the names of its columns.

    Raises:
        InputError: a file that cannot be read, or a row that ``made`` refuses (``ValueError``) or in
            which it misses a column (``KeyError``).
    """
    try:
        require_file(path, LARGE)
        with path.open(newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file, strict=True)
            try:
                for row in rows:
                    yield made(row)
            except (ValueError, KeyError, TypeError, csv.Error) as error:
                raise InputError(
                    f"not a row of published times: {shorten(' '.join(str(error).split()), 160)}",
                    where=f"{path}:{max(rows.line_num, 1)}:1",
                ) from error
    except OSError as error:
        raise InputError(f"the file cannot be read ({error.strerror})", where=str(path)) from error
