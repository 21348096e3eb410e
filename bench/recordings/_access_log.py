"""Lines as web servers have written them since NCSA httpd: ``host ident user [time] "request" status bytes``.

What follows has no names in the line: ``extra1``, ``extra2`` and so on, or the name before a ``=``.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from bench.recordings import Fields, Head, Stamp, Strays, Unit, tables
from bench.recordings._lines import lines

_TEXT = r'[^"\\]*(?:\\.[^"\\]*)*'
"""Between quotes, where a backslash makes a quote a part of the text."""
COMMON = (
    r"(?P<host>\S+) (?P<ident>\S+) (?P<user>[^\[]*) \[(?P<time>[^\]]+)\] "
    rf'"(?P<request>{_TEXT})" (?P<status>\d{{3}}|-) (?P<bytes>\d+|-)'
)
COMBINED = rf'{COMMON} "(?P<referer>{_TEXT})" "(?P<agent>{_TEXT})"'
_REST = re.compile(rf'(?:(?P<name>\w+)=)?(?P<value>"{_TEXT}"|\[[^\]]*\]|\S+)')
_TOOK = re.compile(r"\(?(\d+(?:\.\d+)?)(ms|us|µs|s)?\)?")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DATE = re.compile(r"(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d:\d\d:\d\d) ([+-]\d\d)(\d\d)")
_TAKEN = (
    "host",
    "ident",
    "user",
    "time",
    "request",
    "method",
    "path",
    "status",
    "bytes",
    "referer",
    "agent",
)
_UNITS: dict[str, Unit] = {"ms": "ms", "us": "us", "µs": "us", "s": "s"}
_SAID_BY_NAME = ("rt", "request_time", "duration")
LONGEST_REST = 2000
"""Characters of it that are looked at."""
_TRIED = 50
"""Lines of the head by which a form is known."""


class AccessLog:
    """One of the forms: the pattern of a line's beginning, and its name."""

    def __init__(self, pattern: str, title: str) -> None:
        self._line = re.compile(rf"{pattern}(?P<rest>(?: .*)?)")
        self._title = title

    def fields(self, head: Head) -> Fields | None:
        """The first lines are of this form, but for strays, and agree on where the response time is."""
        found = [self._line.fullmatch(line) for line in head.lines[:_TRIED]]
        rests = [match["rest"] for match in found if match]
        if 2 * len(rests) <= len(found):
            return None
        response, unit, stamp = _response([_named(rest) for rest in rests])
        return Fields(
            title=self._title, time="time", stamp=stamp, response=response, response_unit=unit,
            path="path", status="status",
            there=(*(name for name in self._line.groupindex if name != "rest"), "method", "path", *_named(rests[0])),
        )  # fmt: skip

    def chunks(self, path: Path, names: Sequence[str], strays: Strays) -> Iterator[pd.DataFrame]:
        yield from tables(self._rows(path, names, strays), names)

    def _rows(
        self, path: Path, names: Sequence[str], strays: Strays
    ) -> Iterator[tuple[int, list[str | None]]]:
        for number, text in lines(path):
            match = None if text is None else self._line.fullmatch(text.rstrip("\r"))
            if match is not None:
                yield number, [_cell(match, name) for name in names]
            elif text is None or text.strip():
                strays.add(number)


def _cell(match: re.Match[str], name: str) -> str | None:
    if name == "time":
        return in_iso(match["time"])
    if name in ("method", "path"):
        parts = match["request"].split(" ", 2)
        return parts[name == "path"] if len(parts) > 1 else ""
    if name in match.re.groupindex:
        return match[name]
    value = _named(match["rest"]).get(name)
    took = _TOOK.fullmatch(value or "")
    return took[1] if took else value


def _named(rest: str) -> dict[str, str]:
    """What follows in a line, by name."""
    if " " not in (only := rest[1:]) and "=" not in only:  # as it mostly is, and quicker
        return {"extra1": only.strip('"')} if only else {}
    named = {}
    for place, found in enumerate(_REST.finditer(rest[:LONGEST_REST]), 1):
        name = found["name"]
        if name is None or name in _TAKEN:
            name = f"extra{place}"
        named[name] = found["value"].strip('"')
    return named


def _response(rests: Sequence[dict[str, str]]) -> tuple[str | None, Unit | None, Stamp | None]:
    """Which field is the response time: the only one that follows, one called so, or a last one with a
    unit.

    Servers differ in how they write it, and in what the time of a line is (their manuals): nginx seconds
    with three decimals (``$request_time``), at the end; Apache whole microseconds (``%D``), at the start;
    Traefik milliseconds with their unit, at the start.
    """
    names = list(rests[0])
    likely = [name for name in names if name in _SAID_BY_NAME][:1]
    if not likely and names and (len(names) == 1 or rests[0][names[-1]].endswith("s")):
        likely = names[-1:]
    for name in likely:
        took = [_TOOK.fullmatch(rest.get(name, "")) for rest in rests]
        if not all(took):
            return None, None, None
        unit = took[0][2] if took[0] else None
        if unit:
            return name, _UNITS[unit], "start"
        has_decimals = any("." in rest[name] for rest in rests)
        return (name, "s", "end") if has_decimals else (name, "us", "start")
    return None, None, None


@functools.lru_cache(maxsize=256)
def in_iso(text: str) -> str:
    """``10/Oct/2000:13:55:36 -0700`` as ISO 8601 writes it; any other text as it is.

    The months are English ones, whatever the locale; lines of one second follow each other.
    """
    match = _DATE.fullmatch(text)
    if match is None or match[2] not in _MONTHS:
        return text
    day, month, year, clock, hours, minutes = match.groups()
    return f"{year}-{_MONTHS.index(month) + 1:02d}-{day}T{clock}{hours}:{minutes}"
