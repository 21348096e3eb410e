"""The model store: files from the web and from a hub, verified, and kept."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bench.errors import InputError, MissingRequirement
from bench.measure import models
from bench.measure.models import ModelFile, fetch, format_of
from bench.measure.tasks import tensors

CONTENT = b"the weights of a model"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Web:
    """A web server on loopback; it remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None]] = []
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                web.asked.append((self.path, self.headers.get("Authorization")))
                found = "absent" not in self.path
                self.send_response(200 if found else 404)
                self.send_header("Content-Length", str(len(CONTENT)))
                self.end_headers()
                self.wfile.write(CONTENT[:5] if "broken-off" in self.path else CONTENT)

            def log_message(self, *_: Any) -> None:
                return None

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    monkeypatch.setattr(models, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Web()
    yield server
    server.close()


def entry(origin: str, sha256: str = SHA256) -> ModelFile:
    return ModelFile(name="a model", origin=origin, sha256=sha256, licence="", meaning="")


def test_a_file_from_the_web_is_fetched_once(web: Web) -> None:
    file = entry(f"url:{web.address}/some/model.onnx?download=true")
    assert format_of(file) == "onnx"
    path = fetch(file)
    assert path.name == "model.onnx"
    assert path.read_bytes() == CONTENT
    assert fetch(file) == path
    assert web.asked == [("/some/model.onnx?download=true", None)]


def test_another_file_than_was_asked_for_is_refused(web: Web) -> None:
    with pytest.raises(InputError, match=r"is not the 'a model' that was tested"):
        fetch(entry(f"url:{web.address}/model.onnx", "0" * 64))
    assert not list(models.cache_folder().rglob("*.onnx"))


@pytest.mark.parametrize("path", ["absent.onnx", "broken-off.onnx"])
def test_what_cannot_be_downloaded_is_said_and_nothing_is_kept(web: Web, path: str) -> None:
    with pytest.raises(MissingRequirement, match="could not be downloaded"):
        fetch(entry(f"url:{web.address}/{path}"))
    assert not list(models.cache_folder().rglob("*.onnx"))


@pytest.mark.parametrize(
    "place", ["file:///etc/passwd", "ftp://example.org/model.onnx", "model.onnx"]
)
def test_only_web_addresses_are_opened(web: Web, place: str) -> None:
    with pytest.raises(InputError, match="is no web address"):
        fetch(entry(f"url:{place}"))


def test_a_file_from_a_hub(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", f"{web.address}/")
    monkeypatch.setenv("HF_TOKEN", "secret")
    path = fetch(entry("hf:owner/name@main/onnx/the model.onnx"))
    assert path.read_bytes() == CONTENT
    assert web.asked == [("/owner/name/resolve/main/onnx/the%20model.onnx", "Bearer secret")]


@pytest.mark.parametrize("place", ["owner/name/model.onnx", "name@main/model.onnx", "a/b@main/"])
def test_an_incomplete_name_of_a_hub_file(web: Web, place: str) -> None:
    with pytest.raises(InputError, match=r"Allowed: hf:OWNER/NAME@REVISION/path"):
        fetch(entry(f"hf:{place}"))


def test_an_origin_nobody_knows(web: Web) -> None:
    with pytest.raises(InputError, match=r"Allowed: file:, wheel:, url:, hf:"):
        fetch(entry("s3:bucket/model.onnx"))


def test_a_model_of_ones_own_can_come_from_an_origin(web: Web) -> None:
    options = tensors.Options(origin=f"url:{web.address}/own.onnx", sha256=SHA256)
    task = tensors.build(options)
    assert task.formats("model") == ("onnx",)
    assert task.format_for("model", ("tflite", "onnx")) == "onnx"
    assert fetch(task.model("model", "onnx")).read_bytes() == CONTENT


@pytest.mark.parametrize(
    "options",
    [{"origin": "hf:a/b@c/d.onnx"}, {"sha256": "0" * 64, "file": "x.onnx"},
     {"origin": "hf:a/b@c/d.onnx", "sha256": "0" * 64, "file": "x.onnx"}],
)  # fmt: skip
def test_one_model_and_its_hash(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"give one of|go together"):
        tensors.Options.model_validate(options)
