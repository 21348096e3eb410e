"""A file → the trace that is recorded in it, in one pass and no more than a chunk of it in memory."""

from __future__ import annotations

import functools
import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench.arrivals import NO_SIZES, Floats
from bench.arrivals._recording import FAILED, LeftOut, Recording, recording
from bench.arrivals._source import Source
from bench.arrivals._times import PER_SECOND, Column, numbers_of, require, text_of, unit_in
from bench.errors import MOST_LISTED, InputError
from bench.files import LARGE, require_file
from bench.recordings import Fields, Strays, form_of
from bench.recordings._lines import unreadable
from bench.units import LARGEST_SIZE, LEAST_SIZE, LONGEST_S, format_percent

MOST_REQUESTS = 50_000_000
MOST_STRAYS = 0.01
"""Of the lines of a log, so many may be of another form."""


def recording_of(source: Source) -> Recording:
    """Read a trace, or remember it if it was read before and has not changed.

    Raises:
        InputError: no such file or column, lines of another form, a value that is no time or no size,
            times that go back in a table, or numbers of which it cannot be told what they count.
    """
    try:
        require_file(source.file, LARGE)
        found = source.file.stat()
    except (OSError, ValueError) as error:
        raise unreadable(source.file, error) from error
    rest = source.model_dump_json(exclude={"file"})
    return _read(source.file, rest, (found.st_mtime_ns, found.st_size))


@functools.lru_cache(maxsize=8)
def _read(file: Path, rest: str, version: tuple[int, int]) -> Recording:
    source = Source.model_validate({"file": file, **json.loads(rest)})
    form, known = form_of(file, source.form)
    reader, strays = _Reader(source, form, _asked(source, form, known)), Strays()
    for table in form.chunks(file, reader.names, strays):
        reader.add(table)
    return reader.recording(strays)


def _asked(source: Source, form: ModuleType, known: Fields) -> Fields:
    """What the fields hold: as asked, or else as the form says."""
    where, time = str(source.file), source.column or known.time
    if time is None:
        raise InputError(
            "nothing says which field of the trace is the time", where=where,
            allowed=", ".join(known.there[:MOST_LISTED]) or None, todo="Say it: column",
        )  # fmt: skip
    if source.path is not None and known.path is None:
        raise InputError(
            "nothing says which field of the trace is the path", where=where,
            todo="Say it with the path: only: {FIELD: /v2/*}",
        )  # fmt: skip
    is_known = time == known.time or not form.IS_LOG
    stamp = source.stamp or (known.stamp if is_known else None)
    response = source.response or known.response
    if response is not None and stamp is None:
        if time not in known.there:
            raise no_field(time, where, known)
        raise InputError(
            f"nothing says whether {time!r} is when requests began, or when they ended", where=where,
            allowed="stamp: start, or stamp: end",
        )  # fmt: skip
    own = known.response_unit if response == known.response else None
    response_unit = source.response_unit or own or unit_in(response or "")
    if response is not None and response_unit is None:
        raise InputError(
            f"nothing says what the numbers in {response!r} count", where=where,
            allowed="response_unit: s, ms, us or ns",
        )  # fmt: skip
    return replace(
        known, time=time, unit=source.unit or (known.unit if time == known.time else None),
        stamp=stamp, response=response, response_unit=response_unit,
        sizes=source.sizes or known.sizes, status=source.status or known.status,
    )  # fmt: skip


def no_field(name: str, where: str, fields: Fields) -> InputError:
    return InputError(
        f"no line of the trace has the field {name!r}", where=where,
        allowed=", ".join(fields.there[:MOST_LISTED]) or None,
    )  # fmt: skip


class _Reader:
    """Takes the tables of a file, one after the other."""

    def __init__(self, source: Source, form: ModuleType, fields: Fields) -> None:
        self._source, self._form, self._fields = source, form, fields
        self._file, self._left_out = str(source.file), LeftOut()
        assert fields.time is not None  # noqa: S101
        self._column = Column(self._file, fields.time, fields.unit, form.IS_LOG)
        self._responses: list[Floats] = []
        self._sizes: list[Floats] = []
        named = (
            fields.time, fields.response, fields.sizes, None if source.failed else fields.status,
            fields.path if source.path else None, *source.only,
        )  # fmt: skip
        self.names = list(dict.fromkeys(name for name in named if name))
        asked = {source.column, source.response, source.sizes, source.status, *source.only}
        self._asked_for = [name for name in self.names if name in asked]

    def add(self, table: pd.DataFrame) -> None:
        """Raises:
        InputError: there is no such field, or one that does not hold what it should.
        """
        for name in self._asked_for if not self._left_out.lines else ():
            if table[name].isna().all():
                raise no_field(name, self._file, self._fields)
        self._left_out.lines += len(table)
        table = self._answered(self._wanted(table))
        if table.empty:
            return
        self._column.add(table[self._fields.time])
        if self._fields.response is not None:
            self._responses.append(self._took(table[self._fields.response]))
        if self._fields.sizes is not None:
            self._sizes.append(self._large(table[self._fields.sizes]))
        if sum(map(len, self._column.parts)) > MOST_REQUESTS:
            raise InputError(
                "the trace has more requests than fit into memory", where=self._file,
                allowed=f"up to {MOST_REQUESTS:,}", todo="Leave some out: path, only",
            )  # fmt: skip

    def _wanted(self, table: pd.DataFrame) -> pd.DataFrame:
        kept = np.ones(len(table), bool)
        for name, value in self._source.only.items():
            kept &= _match(table[name].map(text_of), text_of(value))
        if self._source.path is not None:
            paths = table[self._fields.path].map(lambda cell: text_of(cell).partition("?")[0])
            kept &= _match(paths, self._source.path)
        self._left_out.others += int(np.count_nonzero(~kept))
        return table[kept]

    def _answered(self, table: pd.DataFrame) -> pd.DataFrame:
        """Without those that failed, or that have no status at all."""
        if self._fields.status not in self.names:
            return table
        status = pd.to_numeric(table[self._fields.status], errors="coerce")
        kept = (status < FAILED).to_numpy(dtype=bool, na_value=False)
        self._left_out.failed += int(np.count_nonzero(~kept))
        return table[kept]

    def _took(self, cells: pd.Series[Any]) -> Floats:
        """Seconds. Where arrivals are counted back from the ends, each request has to have them."""
        unit = self._fields.response_unit or "s"
        took = numbers_of(cells).astype(float) / PER_SECOND[unit]
        wrong = ~((took >= 0) & (took <= LONGEST_S))
        if self._fields.stamp == "start":
            wrong &= ~np.isnan(took)
        require(
            wrong, cells, self._file, f"the column {self._fields.response!r} holds what is no response time",
            "numbers from 0 on, in response_unit",
        )  # fmt: skip
        return took

    def _large(self, cells: pd.Series[Any]) -> Floats:
        """Rows of ours have a size of 0 where the task has none."""
        sizes = numbers_of(cells).astype(float)
        least = LEAST_SIZE if self._source.sizes else 0.0
        require(
            ~((sizes >= least) & (sizes <= LARGEST_SIZE)), cells, self._file,
            f"the column {self._fields.sizes!r} holds what is no size",
            f"numbers from {LEAST_SIZE:g} to {LARGEST_SIZE:g}, in the task's unit",
        )  # fmt: skip
        return sizes

    def recording(self, strays: Strays) -> Recording:
        """Raises:
        InputError: it has no request, or too many lines are of another form.
        """
        left_out = self._left_out
        left_out.lines += strays.number
        left_out.strays, left_out.first_stray = strays.number, strays.first
        if strays.number > MOST_STRAYS * left_out.lines:
            raise InputError(
                f"{strays.number:,} of {left_out.lines:,} lines are not {self._form.TITLE}",
                where=f"{self._file}:{strays.first}",
                allowed=f"up to {format_percent(MOST_STRAYS, 0)} of other lines in a log",
            )
        if not self._column.parts:
            told = f" ({said})" if (said := left_out.in_words()) else ""
            raise InputError(f"the trace holds no arrival{told}", where=self._file)
        times = self._column.times()
        sizes = np.concatenate(self._sizes) if self._sizes else NO_SIZES
        return recording(
            self._source, self._fields, self._form.IS_LOG, left_out, times,
            np.concatenate(self._responses) if self._responses else NO_SIZES,
            sizes if sizes.all() else NO_SIZES,
        )  # fmt: skip


def _match(texts: pd.Series[str], asked: str) -> npt.NDArray[np.bool_]:
    """Which of them are what was asked, or begin so, where it ends with ``*``."""
    found = texts.str.startswith(asked[:-1]) if asked.endswith("*") else texts == asked
    return found.to_numpy(dtype=bool)
