"""One network on every CPU backend, what reduced precision costs, and training against inference."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.measure import ArmMeasurement
from bench.pipeline import measure_only
from bench.prepare import Settings
from tests.evidence.record import save

SUITES = Path(__file__).resolve().parents[2] / "scenarios" / "suites"
SESSIONS = {
    "parity": ("every-cpu-backend", "sentence-embedding", "same-network"),
    "precision": ("precision",),
    "training": ("training",),
}


def row(arm: ArmMeasurement) -> dict[str, Any]:
    """The figures of one arm that the tables show."""
    first = arm.replicates[0]
    by_size = {step.batch_size: step.service.value for step in arm.steps}
    energy = [r.energy_per_inference_j.value for r in arm.power]
    return {
        "arm": arm.arm,
        "status": arm.status,
        "service_ms": {str(b): round(s * 1e3, 3) for b, s in by_size.items() if s is not None},
        "relative_error": max((p.relative_error for p in first.parity), default=None),
        "largest_difference": max((p.largest_difference for p in first.parity), default=None),
        "agreement": arm.agreement.share if arm.agreement else None,
        "accuracy": {a.metric: round(a.value, 4) for a in arm.accuracy if a.group == "all"},
        "load_s": arm.load.value,
        "first_call_s": arm.first_call.value,
        "memory_mb": round(max(r.memory_peak_bytes for r in arm.replicates) / 1e6),
        "energy_j": next((e for e in energy if e is not None), None),
    }


def measured(suite: str, folder: Path) -> Mapping[str, Any]:
    """The rows of one suite."""
    _, measurement = measure_only(SUITES / f"{suite}.yaml", folder / suite, Settings())
    if measurement.failed:
        raise RuntimeError("; ".join(f.error for f in measurement.failed))
    return {"suite": suite, "rows": [row(arm) for arm in measurement.arms]}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for session, suites in SESSIONS.items():
            save(session, {"suites": [measured(suite, Path(folder)) for suite in suites]})


if __name__ == "__main__":
    main()
