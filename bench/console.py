"""What the command line prints with: streams that may be closed, tables, JSON and progress bars."""

from __future__ import annotations

import codecs
import contextlib
import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any, TextIO

from bench.errors import InputError, OutputClosed, shorten
from bench.plain import in_ascii, visible


def prepare_streams() -> None:
    """Characters that a terminal has not are replaced, and a stream that was closed stays unused."""
    codecs.register_error("bench", in_ascii)
    for number, stream in enumerate((sys.stdin, sys.stdout, sys.stderr)):
        if (
            stream is None
        ):  # or the next file that is opened would be taken for it, here or in a child
            with contextlib.suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_RDWR), number)
                os.set_inheritable(number, True)
        elif number and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="bench")


def say(text: object, *, err: bool = False, end: str = "\n") -> None:
    """Print a line; control characters are shown as what they are."""
    write(visible(text) + end, sys.stderr if err else sys.stdout)


def write(text: str, stream: TextIO | None) -> None:
    """Print ``text``.

    Raises:
        OutputClosed: nobody reads it.
        InputError: it cannot be written where the user sends it.
    """
    if stream is None:
        if text:
            raise OutputClosed
        return
    try:
        stream.write(text)
        stream.flush()
    except (OSError, ValueError) as error:
        with contextlib.suppress(OSError, ValueError):  # or Python would try again, at the very end
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        if isinstance(error, BrokenPipeError | ValueError) or stream is sys.stderr:
            raise OutputClosed from error
        raise InputError(
            f"the output cannot be written ({error.strerror})", where="standard output"
        ) from error


def print_json(value: object) -> None:
    """One document on stdout."""
    write(json.dumps(value, indent=2, allow_nan=False) + "\n", sys.stdout)


def print_table(table: Any) -> None:
    """A table of Rich's on stdout."""
    write(drawn(table), sys.stdout)


def drawn(table: Any) -> str:
    """A table of Rich's as text, as wide as the terminal."""
    from rich.console import Console

    console = Console(highlight=False)
    with console.capture() as shown:
        console.print(table)
    return shown.get()


def prints_aside() -> redirect_stdout[Any]:
    """Around work: what a user's own file prints goes to stderr; stdout is the answer alone."""
    return redirect_stdout(sys.stderr)


@contextmanager
def progress(silent: bool) -> Iterator[Callable[[str, int, int, str], None]]:
    """Around work: progress bars on stderr, only on a terminal; see also :func:`prints_aside`."""
    with prints_aside(), _bars(silent) as notify:
        yield notify


@contextmanager
def _bars(silent: bool) -> Iterator[Callable[[str, int, int, str], None]]:
    if silent or not sys.stderr.isatty():
        yield lambda stage, done, total, what: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description:<9}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[what]}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, Any] = {}

        def notify(stage: str, done: int, total: int, what: str) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total, what=what)
            bars.update(tasks[stage], completed=done, total=total, what=shorten(what))

        yield notify
