"""Recordings of requests, in the forms in which services leave them: one file each.

Each file has ``TITLE``, the form in words; ``IS_LOG``, whether its lines are written when requests end;
``fields(head)``, what its fields hold, or ``None`` where a file that begins so is of another form; and
``chunks(path, names, strays)``, which yields tables of those fields. The index of a table is the line of
each row; a cell is a text or a number, and ``None`` where there is nothing.

A chunk is as much as is in memory at once of a file that may be long.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import pandas as pd

from bench import extensions
from bench.errors import InputError
from bench.recordings._lines import beginning

FOLDER = "bench.recordings"
CONTRACT = ("TITLE", "IS_LOG", "fields", "chunks")
AUTO = "auto"
ANY_TEXT = "csv"
"""The form that every text might be in: what a file is taken for last."""
ROWS = 100_000
"""In a chunk."""
Unit = Literal["s", "ms", "us", "ns"]
Stamp = Literal["start", "end"]


@dataclass(frozen=True)
class Head:
    """How a file begins."""

    path: Path
    data: bytes
    """Unpacked."""
    lines: Sequence[str]
    """Whole ones, without those that are blank."""


@dataclass(frozen=True)
class Fields:
    """What the fields of a form hold, by name, where the form or the head of the file says so."""

    title: str
    """Whose form it is, in words."""
    time: str | None = None
    unit: Unit | None = None
    """Of a time in numbers."""
    stamp: Stamp | None = None
    """Whether the time is that of the start of a request, or of its end."""
    response: str | None = None
    """The response time."""
    response_unit: Unit | None = None
    sizes: str | None = None
    path: str | None = None
    status: str | None = None
    has_batches: bool = False
    """Whether rows say in which batch a request was, and how long it waited for it."""
    there: tuple[str, ...] = ()
    """Names of fields that the head has, to choose from."""


@dataclass
class Strays:
    """Lines that are not of the form of their file."""

    number: int = 0
    first: int | None = None

    def add(self, line: int) -> None:
        self.number += 1
        self.first = self.first or line


def form_of(path: Path, name: str = AUTO) -> tuple[ModuleType, Fields]:
    """The form of a file, as asked or as its content looks, and what its fields hold.

    Raises:
        InputError: it cannot be read, or is of no form, or not of this one.
    """
    data, lines = beginning(path)
    head = Head(path, data, lines)
    known = extensions.names(FOLDER)
    asked = [name] if name != AUTO else sorted(known, key=lambda one: one == ANY_TEXT)
    for one in asked:
        module = extensions.load(FOLDER, one)
        fields: Fields | None = module.fields(head)
        if fields is not None:
            return module, fields
    raise InputError(
        "it cannot be told in which form the trace is"
        if name == AUTO
        else f"the trace does not begin as {extensions.load(FOLDER, name).TITLE} does",
        where=str(path), allowed=in_words(),
    )  # fmt: skip


def in_words() -> str:
    """All forms that there are."""
    named = extensions.names(FOLDER)
    return ", ".join(f"{name} ({extensions.load(FOLDER, name).TITLE})" for name in named)


def tables(
    rows: Iterator[tuple[int, Sequence[Any]]], names: Sequence[str]
) -> Iterator[pd.DataFrame]:
    """Rows, each with its line, as chunks."""
    while some := list(islice(rows, ROWS)):
        lines, cells = zip(*some, strict=True)
        yield pd.DataFrame(list(cells), index=list(lines), columns=list(names), dtype=object)
