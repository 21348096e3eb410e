"""Whatever a user writes wrong gets one paragraph with its place, and leaves nothing behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.errors import InputError
from bench.prepare import Settings, prepare

pytestmark = pytest.mark.slow

BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join(['*' + before] * 10)}]\n"
    for before, name in zip("abcde", "bcdef", strict=True)
)

EDITS = {
    "unknown key": ("sources: 4", "sorces: 4", "5:3", "Did you mean 'sources'?"),
    "unknown option": ("max_wait: 5 ms", "mx_wait: 5 ms", "27:45", "Did you mean 'max_wait'?"),
    "unknown kind": ("kind: batch", "kind: btach", "14:11", "Did you mean 'batch'?"),
    "wrong unit": ("limit: 200 ms", "limit: 200 MB", "9:37", "not a time"),
    "no unit": ("limit: 200 ms", "limit: 200", "9:37", "not a time"),
    "negative rate": ("rate: 6/min", "rate: -6/min", "6:35", "(got '-6/min')"),
    "too many sources": ("sources: 4", "sources: 1000000000", "5:12", "1000000"),
    "unknown backend": ("name: fake, base: 4 ms", "name: fak, base: 4 ms", "15:21", "'fake'?"),
    "unknown device": ("device: this-host\n", "device: this-hots\n", "16:13", "'this-host'?"),
    "unknown offer": ("edge/mini-pc", "edge/mini-pcs", "35:12", "'edge/mini-pc'?"),
    "missing key": (", limit: 200 ms", "", "9:13", "'limit' is missing"),
    "duplicate key": ("name: fake\n", "name: fake\nname: fake\n", "3:1", "appears twice"),
    "same name twice": ("name: cloud", "name: night", "22:11", "appears twice"),
    "window too early": ('opens: "22:00"', 'opens: "09:00"', "19:21", "last request"),
    "time of day": ('end: "10:00"', 'end: "25:00"', "7:33", "time of day"),
    "a door on a device": ("    fleet: 4\n", "    fleet: 4\n    batching: {name: adaptive, max_batch: 4, max_wait: 1 ms}\n", "37:15", "formed at the door"),
    "a rented edge": ("edge/mini-pc", "aws/c7i.xlarge/us-east-1/on-demand", "35:12", "bought"),
}  # fmt: skip

FILES = {
    "empty": (b"", "empty"),
    "a list": (b"- a\n", "list"),
    "a tag": (b'a: !!python/object/apply:os.system ["true"]\n', "tag"),
    "a bomb": (BOMB.encode(), "expands"),
    "deep": (b"a: " + b"[" * 100_000, "deep"),
    "10 MB": (b"a" * 10_000_000, "10,000,000 bytes"),
    "a tab": (b"a: 1\n\tb: 2\n", ":2:1"),
    "binary": (b"\xff\xfe\x00", "UTF-8"),
    "a cycle": (b"a: &a [*a]\n", "alias"),
}


@pytest.mark.parametrize("case", EDITS)
def test_a_fault_is_named_with_its_place(fake_scenario: Path, case: str) -> None:
    before, after, place, said = EDITS[case]
    text = fake_scenario.read_text()
    assert before in text
    fake_scenario.write_text(text.replace(before, after, 1))
    with pytest.raises(InputError) as caught:
        prepare(fake_scenario, Settings())
    message = str(caught.value)
    assert f"{fake_scenario}:{place}: " in message
    assert said in message
    assert "\n" not in message


@pytest.mark.parametrize("case", FILES)
def test_a_file_that_is_no_scenario(tmp_path: Path, case: str) -> None:
    content, said = FILES[case]
    path = tmp_path / "bad.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=said):
        prepare(path, Settings())


def test_a_folder_and_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="folder"):
        prepare(tmp_path, Settings())
    with pytest.raises(InputError, match="no such file"):
        prepare(tmp_path / "none.yaml", Settings())


def test_the_command_line_exits_with_2_and_leaves_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench", "run", "none.yaml", "--out", "out"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("bench: none.yaml: there is no such file.")
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_a_run_is_left_alone(fake_scenario: Path, tmp_path: Path) -> None:
    from bench.pipeline import run

    precious = tmp_path / "thesis"
    precious.mkdir()
    (precious / "chapter.txt").write_text("…")
    with pytest.raises(InputError, match="not a run"):
        run(fake_scenario, precious, Settings(engine="inline"))
    assert [p.name for p in precious.iterdir()] == ["chapter.txt"]
