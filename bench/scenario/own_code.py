"""Python files of a user's own that a record names: a record from elsewhere may name anybody's."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from bench.errors import InputError
from bench.extensions import is_own_file
from bench.scenario.deployments import OtherStage
from bench.scenario.parts import Choice


def require_asked_for(record: BaseModel, allowed: Collection[Path], where: str) -> None:
    """Refuse a record that names Python files, but for those that the user named too.

    A scenario is a file that its user chose to run, with the code it names. The records in a run's
    folder are data, which may have come with the folder.

    Raises:
        InputError: the first file of the user's own that is not among ``allowed``.
    """
    known = {path.resolve() for path in allowed}
    for name in named_code(record):
        if Path(name).resolve() not in known:
            raise InputError(
                f"the records of this run name Python code, {name}, which was not run",
                where=where,
                todo=f"If you trust that file, name it as well: --allow-code {name}",
            )


def named_code(value: Any) -> Iterator[str]:
    """The paths of all Python files that the parts of a record name."""
    if isinstance(value, Choice):
        if is_own_file(value.name):
            yield value.name
        yield from _in_options(value.options)
    elif isinstance(value, OtherStage):
        if is_own_file(value.place):
            yield value.place
        yield from _in_options(value.options)
    elif isinstance(value, BaseModel):
        for _, inner in value:
            yield from named_code(inner)
    elif isinstance(value, dict):
        for inner in value.values():
            yield from named_code(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from named_code(inner)


def _in_options(value: Any) -> Iterator[str]:
    """As above, among options, in which a part is a mapping with a name."""
    if isinstance(value, dict):
        name = value.get("name")
        if isinstance(name, str) and is_own_file(name):
            yield name
        for inner in value.values():
            yield from _in_options(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _in_options(inner)
    else:
        yield from named_code(value)
