"""A table as Parquet: one request a row, as ``bench observe`` and ``bench validate`` write them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.errors import MOST_LISTED, InputError, shorten
from bench.recordings import ROWS, Fields, Head, Strays
from bench.recordings._lines import unreadable

TITLE = "Parquet, such as the observed.parquet of `bench observe`"
IS_LOG = False
MAGIC = b"PAR1"
RESPONSE = "response"
"""What rows of ours say with two columns, and a status."""
_PARTS = ["arrival", "finished", "status"]


def fields(head: Head) -> Fields | None:
    """Those of rows that this program observed; another table's have to be named."""
    if not head.data.startswith(MAGIC):
        return None
    with _opened(head.path) as file:
        there = tuple(file.schema_arrow.names)
    if not {*_PARTS, "size"} <= set(there):
        return Fields(title="Parquet", stamp="start", there=there)
    return Fields(
        title="observed rows", time="arrival", unit="ns", stamp="start", response=RESPONSE,
        response_unit="ns", sizes="size", has_batches=True, there=there,
    )  # fmt: skip


def chunks(path: Path, names: Sequence[str], strays: Strays) -> Iterator[pd.DataFrame]:
    """The index is the number of the row, from 1 on."""
    first = 1
    with _opened(path) as file:
        there = file.schema_arrow.names
        for batch in file.iter_batches(ROWS, columns=_columns(path, names, there)):
            table = batch.to_pandas()
            table.index = pd.RangeIndex(first, first + len(table))
            first += len(table)
            yield _with_response(table, names, there)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            yield file
    except (OSError, ValueError, ArithmeticError) as error:  # of pyarrow's, some are ValueErrors
        raise unreadable(path, shorten(str(error).splitlines()[0], 160)) from error


def _columns(path: Path, names: Sequence[str], there: Sequence[str]) -> list[str]:
    wanted = [
        part for name in names for part in ([name] if name != RESPONSE or name in there else _PARTS)
    ]
    for name in wanted:
        if name not in there:
            raise InputError(
                f"the trace has no column {name!r}",
                where=str(path),
                allowed=", ".join(there[:MOST_LISTED]),
            )
    return list(dict.fromkeys(wanted))


def _with_response(table: pd.DataFrame, names: Sequence[str], there: Sequence[str]) -> pd.DataFrame:
    if RESPONSE in names and RESPONSE not in there:
        took = (table["finished"] - table["arrival"]).astype(float)
        answered = table["status"].between(200, 399)
        table[RESPONSE] = np.where(answered, took, np.nan)
    return table[list(names)]
