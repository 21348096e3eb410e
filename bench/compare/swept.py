"""A row of a sweep, and the table of them: ``sweep.parquet``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from bench.compare.comparison import Ranked
from bench.record import Record

FIGURES = ("usd_per_million", "p50_s", "p99_s", "slo_attainment", "utilisation")


class SweptRow(Record):
    """One deployment at one point of a sweep.

    In the table, each setting has a column of its own, named by its path in the scenario.
    """

    point: int
    settings: dict[str, str]
    deployment: str
    feasible: bool
    rank: int | None
    usd_per_million: float | None
    p50_s: float | None
    p99_s: float | None
    slo_attainment: float | None
    utilisation: float | None
    reasons: str

    @classmethod
    def of(cls, point: int, settings: Mapping[str, object], entry: Ranked) -> SweptRow:
        return cls(
            point=point,
            settings={path: str(value) for path, value in settings.items()},
            deployment=entry.deployment,
            feasible=entry.feasible,
            rank=entry.rank,
            **{name: getattr(entry, name).value for name in FIGURES},
            reasons="; ".join(entry.reasons),
        )


def table_of(rows: Sequence[SweptRow]) -> pd.DataFrame:
    """The point and its settings first."""
    flat = [
        {"point": row.point, **row.settings, **row.model_dump(exclude={"point", "settings"})}
        for row in rows
    ]
    return pd.DataFrame(flat).astype({"rank": "Int64"})


def rows_of(table: pd.DataFrame) -> Iterator[SweptRow]:
    """The rows of such a table."""
    own = SweptRow.model_fields.keys() - {"settings"}
    paths = [column for column in table.columns if column not in own]
    for row in table.to_dict("records"):
        yield SweptRow(
            settings={path: str(row[path]) for path in paths},
            **{str(name): None if pd.isna(row[name]) else row[name] for name in own},
        )
