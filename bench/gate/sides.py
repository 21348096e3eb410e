"""The two sides, each with its files and its environment, in folders whose paths are of one length.

How long the path of a program is changes how fast it is (Mytkowicz et al., ASPLOS 2009).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.errors import InputError
from bench.gate.asked import Asked, SideName
from bench.gate.process import run
from bench.gate.revisions import git

INSTALL_LIMIT_S = 3600.0
INSTALLED = """
import json, sys
from importlib.metadata import distributions
found = {one.metadata["Name"]: one.version for one in distributions() if one.metadata["Name"]}
print(json.dumps({"python": sys.version.split()[0], **dict(sorted(found.items()))}))
"""
WORKER = ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_CURRENT_TEST")
"""Where a gate is itself played by a worker of pytest-xdist: in one, pytest-benchmark measures nothing."""


@dataclass(frozen=True)
class Place:
    """A side at work."""

    folder: Path
    """Where its programs start."""
    python: Path
    variables: Mapping[str, str]


@dataclass(frozen=True)
class Sides:
    """Both, under ``root``."""

    root: Path
    asked: Asked

    def place(self, side: SideName) -> Place:
        """Where the side works, once it is built."""
        return self._place(side, self.root / side)

    def build(self, side: SideName, needs: Sequence[str], on_step: Callable[[str], None]) -> None:
        """Check its revision out, and install what it needs.

        Raises:
            InputError: it cannot be installed.
        """
        (self.root / side).mkdir(parents=True)
        commit, repository = self.asked.side(side).commit, self.asked.repository
        if commit:
            on_step(f"{side}: checking out {commit[:12]}")
            tree = self._tree(side, self.root / side)
            whence, where = Path(repository), str(tree)
            git(whence, "clone", "--quiet", "--shared", "--no-checkout", repository, where)
            git(tree, "checkout", "--quiet", "--detach", commit)
        if self.asked.environment.kind == "built":
            on_step(f"{side}: installing")
            self._install(side, self.place(side), needs)

    def packages(self, side: SideName) -> dict[str, str]:
        """What its programs find installed, with versions, and their Python; empty where it cannot say."""
        place = self.place(side)
        said = subprocess.run(  # noqa: S603
            [place.python, "-c", INSTALLED],
            cwd=place.folder, env=dict(place.variables), capture_output=True, text=True, check=False,
        )  # fmt: skip
        found: dict[str, str] = json.loads(said.stdout) if said.returncode == 0 else {}
        return found

    def _tree(self, side: SideName, work: Path) -> Path:
        return work / "tree" if self.asked.side(side).commit else Path(self.asked.repository)

    def _place(self, side: SideName, work: Path) -> Place:
        asked, tree = self.asked, self._tree(side, work)
        inherited = {key: value for key, value in os.environ.items() if key not in WORKER}
        variables = {**inherited, "PYTHONNOUSERSITE": "1"}
        if asked.environment.kind == "current":
            own = [str(path) for path in (tree / asked.folder / "src", tree / asked.folder)]
            variables["PYTHONPATH"] = os.pathsep.join(own)
            return Place(tree / asked.folder, Path(sys.executable), variables)
        variables.pop("PYTHONPATH", None)
        programs = work / "environment" / ("Scripts" if os.name == "nt" else "bin")
        variables["VIRTUAL_ENV"] = str(programs.parent)
        variables["PATH"] = os.pathsep.join([str(programs), os.environ.get("PATH", os.defpath)])
        return Place(tree / asked.folder, programs / "python", variables)

    def _install(self, side: SideName, place: Place, needs: Sequence[str]) -> None:
        asked = self.asked
        wanted = [*asked.environment.install, *needs, *asked.side(side).install]
        steps: list[list[str | Path]] = [
            [sys.executable, "-m", "venv", place.python.parent.parent],
            [
                place.python,
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                *wanted,
            ],
        ]
        for step in steps if wanted else steps[:1]:
            log = self.root / "install.log"
            if failed := run(step, place.folder, place.variables, log, INSTALL_LIMIT_S):
                raise InputError(
                    f"{side} cannot be installed: {failed}",
                    todo="`environment: {install: […]}` in the gate's file says what pip installs",
                )
