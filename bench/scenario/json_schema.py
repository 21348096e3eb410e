"""The JSON Schema of scenario files, for editors: the records plus every extension's options."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import models_json_schema

from bench.record import Record
from bench.scenario.resolve import Extensions
from bench.scenario.schema import Scenario

# Which field of which record holds a part of which role.
_PART_FIELDS = {
    "task": [("Scenario", "task")],
    "backend": [(kind, "backend") for kind in ("Batch", "RealTime", "Edge")],
    "batching": [(kind, "batching") for kind in ("Batch", "RealTime", "Edge")],
    "scaling": [("RealTime", "scaling")],
    "arrivals": [("Workload", "arrivals")],
}


def json_schema(extensions: Extensions) -> dict[str, Any]:
    """The schema of a scenario file, with all extensions that are there now."""
    schema = Scenario.model_json_schema(mode="validation")
    definitions = schema["$defs"]
    for role, (names, options_of) in extensions.items():
        variants: list[dict[str, Any]] = [{"enum": names}]
        for name in names:
            variants.append(_variant(role, name, options_of(name), definitions))
        for record, field in _PART_FIELDS[role]:
            owner = schema if record == "Scenario" else definitions.get(record)
            owner = owner or definitions[f"{record}Deployment"]
            owner["properties"][field] = {"anyOf": variants}
    definitions.pop("Part", None)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "inference-testbed scenario",
        **{key: value for key, value in schema.items() if key != "title"},
    }


def _variant(
    role: str, name: str, options: type[Record], definitions: dict[str, Any]
) -> dict[str, Any]:
    _, document = models_json_schema([(options, "validation")], ref_template="#/$defs/{model}")
    own = document["$defs"].pop(options.__name__)
    definitions.update(document["$defs"])
    return {
        "title": f"{role} {name}",
        "type": "object",
        "additionalProperties": False,
        "properties": {"name": {"const": name}, **own.get("properties", {})},
        "required": ["name", *own.get("required", [])],
    }
