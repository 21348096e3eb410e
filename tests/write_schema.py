"""``python -m tests.write_schema`` writes ``scenarios/scenario.schema.json``."""

from __future__ import annotations

from pathlib import Path

from bench.prepare import find_extensions
from bench.scenario import json_schema
from bench.store import to_json

SCHEMA = Path(__file__).parents[1] / "scenarios" / "scenario.schema.json"


def current() -> str:
    return to_json(json_schema(find_extensions()))


if __name__ == "__main__":
    SCHEMA.write_text(current())
