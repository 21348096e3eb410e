"""Run folders: everything one run asked, measured, simulated and concluded.

Every file appears whole or not at all (written beside, then renamed), and so does a run: with its
header and all that was asked. ``run.json`` says whether the run is complete. A run that replaces an
older one is built in ``NAME.incomplete`` and takes the older one's place at the very end, so that a
kill at any moment leaves the old run, or an unfinished one. Both are called ``NAME``: an unfinished
run is gone on with by that name, ends in that place, and is never replaced.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import ValidationError

from bench import __version__
from bench.errors import InputError, shorten
from bench.files import read_bytes, require_file
from bench.lock import owned
from bench.record import SCHEMA_VERSION, Record

if TYPE_CHECKING:
    import pandas as pd

HEADER = "run.json"
BUILDING = ".incomplete"
WRITTEN = "written.sha256"
"""What was written, last line last, as ``sha256sum`` has it."""
MOST_BYTES = 1 << 30
"""Of a record, a table or a journal."""
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

    @classmethod
    def now(cls, name: str, seed: int, command: str) -> Header:
        """Of a run that begins."""
        return cls(
            scenario=name,
            seed=seed,
            bench_version=__version__,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            command=command,
        )


class Run:
    """One run folder. Files are read and written by name, never by path.

    Who creates, goes on with or finishes a run holds its :func:`bench.lock.owned`.
    """

    def __init__(self, path: Path, target: Path | None = None) -> None:
        self.path = path
        self.target = target or path

    @classmethod
    def create(cls, target: Path, header: Header, files: Mapping[str, Record] | None = None) -> Run:
        """Start a run that will end up in ``target``; it has ``files`` from its first moment.

        Raises:
            InputError: ``target`` holds an unfinished run, or something that is not a run.
        """
        target = Path(target)
        _restore(target)
        path = _place_for(target)
        run = cls(path, target)
        try:
            if path.is_dir():  # an empty folder of the user's: its header says that it is a run
                run._write_all(header, files or {})
            else:
                new = cls(target.with_name(f".{target.name}.new"))
                shutil.rmtree(new.path, ignore_errors=True)
                new.path.mkdir(parents=True)
                new._write_all(header, files or {})
                new.path.rename(path)
        except OSError as error:
            raise InputError(
                f"the output folder cannot be made ({error.strerror})", where=str(target)
            ) from error
        return run

    def _write_all(self, header: Header, files: Mapping[str, Record]) -> None:
        for name, record in files.items():
            (self.path / name).parent.mkdir(exist_ok=True)
            self.save(name, record)
        self.save(HEADER, header)

    @classmethod
    def open(cls, path: Path) -> Run:
        """An existing run.

        Raises:
            InputError: there is no run at ``path``.
        """
        path = Path(path)
        if not path.exists() and (_old(path) / HEADER).is_file():
            with owned(path):
                _restore(path)
        if not (path / HEADER).is_file():
            raise InputError(
                "no run found",
                where=str(path),
                allowed=f"a folder with a {HEADER}, as `bench run` writes it",
            )
        return cls(path)

    @classmethod
    def unfinished(cls, target: Path) -> Run:
        """The run that was begun and not finished, and will end up in ``target``.

        Raises:
            InputError: there is none.
        """
        _restore(target)
        building = _building(target)
        if (building / HEADER).is_file():
            return cls(building, target)
        run = cls.open(target)
        if run.header.status == "complete":
            raise InputError("this run is complete", where=str(target), allowed="an incomplete run")
        return run

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
        if self.target.exists():
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
        self._save_bytes(name, text.encode(errors="backslashreplace"))

    def save_table(self, name: str, table: pd.DataFrame) -> None:
        """Write ``table`` as Parquet."""
        self._save_bytes(name, table.to_parquet(index=False))

    def _save_bytes(self, name: str, data: bytes) -> None:
        with atomic_write(self.path / name) as file:
            file.write(data)
        with (self.path / WRITTEN).open("a", encoding="utf-8") as digests:
            digests.write(f"{_digest(data)}  {name}\n")

    def changed(self) -> list[str]:
        """Files that are not as this program wrote them: damaged, or changed by somebody."""
        lines = (self.path / WRITTEN).read_text(encoding="utf-8", errors="replace").splitlines()
        written = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
        return [
            name
            for name, digest in written.items()
            if (self.path / name).is_file() and _digest((self.path / name).read_bytes()) != digest
        ]

    def load(self, name: str, kind: type[R]) -> R:
        """Read the JSON file ``name`` back as the record ``kind``."""
        return read_record(self.path / name, kind)

    def table(self, name: str, columns: Sequence[str] = ()) -> pd.DataFrame:
        """Read the Parquet file ``name``.

        Raises:
            InputError: it is missing or damaged, or lacks one of ``columns``.
        """
        import pandas as pd

        path = self.path / name
        try:
            require_file(path, MOST_BYTES)
            table = pd.read_parquet(path)
        except (
            OSError,
            ValueError,
            ArithmeticError,
        ) as error:  # of pyarrow's, some are ValueErrors
            raise InputError(
                f"the table cannot be read ({shorten(str(error).splitlines()[0], 160)})",
                where=str(path),
            ) from error
        if absent := [column for column in columns if column not in table]:
            raise InputError(f"the table has no column {absent[0]!r}", where=str(path))
        return table


class Journal:
    """Finished pieces of work, appended as they end: a kill loses only those under way.

    Lines of JSON, ``{"key": …, "value": …}``. From a line that was cut off or damaged on, they are
    dropped, and their work is done anew.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: dict[str, Any] = {}
        if not path.exists():
            return
        require_file(path, MOST_BYTES)
        whole = 0
        for line in path.read_bytes().splitlines(keepends=True):
            entry = _entry(line)
            if entry is None:
                break
            self._found[entry[0]] = entry[1]
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


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _entry(line: bytes) -> tuple[str, Any] | None:
    """The key and the value of a whole line of a journal."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not line.endswith(b"\n") or not isinstance(entry, dict) or set(entry) != {"key", "value"}:
        return None
    return str(entry["key"]), entry["value"]


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
        return kind.model_validate_json(read_bytes(path, MOST_BYTES))
    except FileNotFoundError as error:
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
    """A file that appears at ``path`` only once it is written to the end.

    Raises:
        InputError: it cannot be: the disk is full, the folder is missing or read-only.
    """
    try:
        with _replacing(path) as file:
            yield file
    except OSError as error:
        raise InputError(
            f"the file cannot be written ({error.strerror})", where=str(path)
        ) from error


@contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new.")
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


def place_of(path: Path) -> Path:
    """Where the run ends up that is called ``path``, or is built there."""
    path = Path(path)
    if not path.name or path.name == ".." or os.path.islink(path):
        path = path.resolve()
    return path.with_name(path.name.removesuffix(BUILDING)) if path.name != BUILDING else path


def _place_for(target: Path) -> Path:
    """Where a new run for ``target`` is built: there, or beside the run that it replaces."""
    building = _building(target)
    unfinished = building.exists()
    if not unfinished and (target / HEADER).is_file():
        unfinished = Run(target).header.status == "incomplete"
    if unfinished:
        raise InputError(
            "an unfinished run stands in this place", where=str(target),
            todo=f"`bench run --resume {target}` finishes it; to begin anew, remove "
            f"{building if building.exists() else target}",
        )  # fmt: skip
    if (target / HEADER).is_file():
        return building
    try:
        free = not os.path.lexists(target) or not any(target.iterdir())
    except NotADirectoryError:
        free = False
    if not free:
        raise InputError(
            "the output folder exists and is not a run of this program",
            where=str(target),
            allowed="a new folder, an empty one, or an earlier run, which is replaced",
        )
    return target


def _building(target: Path) -> Path:
    return target.with_name(target.name + BUILDING)


def _old(target: Path) -> Path:
    return target.with_name(target.name + ".old")


def _restore(target: Path) -> None:
    """Undo a swap that was killed between its two renames."""
    if not target.exists() and (_old(target) / HEADER).is_file():
        _old(target).rename(target)
