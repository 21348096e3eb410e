"""Machine code that was kept is not taken when what it was made of has changed."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from enum import EnumMeta
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import numba
import numpy as np
import pytest
from numba.core.dispatcher import Dispatcher

from bench import batching, extensions
from bench.requests import Requests
from bench.simulate import battery, compiled, tally
from bench.simulate.fast import fleet, heap, kernel, link, windows
from bench.simulate.fast.state import as_input

CALLER = """
from bench.made_helper import WAIT, half
def work(x):
    return half(x) + WAIT
"""
HELPER = """
WAIT = {wait}
def half(x):
    return x {operator} 2
class Unrelated:
    pass
"""


def version(folder: Path, monkeypatch: pytest.MonkeyPatch, **texts: str) -> str:
    """The version of a module ``made_caller`` of the program with these files beside it."""
    monkeypatch.setattr(compiled, "_versions", {})
    made: dict[str, ModuleType] = {}
    for name, text in texts.items():
        path = folder / f"{name}.py"
        path.write_text(text)
        spec = importlib.util.spec_from_file_location(f"bench.{name}", path)
        assert spec
        assert spec.loader
        made[name] = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, f"bench.{name}", made[name])
        spec.loader.exec_module(made[name])
    return compiled.version(vars(made["made_caller"]))


@pytest.mark.parametrize(
    ("changed", "anew"),
    [
        ({"wait": 3, "operator": "//"}, False),
        ({"wait": 4, "operator": "//"}, True),
        ({"wait": 3, "operator": ">>"}, True),
    ],
)
def test_the_version_follows_what_a_function_is_made_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any], anew: bool
) -> None:
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    before = version(
        tmp_path, monkeypatch, made_helper=HELPER.format(wait=3, operator="//"), made_caller=CALLER
    )
    after = version(tmp_path, monkeypatch, made_helper=HELPER.format(**changed), made_caller=CALLER)
    assert (before != after) is anew


def test_nothing_that_a_compiled_function_reads_is_left_out_of_its_version() -> None:
    """Functions, constants and enumerations count; anything else would go unnoticed."""
    known = (int, float, str, tuple, np.dtype, EnumMeta, Dispatcher, FunctionType)
    for module in (fleet, heap, kernel, link, tally, windows):
        for function in vars(module).values():
            if not isinstance(function, Dispatcher):
                continue
            python = function.py_func
            for name in python.__code__.co_names:
                value = python.__globals__.get(name)
                if value is None or value is np:  # a builtin or an attribute; NumPy
                    continue
                assert isinstance(value, known) or hasattr(value, "_fields"), (python, name)


@pytest.mark.parametrize("source", [batching, battery, heap])
def test_the_kernels_are_made_of_what_they_call(
    source: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = fleet if source is battery else kernel
    before = compiled.version(vars(module))
    monkeypatch.setattr(compiled, "_versions", {})
    monkeypatch.setattr(source, "ANOTHER_CONSTANT", 1, raising=False)
    assert compiled.version(vars(module)) != before


@pytest.mark.slow
def test_a_version_does_not_depend_on_what_pytest_puts_into_modules(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(compiled, "_versions", {})
    own = {key: value for key, value in vars(kernel).items() if key.isidentifier()}
    before = compiled.version(own)
    monkeypatch.setattr(compiled, "_versions", {})
    assert compiled.version({**own, "@pytest_ar": pytest}) == before


def test_a_version_does_not_depend_on_what_else_was_imported() -> None:
    """Else a process that had read a batching policy before compiled everything anew."""
    told = "from bench.simulate.fast import fleet, kernel; from bench.simulate import compiled; "
    told += "print(sorted(compiled._versions.items()))"
    members = [
        f"bench.{folder}.{name.replace('-', '_')}"
        for folder in ("batching", "sizes", "arrivals", "simulate.scaling", "simulate.places")
        for name in extensions.names(f"bench.{folder}")
    ]
    first, last = (
        subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True
        ).stdout
        for code in (told, f"import {', '.join(members)}; {told}")
    )
    assert first == last


def test_however_requests_lie_in_memory_the_same_is_compiled() -> None:
    """Else whoever replays what was observed compiled for a minute what had been compiled for simulations."""
    count = 3
    table = np.zeros(count, [("time", np.int64), ("share", np.float64), ("source", np.int32)])
    held = np.zeros(count, np.int64)
    held.flags.writeable = False

    def requests(time: Any, share: Any, source: Any) -> Requests:
        return Requests(time, time, time, source, share, share, time, time, share)

    plain = requests(np.arange(count), np.zeros(count), np.zeros(count, np.int32))
    others = (
        requests(table["time"], table["share"], table["source"]),
        requests(held, np.zeros(count), np.zeros(count, np.int32)),
    )
    for one in others:
        assert numba.typeof(as_input(one)) == numba.typeof(as_input(plain))
