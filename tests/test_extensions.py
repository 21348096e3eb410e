"""Every file of every extension folder keeps its folder's contract."""

from __future__ import annotations

import importlib
import inspect

import pytest

from bench import extensions
from bench.errors import UnknownName
from bench.record import Record

CONTRACTS = {
    "bench.measure.backends": ("FORMATS", "RUNS_ON", "Options", "missing", "load"),
    "bench.measure.tasks": ("Options", "build"),
    "bench.measure.loads": ("Options", "aim", "drive"),
    "bench.measure.power": ("MEASURES", "find"),
    "bench.arrivals": ("Options", "mean_rate", "stream"),
    "bench.batching": ("Options", "rule"),
    "bench.sizes": ("Options", "distribution"),
    "bench.recordings": ("TITLE", "IS_LOG", "fields", "chunks"),
    "bench.simulate.scaling": (
        "Options",
        "bounds",
        "fewest",
        "period_s",
        "idle_s",
        "desired",
        "grown",
    ),
    "bench.simulate.places": ("limits", "rate", "quickest", "least_usage", "opens", "play"),
}
MEMBERS = [(folder, name) for folder in CONTRACTS for name in extensions.names(folder)]


@pytest.mark.parametrize(("folder", "name"), MEMBERS)
def test_contract(folder: str, name: str) -> None:
    module = extensions.load(folder, name)
    assert module.__doc__
    for member in CONTRACTS[folder]:
        assert hasattr(module, member), member
    if "Options" in CONTRACTS[folder]:
        assert issubclass(module.Options, Record)
        assert inspect.getdoc(module.Options)


def test_an_unknown_member_is_named_with_its_neighbour() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'dynamic'"):
        extensions.load("bench.batching", "dinamic")


@pytest.mark.parametrize("folder", CONTRACTS)
def test_a_folder_says_what_its_files_must_have(folder: str) -> None:
    """An extension is written from the folder's own text."""
    said = importlib.import_module(folder).__doc__ or ""
    assert [member for member in CONTRACTS[folder] if f"``{member}" not in said] == []
