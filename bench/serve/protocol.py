"""Requests and answers as the Open Inference Protocol v2 writes them: JSON, or bytes behind it.

A model here takes one input of type BYTES, of which each element is one encoded input of the task (a
PNG, a WAV, a line of text), and gives one output of as many elements, each an answer in JSON. In JSON,
what is not text is written in base64, and said to be: ``"parameters": {"content_type": "base64"}``.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

INPUT, OUTPUT = "input", "output"
BINARY_HEADER = "Inference-Header-Content-Length"
BASE64 = "base64"
VERSION = "1"
MOST_MARKS = 1_000_000
"""Commas and opening brackets in JSON: to read more of them would hold up everybody, and fill memory."""
_LENGTH = 4


class BadRequest(ValueError):
    """What a client sent is no request; the text says what is wrong with it."""


@dataclass(frozen=True)
class Inference:
    """What a client asks."""

    id: str | None
    payloads: Sequence[bytes]
    binary: bool
    """Whether the answer goes back as bytes behind the JSON."""


def metadata(name: str) -> dict[str, Any]:
    """The description of a model."""
    return {
        "name": name,
        "versions": [VERSION],
        "platform": "inference-testbed",
        "inputs": [{"name": INPUT, "datatype": "BYTES", "shape": [-1]}],
        "outputs": [{"name": OUTPUT, "datatype": "BYTES", "shape": [-1]}],
    }


def inference(header_length: str | None, body: bytes, most: int) -> Inference:
    """What a request asks.

    Args:
        header_length: of :data:`BINARY_HEADER`, where it is sent: the bytes of JSON before the rest.
        most: inputs of one request.

    Raises:
        BadRequest: it is none.
    """
    head, tail = _split(header_length, body)
    if sum(map(head.count, (b",", b"[", b"{"))) > MOST_MARKS:
        raise BadRequest("the JSON is too long; send bytes behind it, or base64")
    try:
        document = json.loads(head)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"the body is not JSON ({shortened(error)})") from error
    entry = _only(document, "inputs", INPUT)
    parameters = _object(entry.get("parameters") or {}, "parameters of the input")
    if (length := parameters.get("binary_data_size")) is not None:
        payloads = _from_bytes(_whole(length, "binary_data_size"), tail, most)
    else:
        payloads = _from_json(entry.get("data"), parameters.get("content_type") == BASE64, most)
    if not 0 < len(payloads) <= most:
        raise BadRequest(f"the input must have 1 to {most} elements")
    _require_shape(entry.get("shape"), len(payloads))
    id_ = document.get("id")
    if id_ is not None and not isinstance(id_, str):
        raise BadRequest("id must be a string")
    return Inference(id_, payloads, _wants_binary(document))


def asking(payload: bytes) -> tuple[dict[str, str], bytes]:
    """The headers and the body of a request for one encoded input, whose answer comes as bytes too."""
    tail = len(payload).to_bytes(_LENGTH, "little") + payload
    entry = {
        "name": INPUT, "datatype": "BYTES", "shape": [1],
        "parameters": {"binary_data_size": len(tail)},
    }  # fmt: skip
    document = {"inputs": [entry], "parameters": {"binary_data_output": True}}
    return _with_tail(document, tail)


def answer(name: str, asked: Inference, outputs: Sequence[bytes]) -> tuple[dict[str, str], bytes]:
    """The headers and the body of an answer."""
    entry: dict[str, Any] = {"name": OUTPUT, "datatype": "BYTES", "shape": [len(outputs)]}
    document = {"model_name": name, "model_version": VERSION, "outputs": [entry]}
    if asked.id is not None:
        document["id"] = asked.id
    if not asked.binary:
        entry["data"] = [output.decode(errors="replace") for output in outputs]
        return {"Content-Type": "application/json"}, json.dumps(document).encode()
    tail = b"".join(len(one).to_bytes(_LENGTH, "little") + one for one in outputs)
    entry["parameters"] = {"binary_data_size": len(tail)}
    return _with_tail(document, tail)


def _with_tail(document: Mapping[str, Any], tail: bytes) -> tuple[dict[str, str], bytes]:
    head = json.dumps(document).encode()
    return {
        "Content-Type": "application/octet-stream",
        BINARY_HEADER: str(len(head)),
    }, head + tail


def shortened(error: Exception) -> str:
    """What an error says, in a line."""
    return " ".join(str(error).split())[:200]


def _split(header_length: str | None, body: bytes) -> tuple[bytes, bytes]:
    if header_length is None:
        return body, b""
    if not header_length.isascii() or not header_length.isdigit():
        raise BadRequest(f"{BINARY_HEADER} must be a number of bytes")
    length = int(header_length[:20])
    if length > len(body):
        raise BadRequest(f"{BINARY_HEADER} is larger than the body")
    return body[:length], body[length:]


def _only(document: Any, key: str, name: str) -> Mapping[str, Any]:
    """The one input there is."""
    entries = _object(document, "body").get(key)
    if not isinstance(entries, list) or len(entries) != 1:
        raise BadRequest(f"{key} must be a list of one")
    entry = _object(entries[0], "input")
    if entry.get("name") != name or entry.get("datatype") != "BYTES":
        raise BadRequest(f"the model takes one input, {name!r}, of the datatype BYTES")
    return entry


def _object(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise BadRequest(f"the {what} must be an object")
    return value


def _whole(value: Any, what: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise BadRequest(f"{what} must be a whole number")
    return value


def _from_bytes(length: int, tail: bytes, most: int) -> list[bytes]:
    """All elements, or one too many."""
    if length != len(tail):
        raise BadRequest(f"binary_data_size is {length}, and {len(tail)} bytes follow the JSON")
    payloads: list[bytes] = []
    place = 0
    while place < length and len(payloads) <= most:
        begin = place + _LENGTH
        place = begin + int.from_bytes(tail[place:begin], "little")
        if place > length:
            raise BadRequest("an element reaches beyond the end of the body")
        payloads.append(tail[begin:place])
    return payloads


def _from_json(data: Any, is_base64: bool, most: int) -> list[bytes]:
    """All elements, or one too many."""
    if not isinstance(data, list):
        raise BadRequest("data must be a list")
    payloads = []
    for element in data[: most + 1]:
        if not isinstance(element, str):
            raise BadRequest("the elements of data must be strings")
        try:
            payloads.append(
                base64.b64decode(element, validate=True) if is_base64 else element.encode()
            )
        except (binascii.Error, ValueError) as error:
            raise BadRequest(f"an element cannot be read ({shortened(error)})") from error
    return payloads


def _require_shape(shape: Any, count: int) -> None:
    if not isinstance(shape, list) or not all(type(size) is int and size >= 0 for size in shape):
        raise BadRequest("shape must be a list of whole numbers")
    product = 1 if shape else 0
    for size in shape:
        product = min(product * size, count + 1)  # a client may write very large numbers
    if product != count:
        raise BadRequest(f"there are {count} elements, and the shape says otherwise")


def _wants_binary(document: Mapping[str, Any]) -> bool:
    parameters = _object(document.get("parameters") or {}, "parameters")
    wants = bool(parameters.get("binary_data_output"))
    outputs = document.get("outputs") or []
    if not isinstance(outputs, list):
        raise BadRequest("outputs must be a list")
    for entry in outputs:
        if _object(entry, "output").get("name") != OUTPUT:
            raise BadRequest(f"the model gives one output, {OUTPUT!r}")
        own = _object(entry.get("parameters") or {}, "parameters of the output")
        wants = bool(own.get("binary_data", wants))
    return wants
