"""One table of exit codes: the program's, the README's, and what the command line ends with."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer

from bench import cli, errors
from bench.errors import EXIT_CODES, BenchError
from bench.measure import Measurement

pytestmark = pytest.mark.slow

README = Path(__file__).parents[1] / "README.md"
SUITE = """\
schema_version: 1
name: codes
task: {{name: synthetic, samples: 8}}
measure: {{max_batch: 1, loads: [{load}]}}
arms:
{arms}
"""
TOO_SHORT = "{name: server, arrivals: {name: poisson, rate: 50/s}, duration: 0.3 s}"
REAL = "name: fake, base: 0 s, per_item: 0 s, load: 0 s, first_call_extra: 0 s, real_time: true"
OFF = "single-stream"


def test_the_readme_has_the_table_of_the_program() -> None:
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", README.read_text(), re.MULTILINE)
    assert {int(code): text.replace("\\|", "|") for code, text in rows} == EXIT_CODES


def kinds(kind: type[BenchError]) -> Iterator[type[BenchError]]:
    yield kind
    for more in kind.__subclasses__():
        yield from kinds(more)


def test_every_error_ends_with_a_code_of_the_table() -> None:
    assert {kind.exit_code for kind in kinds(BenchError)} <= EXIT_CODES.keys()
    listed = dict(re.findall(r"── (\w+) +(\d+) ", str(errors.__doc__)))
    for name, code in listed.items():
        assert getattr(errors, name).exit_code == int(code)


def bench(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["bench", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


@pytest.mark.parametrize(
    ("load", "arms", "code", "said"),
    [
        (OFF, ["name: fake"], 0, "single-stream"),
        (OFF, ["name: fake, faults: {wrong_share: 10 %}"], 5, "INVALID by the rule 'output'"),
        (OFF, ["name: fake, faults: {fail_share: 5 %}"], 5, "INVALID by the rule 'errors'"),
        (TOO_SHORT, [REAL], 5, "server: INVALID by the rule 'duration'"),
        (OFF, ["name: fake", "name: fake, faults: {not_a_number: true}"], 5, "no measurement"),
        (OFF, ["name: fake, faults: {not_a_number: true}"], 2, "not finite"),
        (OFF, ["name: open-inference, model: m, url: 'http://me:pw@h'"], 2, "the address holds"),
    ],
    ids=["sound", "arm", "failing requests", "load", "one arm lost", "all arms lost", "input"],
)
def test_codes_of_measurements(
    load: str, arms: list[str], code: int, said: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    suite = tmp_path / "suite.yaml"
    lines = [f"  - {{backend: {{{arm}}}, device: this-host-one-thread}}" for arm in arms]
    suite.write_text(SUITE.format(load=load, arms="\n".join(lines)))
    out = tmp_path / "out"
    assert bench(monkeypatch, "measure", suite, "--out", out, "--engine", "inline") == code
    shown = capsys.readouterr()
    assert said in " ".join((shown.out + shown.err).split())
    assert "Traceback" not in shown.err
    assert "pw@" not in shown.out + shown.err


def test_what_was_not_checked_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bench.measure.campaign.make_reference", _no_reference)
    suite = tmp_path / "suite.yaml"
    arm = "  - {backend: {name: fake}, device: this-host-one-thread}"
    suite.write_text(SUITE.format(load=OFF, arms=arm))
    out = tmp_path / "out"
    assert bench(monkeypatch, "measure", suite, "--out", out, "--engine", "inline") == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "batch of one valid* " in shown
    assert "not checked by the rule 'output': there is no reference: none today" in shown


@pytest.mark.parametrize(("beside", "exits"), [((), True), (("comparison.json",), False)])
def test_a_comparison_does_not_rest_on_loads(beside: tuple[str, ...], exits: bool) -> None:
    load: Any = SimpleNamespace(status="invalid")
    arm: Any = SimpleNamespace(status="valid", loads=[load])
    measured = Measurement.model_construct(arms=[arm], failed=[])
    files = {"measurement.json", *beside}
    run: Any = SimpleNamespace(has=files.__contains__, load=lambda *_: measured)
    with pytest.raises(typer.Exit) if exits else nullcontext():
        cli._exit_if_invalid(run)
    arm.status = "invalid"
    with pytest.raises(typer.Exit) as ended:
        cli._exit_if_invalid(run)
    assert ended.value.exit_code == 5


def _no_reference(*_: object) -> None:
    raise errors.MissingRequirement("none today")
