"""The committed JSON Schema is the one the records give, and the scenarios satisfy it."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest

from bench.documents import read
from bench.prepare import Settings, find_extensions, prepare, prepare_measurement
from bench.scenario import json_schema
from tests.write_schema import SCHEMA, current

SCENARIOS = sorted(SCHEMA.parent.glob("*.yaml"))
SUITES = sorted((SCHEMA.parent / "suites").glob("*.yaml"))


def test_the_committed_schema_is_current() -> None:
    assert SCHEMA.read_text() == current(), "run: python3 noxfile.py -s schema"


@pytest.mark.slow
@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_committed_scenarios_are_sound(path: Path) -> None:
    jsonschema.validate(read(path).data, json_schema(find_extensions()))
    prepare(path, Settings())


@pytest.mark.slow
@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_committed_suites_are_sound(path: Path) -> None:
    jsonschema.validate(read(path).data, json_schema(find_extensions()))
    assert prepare_measurement(path, Settings()).arms


def test_the_schema_refuses_what_the_program_refuses() -> None:
    data = read(SCENARIOS[0]).data
    data["deployments"][0]["batching"] = {"name": "greedy", "max_bach": 8}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(data, json_schema(find_extensions()))
