"""A table as text: a line with the names of the columns, then one request a line."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from itertools import accumulate, islice
from pathlib import Path

import pandas as pd

from bench.errors import MOST_LISTED, InputError, shorten
from bench.recordings import ROWS, Fields, Head, Strays
from bench.recordings._lines import LONGEST, lines, unreadable

TITLE = "comma-separated columns, with their names in the first line"
IS_LOG = False


def fields(head: Head) -> Fields | None:
    if b"\0" in head.data:
        return None
    return Fields(title="", time="time_s", stamp="start")


def chunks(path: Path, names: Sequence[str], strays: Strays) -> Iterator[pd.DataFrame]:
    """Every line counts: one that is no request is a fault, which the caller finds in it."""
    reader = csv.reader(_texts(path))
    try:
        places = _places(path, next(filter(_is_row, reader), []), names)
        while True:
            before = reader.line_num
            rows = list(islice(reader, ROWS))
            if not rows:
                return
            cells: dict[str, Sequence[str]] = {
                name: [row[k] if k < len(row) else "" for row in rows]
                for name, k in zip(names, places, strict=True)
            }
            lines_of = pd.Index(_lines_of(rows, before, reader.line_num))
            table = pd.DataFrame(cells, index=lines_of, dtype=object)
            yield table[[_is_row(row) for row in rows]]
    except csv.Error as error:
        raise unreadable(path, f"line {reader.line_num}: {error}") from error


def _places(path: Path, header: Sequence[str], names: Sequence[str]) -> list[int]:
    for name in names:
        if name not in header:
            raise InputError(
                f"the trace has no column {name!r}", where=str(path),
                allowed=", ".join(shorten(one) for one in header[:MOST_LISTED]) or "a header line",
                todo=None if path.suffix == ".csv"
                else "If it is no CSV file, say its form",
            )  # fmt: skip
    return [header.index(name) for name in names]


def _is_row(cells: Sequence[str]) -> bool:
    """And no blank line."""
    return len(cells) > 1 or (len(cells) == 1 and cells[0].strip() != "")


def _lines_of(rows: Sequence[Sequence[str]], before: int, last: int) -> Sequence[int]:
    """Where rows end that begin after the line ``before``: a cell in quotes may have several lines."""
    if last - before == len(rows):
        return range(before + 1, last + 1)
    ends = accumulate(1 + sum(cell.count("\n") for cell in row) for row in rows)
    return [before + end for end in ends]


def _texts(path: Path) -> Iterator[str]:
    for number, text in lines(path):
        if text is None:
            raise unreadable(path, f"line {number} has more than {LONGEST:,} characters")
        yield text + "\n"
