"""What is printed arrives on any terminal, and who cannot be written to is told by the exit code."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from typing import BinaryIO, cast

import pytest

from bench import cli
from bench.errors import InputError
from bench.plain import in_ascii, visible


def ended(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["bench", *arguments])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    return int(caught.value.code or 0)


def listing(what: str) -> dict[str, str]:
    return {"name": "p99 ≤ 250 ms – 5 µs → ok…", "évil": "\x1b[2J\x1b[31mred\u202e", "日本": "x"}


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp437", "utf-8"])
def test_a_terminal_with_few_characters(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    monkeypatch.setattr("bench.inventory.listing", listing)
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, encoding=encoding))
    assert ended(monkeypatch, "list", "offers") == 0
    said = shown.getvalue().decode(encoding)
    assert "250 ms" in said
    assert "\x1b" not in said
    assert "\\x1b[2J" in said
    if encoding == "ascii":
        assert "p99 <= 250 ms - 5 us -> ok..." in said
    if encoding == "utf-8":
        assert "p99 ≤ 250 ms – 5 µs → ok…" in said


def test_json_is_ascii_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.inventory.listing", listing)
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, encoding="ascii", errors="strict"))
    assert ended(monkeypatch, "list", "offers", "--json") == 0
    assert shown.getvalue().isascii()
    assert b"\x1b" not in shown.getvalue()
    assert json.loads(shown.getvalue()) == dict(sorted(listing("").items()))


def test_an_error_in_any_encoding(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said = io.BytesIO()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(said, encoding="ascii"))
    name = "ça \x1b[31m\udcff.yaml"
    assert ended(monkeypatch, "measure", str(tmp_path / name)) == 2
    assert b"\\x1b[31m" in said.getvalue()
    assert b"\x1b" not in said.getvalue()
    assert said.getvalue().count(b"\n") == 1


@pytest.mark.parametrize("arguments", [("list", "tasks"), ("--help",), ("--version",)])
def test_nobody_reads(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    read, write = os.pipe()
    os.close(read)
    # Without a buffer, which would be written once more when the test lets go of the stream.
    with os.fdopen(write, "wb", buffering=0) as pipe:
        stream = io.TextIOWrapper(cast(BinaryIO, pipe), write_through=True)
        monkeypatch.setattr(sys, "stdout", stream)
        assert ended(monkeypatch, *arguments) == 141
        stream.detach()
    assert capfd.readouterr().err == ""


def test_a_closed_output(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "dup2", lambda *_: None)  # the test's own output stays
    monkeypatch.setattr(sys, "stdout", None)
    assert ended(monkeypatch, "list", "tasks") == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("arguments", [("list", "tasks"), ("--help",)])
def test_a_full_disk(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    with Path("/dev/full").open("w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        assert ended(monkeypatch, *arguments) == 2
    assert "(No space left" in capsys.readouterr().err


@pytest.mark.parametrize("error", [OSError(28, "No space left on device", "/x/y"), MemoryError()])
def test_what_the_machine_refuses_is_no_fault_of_the_program(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    def refuse(what: str) -> dict[str, str]:
        raise error

    monkeypatch.setattr("bench.inventory.listing", refuse)
    assert ended(monkeypatch, "list", "tasks") == 2
    said = capsys.readouterr().err
    assert "fault of the program" not in said
    assert said.count("\n") == 1


def test_a_file_where_none_can_be(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from bench.store import atomic_write

    def write(path: Path) -> None:
        with atomic_write(path) as file:
            file.write(b"x")

    for path in (tmp_path / "missing" / "trace.json", tmp_path, tmp_path / ("x" * 300)):
        with pytest.raises(InputError, match=r"cannot be written \("):
            write(path)
    assert os.listdir(tmp_path) == []


def test_characters() -> None:
    assert visible("a\x1b[0m\tb\n\u202e\ud800é") == "a\\x1b[0m\tb\n\\u202e\\ud800é"
    error = UnicodeEncodeError("ascii", "x ≤ ∞", 2, 3, "")
    assert in_ascii(error) == ("<=", 3)
    assert in_ascii(UnicodeEncodeError("ascii", "∞", 0, 1, "")) == ("?", 1)
