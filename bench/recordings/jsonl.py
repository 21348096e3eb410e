"""JSON lines: an object for each request. Fields inside of others are named as ``request.uri``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from bench.recordings import Fields, Head, Strays, tables
from bench.recordings._access_log import in_iso
from bench.recordings._lines import lines

TITLE = "JSON lines, an object for each request"
IS_LOG = True
KNOWN = (
    Fields(
        title="Traefik's JSON", time="StartUTC", stamp="start", response="Duration",
        response_unit="ns", path="RequestPath", status="DownstreamStatus",
    ),
    Fields(
        title="Envoy's JSON", time="start_time", stamp="start", response="duration",
        response_unit="ms", path="path", status="response_code",
    ),
    Fields(
        title="Caddy's JSON", time="ts", unit="s", stamp="end", response="duration",
        response_unit="s", path="request.uri", status="status",
    ),
    *(
        Fields(
            title="nginx's JSON", time=time, stamp="end", response="request_time",
            response_unit="s", path=path, status="status",
        )
        for time in ("msec", "time_iso8601", "time_local")
        for path in ("request_uri", "uri")
    ),
)  # fmt: skip
"""What servers write, by their manuals, or call their variables; a log is theirs that has all of it."""
TIMES = ("timestamp", "@timestamp", "time", "ts")
"""Of others, what the time is mostly called."""

DEPTH = 3
"""Of the names that an error lists."""


def fields(head: Head) -> Fields | None:
    objects = [found for line in head.lines if (found := _object(line)) is not None]
    if 2 * len(objects) <= len(head.lines):
        return None
    there = tuple(dict.fromkeys(name for one in objects for name in _names(one)))
    for known in KNOWN:
        parts = (known.time, known.response, known.path, known.status)
        if any(all(_at(one, part or "") is not None for part in parts) for one in objects):
            return replace(known, there=there)
    time = next((name for name in TIMES if any(name in one for one in objects)), None)
    return Fields(title="JSON lines", time=time, there=there)


def chunks(path: Path, names: Sequence[str], strays: Strays) -> Iterator[pd.DataFrame]:
    yield from tables(_rows(path, names, strays), names)


def _rows(path: Path, names: Sequence[str], strays: Strays) -> Iterator[tuple[int, list[Any]]]:
    for number, text in lines(path):
        found = None if text is None else _object(text)
        if found is not None:
            yield number, [_at(found, name) for name in names]
        elif text is None or text.strip():
            strays.add(number)


def _object(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _names(found: Mapping[str, Any], before: str = "") -> Iterator[str]:
    """Of plain values, those inside of others as :func:`_at` takes them."""
    for name, value in found.items():
        if isinstance(value, dict) and before.count(".") < DEPTH:
            yield from _names(value, f"{before}{name}.")
        else:
            yield before + name


def _at(found: Mapping[str, Any], name: str) -> str | float | None:
    """The plain value called ``name``, or at the end of these steps."""
    value: Any = found.get(name)
    if value is None and "." in name:
        value = found
        for step in name.split("."):
            value = value.get(step) if isinstance(value, dict) else None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return in_iso(value) if value[2:3] == "/" else value
    if isinstance(value, int) and value.bit_length() > 63:  # no number that fits anywhere
        return str(value)
    return value if isinstance(value, int | float) else None
