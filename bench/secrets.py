"""Secrets do not belong into files, records and messages: where one may stand, and how to hide it."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlsplit

_WORDS = frozenset(
    [
        "auth",
        "authorization",
        "bearer",
        "apikey",
        "cookie",
        "credential",
        "credentials",
        "key",
        "pass",
        "passwd",
        "password",
        "pwd",
        "sas",
        "secret",
        "session",
        "sig",
        "signature",
        "token",
    ]
)
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>]+")
_USER = re.compile(r"(?<=://)[^/?#\s'\"<>]*@")
_PARAMETER = re.compile(r"(?<=[?&;#])([^=&;#\s'\"<>]+)=([^&;#\s'\"<>]+)")
HIDDEN = "***"


def names_a_secret(name: str) -> bool:
    """Whether a header, parameter or key of this name usually holds a secret (``X-API-Key``)."""
    words = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name)
    return not _WORDS.isdisjoint(re.split(r"[^a-z0-9]+", words.lower()))


def in_address(text: str) -> str | None:
    """What secret a web address within ``text`` holds, in words, if it seems to hold one."""
    for found in _ADDRESS.findall(text) if "://" in text else ():
        if _USER.search(found):
            return "a user name or a password"
        try:
            query = parse_qsl(urlsplit(found).query, keep_blank_values=True)
        except ValueError:  # no address after all
            continue
        if held := next((name for name, _ in query if names_a_secret(name)), None):
            return f"the parameter {held!r}"
    return None


def masked(text: str) -> str:
    """``text`` with the secrets of the web addresses in it hidden."""
    if "://" not in text:
        return text
    return _ADDRESS.sub(lambda found: _masked_address(found.group()), text)


def _masked_address(address: str) -> str:
    return _PARAMETER.sub(
        lambda found: f"{found[1]}={HIDDEN}" if names_a_secret(found[1]) else found[0],
        _USER.sub(f"{HIDDEN}@", address),
    )
