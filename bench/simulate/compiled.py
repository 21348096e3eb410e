"""How the hot loops are compiled: once for each machine, kept beside the source.

Numba counts references to every array a function is handed, atomically, on each call; here that
would take ten times as long as the work. Functions that make no array need no counting (``_nrt``),
and small ones are put into their callers.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from enum import EnumMeta
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, TypeVar

import numba
import numpy as np
from numba.core.dispatcher import Dispatcher

F = TypeVar("F", bound=Callable[..., Any])

_OURS = __name__.partition(".")[0]
_versions: dict[str, str] = {}


def version(namespace: Mapping[str, Any]) -> str:
    """Of all that compiled functions of the module with these globals are made of.

    Numba looks at a function's own file only, and would go on with what it kept when a function or
    a constant of another file has changed. So the version is that of the module's file, of the
    values of its constants (its own and imported ones), and, through the functions it imports, of
    theirs. Other types than enumerations and named tuples do not count: those of arguments Numba
    asks itself.
    """
    name = namespace["__name__"]
    if name not in _versions:
        _versions[name] = ""  # a module that is reached again adds nothing
        parts = [Path(namespace["__file__"]).read_text(encoding="utf-8")]
        for key, value in sorted(namespace.items()):
            # A package has those of its members among its globals that somebody has imported.
            is_member = isinstance(value, ModuleType) and value.__name__ == f"{name}.{key}"
            # pytest puts modules of its own there, under names that no program could write.
            if key.isidentifier() and not key.startswith("__") and not is_member:
                parts.append(f"{key}={_part(value, name)}")
        _versions[name] = f"{zlib.crc32(''.join(parts).encode()):08x}"
    return _versions[name]


def _part(value: Any, home: str) -> str:
    """What ``value``, a global of the module ``home``, adds to the module's version."""
    if isinstance(value, EnumMeta):
        return repr(list(value))
    if isinstance(value, int | float | str | tuple | np.dtype):
        return repr(value)
    if isinstance(value, Dispatcher):
        value = value.py_func
    if isinstance(value, FunctionType):
        inside: Mapping[str, Any] = value.__globals__
    elif isinstance(value, ModuleType):
        inside = vars(value)
    else:
        return repr(getattr(value, "_fields", ""))
    owner = inside["__name__"]
    return version(inside) if owner != home and owner.partition(".")[0] == _OURS else ""


def compiled(function: F) -> F:
    """``function``, which makes no array, as machine code, put into its callers."""
    return _compile(function, _nrt=False, forceinline=True)


def compiled_with_arrays(function: F) -> F:
    """``function``, which makes arrays, as machine code."""
    return _compile(function)


def _compile(function: F, **options: bool) -> F:
    copy = FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__
    )
    made_of = version(function.__globals__)
    copy.__qualname__ = f"{function.__name__}-{made_of}"  # the name under which it is kept
    copy.__doc__ = function.__doc__
    # Arithmetic as NumPy does it: without a check for division by zero at each step.
    made: F = numba.njit(cache=True, error_model="numpy", nogil=True, **options)(copy)
    return made
