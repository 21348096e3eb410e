"""Where evidence goes: ``docs/evidence/NAME.json`` with the environment, and one line on stdout."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.measure import environment

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "evidence"


def save(name: str, figures: Mapping[str, Any]) -> None:
    """Write the figures of one session."""
    document = {
        "session": name,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "figures": figures,
        "environment": environment.describe(),
    }
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{name}.json").write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    print(json.dumps({"session": name, **figures}))
