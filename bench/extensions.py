"""Extension folders: a member is a file, its name is the file's name.

``text-recognition`` in a scenario is ``text_recognition.py`` in the folder. Only the member
that is asked for is imported, so a missing optional package hurts nobody else. A name that ends
in ``.py`` is the path of a user's own file with the same contract.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys
import zlib
from pathlib import Path
from types import ModuleType

from bench.errors import InputError, MissingRequirement, UnknownName


def names(folder: str) -> list[str]:
    """The members of the package ``folder`` (``"bench.measure.backends"``), sorted."""
    package = importlib.import_module(folder)
    return sorted(
        info.name.replace("_", "-")
        for info in pkgutil.iter_modules(package.__path__)
        if not info.name.startswith("_")
    )


def load(folder: str, name: str) -> ModuleType:
    """Import the member ``name`` of ``folder``.

    Raises:
        UnknownName: there is no such member.
        InputError: the user's own file is not there, or fails on import.
        MissingRequirement: the file needs a package that is not installed.
    """
    if not is_own_file(name):
        known = names(folder)
        if name not in known:
            raise UnknownName(folder.rpartition(".")[2], name, known)
    try:
        if is_own_file(name):
            return _load_file(Path(name))
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


def _load_file(path: Path) -> ModuleType:
    module_name = f"bench_own_{path.stem}_{zlib.crc32(str(path).encode()):08x}"
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
    except Exception as error:
        del sys.modules[module_name]
        raise InputError(
            f"the file cannot be imported ({type(error).__name__}: {error})", where=str(path)
        ) from error
    return module
