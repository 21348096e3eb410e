"""Documents people write: safe YAML → record, every complaint with ``file:line:column``.

Stricter than PyYAML's safe loader on purpose: no tags, no duplicate keys, no alias bombs, YAML 1.2's
plain scalars only (so ``06:00`` is a string, and ``no`` is a word), and no characters that cannot be
seen, so that what stands in a file can be shown on any terminal.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from bench.errors import InputError, nearest, shorten
from bench.files import read_bytes
from bench.plain import UNSEEN
from bench.secrets import in_address
from bench.units import WRITTEN_BY_HAND

MAX_BYTES = 1_000_000
MAX_NODES = 50_000

Location = Sequence[str | int]
Model = TypeVar("Model", bound=BaseModel)


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the plain scalars of YAML 1.2's core schema."""

    yaml_implicit_resolvers = {}  # noqa: RUF012  (PyYAML declares it as an instance variable)


_PLAIN = {
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (r"[-+]?[0-9]+", "-+0123456789"),
    "float": (r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
    "null": (r"~|null|Null|NULL|", "~nN"),
}
for _tag, (_pattern, _first) in _PLAIN.items():
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), [*_first, ""]
    )
_IN_WORDS = {"bool": "true or false", "int": "a whole number", "float": "a number", "null": "null"}
MOST_DIGITS = 18
"""Of a whole number: so many fit into 64 bits."""


class Source:
    """A parsed file: its data, and the line and column of every part of it."""

    def __init__(self, path: Path, text: str, root: yaml.Node, data: Any) -> None:
        self.path = path
        self.text = text
        self.data = data
        self._root = root

    def where(self, location: Location, *, key: bool = False) -> str:
        """``file:line:column`` of the part at ``location``, or of the nearest part around it.

        With ``key``, the position of the mapping key itself rather than its value's.
        """
        node, mark = self._root, self._root.start_mark
        for step in location:
            found = _child(node, step)
            if found is None:
                continue
            key_node, node = found
            mark = (key_node if key and key_node is not None else node).start_mark
        return f"{self.path}:{mark.line + 1}:{mark.column + 1}"

    def record(self, model: type[Model], location: Location = (), data: Any = None) -> Model:
        """The part at ``location`` (the whole file by default) as a record.

        Raises:
            InputError: the first fault found, with its place, what was allowed and the nearest name.
        """
        try:
            return model.model_validate(
                self.data if data is None else data, context=WRITTEN_BY_HAND
            )
        except ValidationError as error:
            raise self._complaint(model, error, location) from error

    def _written(self, location: Location, parsed: Any) -> Any:
        """What stands in the file at ``location``, rather than what it was parsed to."""
        node: yaml.Node | None = self._root
        for step in location:
            found = _child(node, step) if node is not None else None
            node = found[1] if found else node
        return node.value if isinstance(node, yaml.ScalarNode) else parsed

    def _complaint(
        self, model: type[BaseModel], error: ValidationError, around: Location
    ) -> InputError:
        faults = error.errors(include_url=False)
        # An unknown key explains a missing one (it is its misspelling), so it is named first.
        fault = next((f for f in faults if f["type"] == "extra_forbidden"), faults[0])
        inner, location = fault["loc"], (*around, *fault["loc"])
        others = f"{len(faults) - 1} more fault(s) follow" if len(faults) > 1 else None
        if fault["type"] == "extra_forbidden":
            known = _keys_at(model, inner[:-1])
            near = nearest(str(inner[-1]), known)
            return InputError(
                f"unknown key {shorten(inner[-1])!r}",
                where=self.where(location, key=True),
                allowed=", ".join(known),
                todo=f"Did you mean {near!r}?" if near else others,
            )
        if fault["type"] == "missing":
            return InputError(
                f"the key {inner[-1]!r} is missing", where=self.where(location), todo=others
            )
        if fault["type"].startswith("union_tag"):
            key = fault["ctx"]["discriminator"].strip("'")
            allowed = fault["ctx"].get("expected_tags", "").replace("'", "")
            got = fault["ctx"].get("tag")
            near = nearest(got, allowed.split(", ")) if got else None
            return InputError(
                f"unknown {key} {shorten(got)!r}" if got else f"the key {key!r} is missing",
                where=self.where((*location, key)),
                allowed=allowed or None,
                todo=f"Did you mean {near!r}?" if near else None,
            )
        message = fault["msg"].removeprefix("Value error, ").removesuffix(".")
        key = f"{inner[-1]}: " if inner and isinstance(inner[-1], str) else ""
        got = self._written(location, fault["input"])
        seen = (
            f" (got {shorten(repr(got), 40)})"
            if (not fault["type"].startswith("value_error") or "out of bounds" in message)
            and isinstance(got, str | int | float)
            else ""
        )
        return InputError(f"{key}{message}{seen}", where=self.where(location), todo=others)


def read(path: Path) -> Source:
    """Parse the YAML file at ``path``.

    Raises:
        InputError: not a readable, small, plain YAML mapping.
    """
    return parse(_read_text(path), path)


@functools.lru_cache(maxsize=512)
def parse(text: str, path: Path) -> Source:
    """As :func:`read`, of a text that stands, or stood, in the file at ``path``.

    The catalogue is read several times over by one command, and a YAML parser is slow.
    """
    _require_seen(text, path)
    loader = _Loader(text)
    try:
        root = loader.get_single_node()
        if root is None:
            raise InputError(
                "the file is empty", where=f"{path}:1:1", allowed="a YAML mapping of settings"
            )
        _check(root, path)
        data = loader.construct_document(root)
    except RecursionError as error:
        raise InputError("the YAML is nested too deeply", where=f"{path}:1:1") from error
    except yaml.MarkedYAMLError as error:
        raise InputError(
            f"not valid YAML: {_problem(error)}", where=f"{path}{_mark(error)}"
        ) from error
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(
            f"not valid YAML: {shorten(str(error).splitlines()[0], 120)}", where=f"{path}:1:1"
        ) from error
    finally:
        loader.dispose()
    if not isinstance(data, dict):
        raise InputError(
            f"the file holds a {type(data).__name__}", where=f"{path}:1:1",
            allowed="a YAML mapping of settings",
        )  # fmt: skip
    return Source(path, text, root, data)


def _require_seen(text: str, path: Path) -> None:
    """Refuse a text with a character that cannot be seen."""
    found = UNSEEN.search(text)
    if found is not None:
        line = text.count("\n", 0, found.start()) + 1
        column = found.start() - text.rfind("\n", 0, found.start())
        raise InputError(
            f"the character {_name_of(found.group())} cannot be seen",
            where=f"{path}:{line}:{column}", todo="Remove it",
        )  # fmt: skip


def _name_of(character: str) -> str:
    return f"U+{ord(character):04X}"


def _read_text(path: Path) -> str:
    try:
        text = read_bytes(path, MAX_BYTES).decode()
    except FileNotFoundError as error:
        raise InputError(
            "there is no such file",
            where=str(path),
            todo="`bench list scenarios` shows the ones that come with the program",
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"the file is not UTF-8 text (byte {error.start})", where=f"{path}:1:1",
            allowed="a YAML file",
        ) from error  # fmt: skip
    # A byte order mark and the line ends of other systems are no fault of anybody's.
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def _check(root: yaml.Node, path: Path) -> None:
    """Refuse duplicate keys, tags, cycles, and more nodes than a person would write."""
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()

    def fail(node: yaml.Node, what: str, allowed: str | None = None) -> InputError:
        mark = node.start_mark
        return InputError(what, where=f"{path}:{mark.line + 1}:{mark.column + 1}", allowed=allowed)

    def size(node: yaml.Node) -> int:
        if id(node) in sizes:
            return sizes[id(node)]
        if id(node) in open_nodes:
            raise fail(node, "an alias refers to the value it stands in")
        if not node.tag.startswith("tag:yaml.org,2002:") or node.tag.rpartition(":")[2] not in (
            "map", "seq", "str", "int", "float", "bool", "null"
        ):  # fmt: skip
            raise fail(node, f"the tag {shorten(node.tag)!r} is not used here", "plain YAML values")
        if isinstance(node, yaml.ScalarNode) and (fault := _fault_of(node)):
            raise fail(node, fault)
        if isinstance(node, yaml.ScalarNode) and (held := in_address(node.value)):
            raise InputError(
                f"the address holds {held}, which would stand in every record of the run",
                where=f"{path}:{node.start_mark.line + 1}:{node.start_mark.column + 1}",
                todo="Keep secrets in environment variables; docs/measurement.md says how a server "
                "is given one",
            )
        open_nodes.add(id(node))
        total = 1
        if isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key, value in node.value:
                if not isinstance(key, yaml.ScalarNode):
                    raise fail(key, "a key must be a plain word")
                if key.tag.rpartition(":")[2] != "str":
                    raise fail(key, f"the key {shorten(key.value)} is no word", "names, in quotes")
                if fault := _fault_of(key):
                    raise fail(key, fault)
                if key.value in seen:
                    raise fail(key, f"the key {shorten(key.value)!r} appears twice")
                seen.add(key.value)
                total += 1 + size(value)
        elif isinstance(node, yaml.SequenceNode):
            total += sum(size(item) for item in node.value)
        open_nodes.discard(id(node))
        if total > MAX_NODES:
            raise fail(node, f"the file expands to more than {MAX_NODES:,} values")
        sizes[id(node)] = total
        return total

    size(root)


def _fault_of(node: yaml.ScalarNode) -> str | None:
    """What is wrong with one value, as it is after its escapes and with its tag."""
    kind = node.tag.rpartition(":")[2]
    if kind in _PLAIN and not re.fullmatch(_PLAIN[kind][0], node.value):
        return f"{shorten(node.value)!r} is not {_IN_WORDS[kind]}"
    if kind == "int" and len(node.value.lstrip("+-0")) > MOST_DIGITS:
        return f"{shorten(node.value)!r} has more than {MOST_DIGITS} digits"
    if kind == "float" and not math.isfinite(float(node.value)):
        return f"{shorten(node.value)!r} is not a finite number"
    found = UNSEEN.search(node.value)
    return f"the character {_name_of(found.group())} cannot be seen" if found else None


def _child(node: yaml.Node, step: str | int) -> tuple[yaml.Node | None, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == step:
                return key, value
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return None, node.value[step]
    return None


def _keys_at(model: type[BaseModel], location: Location) -> list[str]:
    """The keys that ``model`` takes at ``location``, a path of pydantic's ``loc`` steps."""
    current: Any = model
    for step in location:
        if isinstance(current, type) and issubclass(current, BaseModel):
            current = next(
                (f.annotation for n, f in current.model_fields.items() if step in (n, f.alias)),
                current,
            )
        else:
            current = _inside(current, step)
    while not (isinstance(current, type) and issubclass(current, BaseModel)):
        inner = _inside(current, 0)
        if inner is current:
            return []
        current = inner
    return [field.alias or name for name, field in current.model_fields.items()]


def _inside(annotation: Any, step: str | int) -> Any:
    """What a list's item, a union's tag or an ``Annotated`` leads to."""
    arguments = get_args(annotation)
    if get_origin(annotation) is Annotated:
        return _inside(arguments[0], step)
    if get_origin(annotation) in (Union, UnionType):
        models = [a for a in arguments if isinstance(a, type) and issubclass(a, BaseModel)]
        tagged = [m for m in models if step in _tags(m)]
        return (tagged or models or [annotation])[0]
    return arguments[0] if arguments else annotation


def _tags(model: type[BaseModel]) -> tuple[Any, ...]:
    return tuple(
        value
        for field in model.model_fields.values()
        if get_origin(field.annotation) is Literal
        for value in get_args(field.annotation)
    )


def _problem(error: yaml.MarkedYAMLError) -> str:
    return shorten(" ".join(filter(None, (error.context, error.problem))), 160)


def _mark(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    return f":{mark.line + 1}:{mark.column + 1}" if mark else ":1:1"
