"""Archives are looked through before they are read: every name once, and no bomb."""

from __future__ import annotations

import io
import warnings
import zipfile
from pathlib import Path

import pytest

from bench.errors import InputError
from bench.measure import archives
from bench.measure.archives import opened


def test_a_name_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("code.py", "good")
            archive.writestr("code.py", "evil")
    with (
        pytest.raises(InputError, match=r"a\.zip: the archive holds 'code\.py' 2 times"),
        opened(path, str(path)),
    ):
        pytest.fail("it was opened")


@pytest.mark.parametrize("as_stream", [False, True])
def test_an_archive_that_unpacks_to_far_more_than_it_is_is_not_read(
    as_stream: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "SMALL_BYTES", 1000)
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(10**6))
    packed = path.stat().st_size
    assert 1000 + 100 * packed < 10**6  # what the rule says
    with (
        pytest.raises(InputError, match=r"would unpack to 1,000,000 bytes; it was not read"),
        opened(io.BytesIO(path.read_bytes()) if as_stream else path, "a.zip"),
    ):
        pytest.fail("it was opened")
    with zipfile.ZipFile(path, "w") as archive:  # not packed at all
        archive.writestr("zeros", bytes(10**6))
    with opened(path, "a.zip") as file:
        assert file.namelist() == ["zeros"]


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04cut"])
def test_what_is_no_archive_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "m.pt2").write_bytes(content)
    with (
        pytest.raises(InputError, match=r"m\.pt2: this is no torch\.export archive"),
        opened(tmp_path / "m.pt2", "m.pt2", "torch.export archive"),
    ):
        pytest.fail("it was opened")


def test_a_damaged_member_is_the_archives_fault(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", b"content of the file")
    path.write_bytes(path.read_bytes().replace(b"content of", b"CONTENT of"))
    with (
        pytest.raises(InputError, match="the zip archive is damaged"),
        opened(path, str(path)) as file,
    ):
        file.read("a")
