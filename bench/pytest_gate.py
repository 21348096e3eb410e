"""``pytest --bench-gate=REV``: the benchmarks of a suite, here and at a git revision, held against each other.

A plugin of pytest's. It plays a gate in place of the tests: each process is the very command that was
given, in a checkout of one side, with pytest-benchmark's fixture in every test that it selects. What the
files are now is head, what they were at the revision is base; every benchmark of base must be there.
"""

from __future__ import annotations

import secrets
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from bench.gate import Judgement

OPTION = "--bench-gate"
MINUTES = f"{OPTION}-minutes"
OUT = f"{OPTION}-out"
_CODE = pytest.StashKey[int]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("benchmark")
    group.addoption(
        OPTION, metavar="REV", help="Hold the benchmarks against those of a git revision."
    )
    group.addoption(MINUTES, metavar="N", type=float, default=10.0, help="For how long at most.")
    group.addoption(OUT, metavar="DIR", help="Folder of the run. [default: a new one in reports/]")


def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """In place of the tests, where a revision is given."""
    if not session.config.getoption(OPTION) or session.config.option.collectonly:
        return None
    # Loaded when it is asked for: every pytest on this machine imports this file.
    from bench.errors import BenchError

    try:
        session.config.stash[_CODE] = _play(session.config)
    except BenchError as error:
        _say(session.config, f"bench: {error}")
        session.config.stash[_CODE] = error.exit_code
    return True


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _CODE in session.config.stash:
        session.exitstatus = session.config.stash[_CODE]


def _play(config: pytest.Config) -> int:
    from bench import gating
    from bench.console import drawn
    from bench.folders import new_folder
    from bench.gate import Gated, of_suite, progress_line, sentences, table_of

    def look(judgement: Judgement, seconds: float) -> None:
        _say(config, progress_line(judgement, seconds))

    asked = of_suite(
        config.invocation_params.dir, _selected(config), config.getoption(OPTION),
        60 * config.getoption(MINUTES), secrets.randbits(32),
        shlex.join(["pytest", *map(str, config.invocation_params.args)]),
    )  # fmt: skip
    out = config.getoption(OUT)
    run, code = gating.gate_into(
        asked, Path(out) if out else new_folder(asked.name, "gate"),
        look, lambda stage, done, total, what: _say(config, what),
    )  # fmt: skip
    found = run.load("gate.json", Gated)
    for line in [drawn(table_of(found)), *sentences(found), f"gate: {run.path}"]:
        _say(config, line)
    return code


def _selected(config: pytest.Config) -> list[str]:
    """The arguments of the command, but for this plugin's own; files as seen from where it was given."""
    here, left = config.invocation_params.dir, []
    arguments = iter(map(str, config.invocation_params.args))
    for argument in arguments:
        if argument in (OPTION, MINUTES, OUT):
            next(arguments, None)
        elif not argument.startswith((f"{OPTION}=", f"{MINUTES}=", f"{OUT}=")):
            path = Path(argument)
            inside = path.is_absolute() and path.is_relative_to(here)
            left.append(str(path.relative_to(here)) if inside else argument)
    return left


def _say(config: pytest.Config, text: str) -> None:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        reporter.write_line(text)
