"""What users write against: a name that is missing here has broken somebody's code."""

from __future__ import annotations

from importlib import import_module, resources

import pytest
from typer.main import get_command

import bench
from bench import cli
from bench.extensions import contract_of
from tests.sizes import BUDGET, lines


def test_names_of_the_package() -> None:
    assert bench.__all__ == ["BenchError", "__version__", "load", "run"]
    for name in bench.__all__:
        assert getattr(bench, name) is not None
    assert resources.files(bench).joinpath("py.typed").is_file()


def test_commands() -> None:
    assert sorted(get_command(cli.app).commands) == [  # type: ignore[attr-defined]
        "calibrate", "doctor", "gate", "keep", "list", "measure", "observe", "plan", "prices", "project", "replay", "report", "run",
        "serve", "simulate", "trace", "validate",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("folder", "contract"),
    [
        ("bench.arrivals", ("Options", "mean_rate", "stream")),
        ("bench.batching", ("Options", "rule")),
        ("bench.recordings", ("TITLE", "IS_LOG", "fields", "chunks")),
        ("bench.measure.backends", ("FORMATS", "RUNS_ON", "Options", "missing", "load")),
        ("bench.measure.loads", ("Options", "aim", "drive")),
        ("bench.measure.tasks", ("Options", "build")),
        (
            "bench.simulate.scaling",
            ("Options", "bounds", "fewest", "period_s", "idle_s", "desired"),
        ),
    ],
)
def test_what_a_file_of_ones_own_must_hold(folder: str, contract: tuple[str, ...]) -> None:
    assert import_module(folder)
    assert contract_of(folder) == contract


def test_packages_keep_to_their_budgets() -> None:
    assert {name: count for name, count in lines().items() if count > BUDGET[name]} == {}
