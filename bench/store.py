"""Run folders: everything one run asked, measured, simulated and concluded.

Every file appears whole or not at all (written beside, then renamed). ``run.json`` says whether
the run is complete. A run that replaces an older one is built in ``NAME.incomplete`` and takes
the older one's place at the very end, so that a kill at any moment leaves the old run, or a run
that says it is incomplete.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import ValidationError

from bench.errors import InputError
from bench.record import SCHEMA_VERSION, Record

if TYPE_CHECKING:
    import pandas as pd

HEADER = "run.json"
R = TypeVar("R", bound=Record)


class Header(Record):
    """``run.json``: what the folder is, and whether it is whole."""

    schema_version: int = SCHEMA_VERSION
    status: Literal["incomplete", "complete"] = "incomplete"
    scenario: str
    seed: int
    bench_version: str
    created: str
    """UTC, ISO 8601."""
    command: str


class Run:
    """One run folder. Files are read and written by name, never by path."""

    def __init__(self, path: Path, target: Path | None = None) -> None:
        self.path = path
        self.target = target or path

    @classmethod
    def create(cls, target: Path, header: Header) -> Run:
        """Start a run that will end up in ``target``.

        Raises:
            InputError: ``target`` holds something that is not a run.
        """
        target = Path(target)
        _restore(target)
        path = target
        if target.exists() and not (target.is_dir() and not any(target.iterdir())):
            if not (target / HEADER).is_file():
                raise InputError(
                    "the output folder exists and is not a run of this program",
                    where=str(target),
                    allowed="a new folder, an empty one, or an earlier run, which is replaced",
                )
            path = target.with_name(target.name + ".incomplete")
            shutil.rmtree(path, ignore_errors=True)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"the output folder cannot be made ({error.strerror})", where=str(target)
            ) from error
        run = cls(path, target)
        run.save(HEADER, header)
        return run

    @classmethod
    def open(cls, path: Path) -> Run:
        """An existing run.

        Raises:
            InputError: there is no run at ``path``.
        """
        path = Path(path)
        _restore(path)
        if not (path / HEADER).is_file():
            raise InputError(
                "no run found",
                where=str(path),
                allowed=f"a folder with a {HEADER}, as `bench run` writes it",
            )
        return cls(path)

    @property
    def header(self) -> Header:
        return self.load(HEADER, Header)

    def finish(self) -> None:
        """Mark the run complete and put it in its place."""
        self.save(HEADER, self.header.model_copy(update={"status": "complete"}))
        if self.path == self.target:
            return
        old = _old(self.target)
        shutil.rmtree(old, ignore_errors=True)
        self.target.rename(old)
        self.path.rename(self.target)
        shutil.rmtree(old, ignore_errors=True)
        self.path = self.target

    def has(self, name: str) -> bool:
        return (self.path / name).is_file()

    def save(self, name: str, value: Record | Mapping[str, Any] | list[Any]) -> None:
        """Write ``value`` as JSON."""
        self.save_text(name, to_json(value))

    def save_text(self, name: str, text: str) -> None:
        with atomic_write(self.path / name) as file:
            file.write(text.encode())

    def save_table(self, name: str, table: pd.DataFrame) -> None:
        """Write ``table`` as Parquet."""
        with atomic_write(self.path / name) as file:
            table.to_parquet(file, index=False)

    def load(self, name: str, kind: type[R]) -> R:
        """Read the JSON file ``name`` back as the record ``kind``."""
        return read_record(self.path / name, kind)

    def table(self, name: str) -> pd.DataFrame:
        """Read the Parquet file ``name``."""
        import pandas as pd

        return pd.read_parquet(self.path / name)

    def obtain(self, name: str, kind: type[R], compute: Callable[[], R]) -> R:
        """The saved record ``name``; computed and saved first where it is not there yet."""
        if not self.has(name):
            self.save(name, compute())
        return self.load(name, kind)


class Journal:
    """Finished pieces of work, appended as they end: a kill loses only those under way.

    Lines of JSON, ``{"key": …, "value": …}``. A last line that was cut off is dropped.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: dict[str, Any] = {}
        whole = 0
        if path.is_file():
            for line in path.read_bytes().splitlines(keepends=True):
                try:
                    entry = json.loads(line)
                except ValueError:
                    break
                self._found[entry["key"]] = entry["value"]
                whole += len(line)
            os.truncate(path, whole)

    def get(self, key: str) -> Any:
        """The value kept under ``key``, or ``None``."""
        return self._found.get(key)

    def add(self, key: str, value: Any) -> None:
        self._found[key] = value
        line = json.dumps({"key": key, "value": value}, allow_nan=False)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def remove(self) -> None:
        """All is in the records now."""
        self._path.unlink(missing_ok=True)


def load(path: str | os.PathLike[str]) -> Run:
    """Open the run folder at ``path``: ``.table("batches.parquet")`` is a pandas frame.

    Raises:
        InputError: there is no run at ``path``.
    """
    return Run.open(Path(path))


def read_record(path: Path, kind: type[R]) -> R:
    """The JSON file at ``path`` as a record.

    Raises:
        InputError: the file is missing, not JSON, or not such a record.
    """
    try:
        return kind.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=str(path)) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise InputError(
            f"is not a {kind.__name__} of this version: {place or 'document'}: {first['msg']}",
            where=str(path),
            todo="Measure again with this version of the program",
        ) from error


def to_json(value: Record | Mapping[str, Any] | list[Any]) -> str:
    """Indented JSON with a final newline; NaN is refused, because JSON has none."""
    data = value.model_dump(mode="json") if isinstance(value, Record) else value
    return json.dumps(data, indent=2, allow_nan=False, ensure_ascii=False) + "\n"


@contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """A file that appears at ``path`` only once it is written to the end."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _old(target: Path) -> Path:
    return target.with_name(target.name + ".old")


def _restore(target: Path) -> None:
    """Undo a swap that was killed between its two renames."""
    if not target.exists() and (_old(target) / HEADER).is_file():
        _old(target).rename(target)
