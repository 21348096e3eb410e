"""Extension folders: a member is a file, its name is the file's name.

``text-recognition`` in a scenario is ``text_recognition.py`` in the folder. Only the member
that is asked for is imported, so a missing optional package hurts nobody else. A name that ends
in ``.py`` is the path of a user's own file with the same contract, which the folder's ``CONTRACT``
lists. What goes wrong inside such a file is its author's to mend, and is told with its line.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
import pkgutil
import sys
import traceback
import zlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from bench.errors import BenchError, InputError, MissingRequirement, UnknownName, shorten
from bench.record import Record

Item = TypeVar("Item")
Result = TypeVar("Result")
_OWN = "bench_own_"


def names(folder: str) -> list[str]:
    """The members of the package ``folder`` (``"bench.measure.backends"``), sorted."""
    return list(_members(folder))


@functools.cache
def _members(folder: str) -> tuple[str, ...]:
    """Listed once: a plan asks for members some ten thousand times."""
    package = importlib.import_module(folder)
    return tuple(
        sorted(
            info.name.replace("_", "-")
            for info in pkgutil.iter_modules(package.__path__)
            if not info.name.startswith("_")
        )
    )


def load(folder: str, name: str) -> ModuleType:
    """Import the member ``name`` of ``folder``.

    Raises:
        UnknownName: there is no such member.
        InputError: the user's own file is not there, fails on import, or lacks what it must hold.
        MissingRequirement: the file needs a package that is not installed.
    """
    if not is_own_file(name):
        known = names(folder)
        if name not in known:
            raise UnknownName(folder.rpartition(".")[2], name, known)
    try:
        if is_own_file(name):
            return _load_file(Path(name), contract_of(folder))
        return importlib.import_module(f"{folder}.{name.replace('-', '_')}")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("bench"):
            raise
        raise MissingRequirement(
            f"{name!r} needs the Python package {error.name!r}, which is not installed. "
            "`bench doctor` lists what this machine has and how to install the rest."
        ) from error


def is_own_file(name: str) -> bool:
    """Whether ``name`` is the path of a user's own extension."""
    return name.endswith(".py")


def contract_of(folder: str) -> tuple[str, ...]:
    """What every member of ``folder`` must hold."""
    listed: tuple[str, ...] = getattr(importlib.import_module(folder), "CONTRACT", ())
    return listed


def own_fault(error: BaseException) -> InputError | None:
    """An error inside a file of the user's own, with file and line; ``None`` if none took part."""
    place = None
    for frame, line in traceback.walk_tb(error.__traceback__):
        if str(frame.f_globals.get("__name__", "")).startswith(_OWN):
            place = (frame.f_code.co_filename, line, frame.f_code.co_name)
    if place is None:
        return None
    file, line, function = place
    said = shorten(" ".join(str(error).split()), 300)
    return InputError(
        f"{type(error).__name__} in {function}" + (f": {said}" if said else ""),
        where=f"{file}:{line}",
    )


def calling(function: Callable[[Item], Result], item: Item) -> Result:
    """``function(item)``; what fails in a file of the user's own is told with its place.

    Raises:
        InputError: see :func:`own_fault`.
        Exception: whatever else ``function`` raises.
    """
    try:
        return function(item)
    except BenchError:
        raise
    except Exception as error:
        if fault := own_fault(error):
            raise fault from error
        raise


def _load_file(path: Path, contract: tuple[str, ...]) -> ModuleType:
    module_name = f"{_OWN}{path.stem}_{zlib.crc32(os.fsencode(path)):08x}"
    if module_name in sys.modules:
        return sys.modules[module_name]
    spec = importlib.util.spec_from_file_location(module_name, path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise InputError("there is no such Python file", where=str(path))
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except ModuleNotFoundError:
        del sys.modules[module_name]
        raise
    except (Exception, SystemExit) as error:
        del sys.modules[module_name]
        fault = own_fault(error)
        raise InputError(
            f"the file cannot be imported ({type(error).__name__}: {error})",
            where=fault.where if fault else str(path),
        ) from error
    try:
        _require(module, contract, path)
    except InputError:
        del sys.modules[module_name]
        raise
    return module


def _require(module: ModuleType, contract: tuple[str, ...], path: Path) -> None:
    missing = [name for name in contract if not hasattr(module, name)]
    if missing:
        raise InputError(
            f"the file has no {' and no '.join(missing)}", where=str(path),
            allowed=f"a file that holds {', '.join(contract)}",
            todo=_OPTIONS if "Options" in missing else None,
        )  # fmt: skip
    options = getattr(module, "Options", Record)
    if not (isinstance(options, type) and issubclass(options, Record)):
        raise InputError(
            "its Options is no record, so that a scenario's settings cannot be checked",
            where=str(path), todo=_OPTIONS,
        )  # fmt: skip


_OPTIONS = (
    "Write `from bench.record import Record` and `class Options(Record):`, with a line such as "
    "`size: int = 64` for each setting, or a docstring alone where there is none"
)
