"""The reference tasks on this machine's NVIDIA GPU, with whatever of the backends is there.

``python -m tests.evidence.gpu [--as NAME] [--budget BUDGET]``: every ``scenarios/suites/gpu-*.yaml``
is measured into a run under ``reports/``; the profiles that are valid are kept under
``hardware_profiles/measured/NAME``, and the figures go to ``docs/evidence/gpu.json``. A backend that
is missing, or a suite that fails, costs its own figures and no others.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any

from bench.errors import BenchError, InputError
from bench.gather import load_profiles
from bench.hardware import Catalogue
from bench.measure import Measurement
from bench.measure.power import nvml
from bench.pipeline import measure_only
from bench.prepare import Settings
from bench.profile import keep
from tests.evidence.parity import SUITES, row
from tests.evidence.record import save


def device_name(gpu: str) -> str:
    """``NVIDIA H100 80GB HBM3`` as the name of a device: ``nvidia-h100-80gb-hbm3``."""
    return re.sub(r"[^a-z0-9]+", "-", gpu.lower()).strip("-")


def measured(suite: Path, out: Path, name: str, settings: Settings) -> dict[str, Any]:
    """The rows of one suite; its profiles are kept, but for those that are INVALID."""
    try:
        run, measurement = measure_only(suite, out, settings, _tell)
    except BenchError as error:
        return {"suite": suite.stem, "rows": [], "failed": {"all": str(error)}}
    valid = [p for p in load_profiles(run.path).values() if p.status != "invalid"]
    kept = [str(path.name) for path in keep(valid, name, Catalogue())] if valid else []
    return {"suite": suite.stem, **figures(measurement), "kept": kept}


def figures(measurement: Measurement) -> dict[str, Any]:
    """The rows of the arms that were measured, and why others were not."""
    rows = []
    for arm in measurement.arms:
        power = next((p for p in arm.power if p.mean_w.value is not None), None)
        offline = arm.load_result("offline")
        bad = [v.reason for v in arm.verdicts if v.status in ("invalid", "unstable")]
        rows.append(
            {
                **row(arm),
                "throughput": offline.throughput.value if offline else None,
                "mean_w": power.mean_w.value if power else None,
                "idle_w": power.idle_w.value if power else None,
                "power": power.codes if power else [p.reason for p in arm.power],
                "reasons": bad,
            }
        )
    return {"rows": rows, "failed": {f.arm: f.error for f in measurement.failed}}


def _tell(stage: str, done: int, total: int, what: str) -> None:
    print(f"{stage} {done}/{total} {what}", file=sys.stderr)


def main() -> None:
    options = argparse.ArgumentParser(prog="nox -s gpu --")
    options.add_argument("--as", dest="name", help="name of the device [default: from the GPU]")
    options.add_argument("--budget", help="smoke, standard or official [default: the suites']")
    asked = options.parse_args()
    gpu = nvml.state()
    if not gpu:
        sys.exit("There is no NVIDIA GPU that this process can see; `bench doctor` says why.")
    name = asked.name or device_name(gpu["gpu"])
    suites = sorted(SUITES.glob("gpu-*.yaml"))
    reports, settings = SUITES.parents[1] / "reports", Settings(budget=asked.budget)
    done = []
    for suite in suites:
        done.append(measured(suite, reports / f"{suite.stem}-{name}", name, settings))
        if any(each["rows"] for each in done):  # a machine lent for minutes may end in the middle
            save("gpu", {"device": name, "suites": done})
    if not any(each["rows"] for each in done):
        raise InputError("; ".join(str(each["failed"]) for each in done))


if __name__ == "__main__":
    main()
