"""Extension folders: a member is a file, its name is the file's name.

``text-recognition`` in a scenario is ``text_recognition.py`` in the folder. Only the member
that is asked for is imported, so a missing optional package hurts nobody else.
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

from bench.errors import MissingRequirement, UnknownName


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
        UnknownName: there is no such file.
        MissingRequirement: the file needs a package that is not installed.
    """
    known = names(folder)
    if name not in known:
        raise UnknownName(folder.rpartition(".")[2], name, known)
    try:
        return importlib.import_module(f"{folder}.{name.replace('-', '_')}")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("bench"):
            raise
        raise MissingRequirement(
            f"{name!r} needs the Python package {error.name!r}, which is not installed. "
            "`bench doctor` lists what this machine has and how to install the rest."
        ) from error
