"""How long the planner takes on the quickstart, and whether it loses anything by what it leaves out.

``python -m tests.evidence.plan``: the committed run's profiles, so that nothing is measured.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.executor import engine
from bench.gather import load_profiles, runs_of
from bench.plan import Plan, candidates, search
from bench.prepare import Settings, prepare
from bench.simulate.run import prepare as compile_all
from tests.evidence.record import save

ROOT = Path(__file__).resolve().parents[2]
SCENARIO, PROFILES = ROOT / "scenarios" / "quickstart.yaml", ROOT / "reports" / "example"
REDUCED = ["civo/standard-*", "aws/c7i.xlarge/us-east-1/*", "edge/*", "google-cloud/n2d*"]
"""A space small enough to simulate every candidate of."""


def main() -> None:
    compile_all()
    save("plan", {"whole": whole(), "reduced": reduced()})


def whole() -> dict[str, Any]:
    """The command as a user gives it, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable, "-m", "bench", "plan", str(SCENARIO), "--profiles", str(PROFILES),
            "--out", f"{folder}/plan", "--json",
        ]  # fmt: skip
        start = time.monotonic()
        out = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
        seconds = time.monotonic() - start
    plan = json.loads(out)
    return {"seconds": round(seconds, 1), **{key: plan[key] for key in COUNTS}} | {
        "dismissed": sum(plan["dismissed"].values()),
        "refused": sum(len(one["offers"]) for one in plan["refused"]),
        "verdict": plan["verdict"],
    }


COUNTS = ("candidates", "simulated", "judged", "too_dear")


def reduced() -> dict[str, Any]:
    settings = Settings()
    asked = prepare(SCENARIO, settings)
    space = asked.scenario.plan.model_copy(update={"offers": REDUCED})
    scenario = asked.scenario.model_copy(update={"plan": space})
    asked = asked.model_copy(update={"scenario": scenario})
    runs, profiles, _ = runs_of(asked, load_profiles(PROFILES), settings.catalogue)
    found = list(candidates(asked, runs, profiles))
    times, plans = [], []
    for prune in (True, False):
        start = time.monotonic()
        plans.append(search(asked, found, profiles, 1, engine("local"), prune=prune))
        times.append(round(time.monotonic() - start, 1))
    quick, exhaustive = plans
    return {
        "candidates": len(found),
        "seconds": {"pruned": times[0], "exhaustive": times[1]},
        "simulated": {"pruned": quick.simulated, "exhaustive": exhaustive.simulated},
        "same_optimum": quick.cheapest[0].entry == exhaustive.cheapest[0].entry,
        "same_front": affordable(quick) == affordable(exhaustive),
        "front": len(affordable(exhaustive)),
    }


def affordable(plan: Plan) -> list[tuple[float | None, ...]]:
    """The front up to so many times the cheapest, for which it is promised."""
    most = plan.within * (plan.cheapest[0].entry.usd_per_million.value or 0.0)
    figures = [
        (e.usd_per_million.value, e.p99_s.value, e.carbon_kg_per_million.value)
        for e in (planned.entry for planned in plan.front)
    ]
    return [one for one in figures if (one[0] or 0.0) <= most]


if __name__ == "__main__":
    main()
