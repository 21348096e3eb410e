"""Which file is a trace, and what of it: the part of a trace's options that says how it is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from bench import extensions
from bench.errors import nearest
from bench.record import Record
from bench.recordings import AUTO, FOLDER, Stamp, Unit

Spread = Literal["random", "even", "none"]


def _forms(schema: dict[str, Any]) -> None:
    schema["enum"] = [AUTO, *extensions.names(FOLDER)]


class Source(Record):
    """A file, which of its fields hold what, and which of its lines are meant."""

    file: Path
    form: str = Field(default=AUTO, json_schema_extra=_forms)
    """By default what the file looks like."""
    column: str | None = Field(default=None, min_length=1)
    """Numbers from any moment on, or dates with times; by default the form's own, in a CSV file
    ``time_s``."""
    unit: Unit | None = None
    """Of numbers. By default what their size says, where they count from 1970, or the end of the
    column's name (``time_ms``); otherwise seconds, and the verdict says so."""
    sizes: str | None = Field(default=None, min_length=1)
    """The column with the size of each request, in the task's own unit; by default they have none
    of their own."""
    response: str | None = Field(default=None, min_length=1)
    """The column with the response time of each request."""
    response_unit: Unit | None = None
    """By default the form's own, or what the column's name ends with."""
    stamp: Stamp | None = None
    """Whether ``column`` is when requests began, or ended; then, they began a response time before."""
    spread: Spread | None = None
    """Where, within a second, requests are whose times are whole seconds: by default at random in a
    log, and in a table as written."""
    path: str | None = Field(default=None, min_length=1)
    """Only requests to this path, or to those that begin so, where it ends with ``*``."""
    only: dict[str, bool | int | str] = Field(default={})
    """Only lines with these values of these fields, or such as begin so."""
    status: str | None = Field(default=None, min_length=1)
    """The column with the HTTP status; by default the form's own."""
    failed: bool = False
    """Whether requests count that were answered with a status of 400 and above."""

    @field_validator("form")
    @classmethod
    def _is_known(cls, name: str) -> str:
        known = [AUTO, *extensions.names(FOLDER)]
        if name not in known:
            near = nearest(name, known)
            raise ValueError(f"must be one of {', '.join(known)}" + f"; {near}?" * bool(near))
        return name
