"""The arrows between the modules point one way."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import bench

PACKAGE = Path(bench.__file__).parent
SMALL = (
    "secrets",
    "errors",
    "plain",
    "record",
    "units",
    "stats",
    "extensions",
    "cores",
    "event_loop",
    "folders",
    "files",
    "documents",
    "lock",
    "store",
    "executor",
    "streams",
    "generator",
    "ticks",
    "turns",
    "requests",
    "admission",
    "batching",
    "counts",
    "sizes",
    "recordings",
)
STAGES = (
    "arrivals", "hardware", "scenario", "measure", "profile", "simulate", "cost", "compare", "plan",
    "serve", "observe", "validate", "gate", "report",
)  # fmt: skip
ORDER = (
    *SMALL, *STAGES, "recorded", "prepare", "gather", "calibrating", "inventory", "work", "at_once", "arrows",
    "sweep", "days", "pages", "projecting",
    "runner", "pipeline", "observing", "gating", "console", "finished", "cli", "pytest_gate", "__main__",
)  # fmt: skip
LATE = ("cli", "finished")
"""They load packages when they are needed, and of those only the part that is."""


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level or node.module is None:
                yield f"bench.{'.' * node.level}{node.module or ''}"  # relative: not in the order
            elif node.module == "bench":
                yield from (f"bench.{alias.name}" for alias in node.names)
            else:
                yield node.module


def backward(root: Path) -> list[str]:
    """Every import of a module further right, or of the inside of another stage."""
    faults = []
    for path in sorted(root.rglob("*.py")):
        home = path.relative_to(root).with_suffix("").parts[0]
        if home == "__init__":
            continue
        for name in imports(path):
            parts = name.split(".")
            if parts[0] != "bench" or len(parts) < 2 or parts[1] == "__version__":
                continue
            target = parts[1]
            if target not in ORDER or ORDER.index(target) > ORDER.index(home):
                faults.append(f"{path.relative_to(root)} imports {name}")
            elif target in STAGES and target != home and len(parts) > 2 and home not in LATE:
                faults.append(f"{path.relative_to(root)} reaches inside: {name}")
    return faults


def test_arrows_point_one_way() -> None:
    assert backward(PACKAGE) == []


@pytest.mark.parametrize(
    "line",
    [
        "from bench.report import View",
        "import bench.cli",
        "from bench.measure.worker import serve",
        "from ..report import View",
        "from .. import cli",
    ],
)
def test_a_planted_backward_import_is_found(tmp_path: Path, line: str) -> None:
    planted = tmp_path / "simulate" / "planted.py"
    planted.parent.mkdir()
    planted.write_text(f"def f():\n    {line}\n")
    assert len(backward(tmp_path)) == 1


def test_only_the_command_line_prints_or_exits() -> None:
    for path in PACKAGE.rglob("*.py"):
        if path.name in ("cli.py", "console.py"):
            continue
        calls = {
            ast.unparse(node.func)
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call)
        }
        assert not calls & {"print", "exit", "quit", "sys.exit", "sys.stdout.write"}, path


def test_the_docs_name_files_that_there_are() -> None:
    root = PACKAGE.parent
    pages = [*root.glob("docs/*.md"), root / "README.md", root / "CONTRIBUTING.md"]
    named = {name for page in pages for name in re.findall(r"`([\w/]+\.py)`", page.read_text())}
    there = [
        f"/{path.relative_to(root)}"
        for at in ("bench", "tests")
        for path in (root / at).rglob("*.py")
    ]
    assert "measure/campaign.py" in named
    # `my_backend.py` and its like are what a reader is to write.
    assert [
        name
        for name in sorted(named)
        if "my_" not in name and not any(path.endswith(f"/{name}") for path in there)
    ] == []


def test_a_function_fits_a_screen() -> None:
    long = [
        f"{path.relative_to(PACKAGE)}: {node.name}"
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno >= 60
    ]
    assert long == []


def test_the_pipeline_fits_a_screen() -> None:
    assert len((PACKAGE / "pipeline.py").read_text().splitlines()) <= 120


def test_a_measurement_does_not_wait_for_what_only_pages_and_fits_need() -> None:
    """Every process of a gate loads the pipeline, and a second of it would be for nothing."""
    code = "import bench.pipeline, bench.measure.tasks.fraud, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"matplotlib", "scipy.stats", "scipy.optimize"} & set(done.stdout.split())
