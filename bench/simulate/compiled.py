"""How the hot loops are compiled: once for each machine, kept beside the source.

Numba counts references to every array a function is handed, atomically, on each call; here that
would take ten times as long as the work. Functions that make no array need no counting (``_nrt``),
and small ones are put into their callers.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., Any])


def _version() -> str:
    """Of all that is compiled together: Numba itself looks at a function's own file only."""
    here = Path(__file__).parent
    names = (
        "battery.py",
        "compiled.py",
        "plane.py",
        "tally.py",
        "ticks.py",
        "batching/__init__.py",
    )
    sources = [*sorted(here.glob("fast/*.py")), *(here / name for name in names)]
    return f"{zlib.crc32(b''.join(path.read_bytes() for path in sources)):08x}"


_VERSION = _version()


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
    copy.__qualname__ = f"{function.__name__}-{_VERSION}"  # the name under which it is kept
    copy.__doc__ = function.__doc__
    # Arithmetic as NumPy does it: without a check for division by zero at each step.
    made: F = numba.njit(cache=True, error_model="numpy", nogil=True, **options)(copy)
    return made
