"""Where the program finds what it ships, and keeps what it fetched."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import platformdirs

from bench.errors import InputError

DATA_VARIABLE = "BENCH_DATA"
CACHE_VARIABLE = "BENCH_CACHE"


def data_folder(name: str) -> Path:
    """``scenarios`` or ``hardware_profiles``: beside the package, inside it, or in ``$BENCH_DATA``.

    A checkout has them in its root; an installed wheel carries them in ``bench/data``.

    Raises:
        InputError: the folder is in none of these places.
    """
    package = Path(__file__).resolve().parent
    chosen = os.environ.get(DATA_VARIABLE)
    roots = [Path(chosen)] if chosen else [package.parent, package / "data"]
    for root in roots:
        if (root / name).is_dir():
            return root / name
    raise InputError(
        f"the folder {name!r} was not found",
        where=f"${DATA_VARIABLE}" if chosen else str(package),
        todo=f"Point {DATA_VARIABLE} to a folder that holds it",
    )


def cache_folder() -> Path:
    """Where fetched and generated files are kept: ``$BENCH_CACHE`` or the user's cache folder."""
    chosen = os.environ.get(CACHE_VARIABLE)
    return Path(chosen) if chosen else Path(platformdirs.user_cache_dir("inference-testbed"))


def new_folder(name: str, what: str = "") -> Path:
    """A place for a run, in ``reports``, where nothing is yet."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    called = "-".join(filter(None, [name, what, stamp]))
    folder, number = Path("reports") / called, 1
    while folder.exists():
        number += 1
        folder = folder.with_name(f"{called}-{number}")
    return folder
