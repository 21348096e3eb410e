"""Where a secret may stand, and that it is hidden."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from bench.documents import read
from bench.errors import BenchError, InputError, MissingRequirement
from bench.secrets import in_address, masked, names_a_secret

SECRETS = (
    "Authorization proxy-authorization X-API-Key x_auth_token accessToken Cookie sig "
    "X-Amz-Signature X-Amz-Credential client_secret password apikey pwd"
)


@pytest.mark.parametrize("name", SECRETS.split())
def test_names_of_secrets(name: str) -> None:
    assert names_a_secret(name)


@pytest.mark.parametrize("name", ["Host", "X-Tenant", "tokenizer", "keyboard", "author", "version"])
def test_names_of_other_things(name: str) -> None:
    assert not names_a_secret(name)


ADDRESSES = {
    "http://me:pw@host:1/a": ("a user name or a password", "http://***@host:1/a"),
    "tcp://me@host": ("a user name or a password", "tcp://***@host"),
    "url:https://h/f.onnx?token=pw&x=1": ("'token'", "url:https://h/f.onnx?token=***&x=1"),
    "https://h/?x=1&X-Amz-Signature=pw": ("X-Amz-Signature", "https://h/?x=1&X-Amz-Signature=***"),
    "https://h/f.onnx?download=true": (None, "https://h/f.onnx?download=true"),
    "https://h/name@1.2/f.onnx": (None, "https://h/name@1.2/f.onnx"),
    "hf:me/model@main/f.onnx": (None, "hf:me/model@main/f.onnx"),
    "http://[::1": (None, "http://[::1"),
    "me@host, and a key=value": (None, "me@host, and a key=value"),
}


@pytest.mark.parametrize("address", ADDRESSES)
def test_secrets_in_addresses(address: str) -> None:
    held, shown = ADDRESSES[address]
    found = in_address(address)
    assert (found is None) if held is None else held in str(found)
    assert masked(f"it is {address!r} again") == f"it is {shown!r} again"


@pytest.mark.parametrize(
    "error",
    [
        InputError("no", where="http://me:pw@host"),
        MissingRequirement("cannot get https://h/?sig=pw today"),
        BenchError("tcp://me:pw@host"),
    ],
)
def test_no_error_shows_a_secret(error: BenchError) -> None:
    crossed = copy.copy(error)  # rebuilt, as on its way between processes
    assert "***" in str(error) == str(crossed)
    assert "pw" not in str(error)


def test_no_document_may_hold_a_secret_in_an_address(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("a: 1\nb: [x, 'see https://me:pw@host/path']\n")
    with pytest.raises(InputError, match=r"a\.yaml:2:8: the address holds a user name") as refused:
        read(path)
    assert "pw" not in str(refused.value)
