"""The JSON Schema of scenario files, for editors: the records plus every extension's options."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic.json_schema import models_json_schema

from bench.record import Record
from bench.scenario.resolve import Extensions
from bench.scenario.schema import Scenario, Suite

# Which fields of which records hold a part of which role.
_REAL_TIME = ("RealTimeDeployment", "RealTimePart", "RealTimeStage")
_PARTS = (
    "BatchDeployment", "BatchStage", *_REAL_TIME, "EdgeDeployment", "EdgePart", "EdgeStage",
)  # fmt: skip
_PART_FIELDS = {
    "task": [("Scenario", "task"), ("Suite", "task")],
    "backend": [(record, "backend") for record in (*_PARTS, "ArmSpec")],
    "batching": [(record, "batching") for record in _PARTS],
    "scaling": [(record, "scaling") for record in _REAL_TIME],
    "arrivals": [("Workload", "arrivals")],
    "sizes": [("Workload", "sizes")],
    "load": [("MeasureOptions", "loads")],
}


def json_schema(extensions: Extensions) -> dict[str, Any]:
    """The schema of a scenario file or a suite, with all extensions that are there now."""
    roots: list[tuple[type[Record], Any]] = [(Scenario, "validation"), (Suite, "validation")]
    _, document = models_json_schema(roots, ref_template="#/$defs/{model}")
    definitions = document["$defs"]
    variants = {
        role: _variants(role, names, options_of, definitions)
        for role, (names, options_of) in extensions.items()
        if role in _PART_FIELDS
    }
    for role, fields in _PART_FIELDS.items():
        for record, field in fields:
            place = definitions[record]["properties"]
            one = {"anyOf": variants[role]}
            place[field] = one if role != "load" else {**place[field], "items": one}
    definitions.pop("Choice", None)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "inference-testbed scenario",
        "if": {"required": ["arms"]},
        "then": {"$ref": "#/$defs/Suite"},
        "else": {"$ref": "#/$defs/Scenario"},
        "$defs": definitions,
    }


def _variants(
    role: str,
    names: list[str],
    options_of: Callable[[str], type[Record]],
    definitions: dict[str, Any],
) -> list[dict[str, Any]]:
    own = {"type": "string", "pattern": r"\.py$", "title": f"a {role} of your own"}
    anything = {"type": "object", "properties": {"name": own}, "required": ["name"]}
    variants = [_variant(role, name, options_of(name), definitions) for name in names]
    return [{"enum": names}, own, anything, *variants]


def _variant(
    role: str, name: str, options: type[Record], definitions: dict[str, Any]
) -> dict[str, Any]:
    _, document = models_json_schema([(options, "validation")], ref_template="#/$defs/{model}")
    own = document["$defs"].pop(options.__name__)
    for field, value in own.get("properties", {}).items():
        if _refers_to_part(value):
            own["properties"][field] = {"type": ["string", "object"]}
    definitions.update({k: v for k, v in document["$defs"].items() if k != "Choice"})
    return {
        "title": f"{role} {name}",
        "type": "object",
        "additionalProperties": False,
        "properties": {"name": {"const": name}, **own.get("properties", {})},
        "required": ["name", *own.get("required", [])],
    }


def _refers_to_part(value: dict[str, Any]) -> bool:
    return any(kind.get("$ref") == "#/$defs/Choice" for kind in value.get("anyOf", [value]))
