"""How fast the simulator is: against its reference, against others, and how its time grows."""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import simpy

from bench.executor import LocalProcesses
from bench.simulate.run import play, play_replication, prepare
from tests.evidence import record
from tests.evidence.standard import real_time
from tests.queues import exponential, replicate

ROOT = Path(__file__).parents[2]
CUSTOMERS = 100_000
SWEEP_POINTS = 1000


def main() -> None:
    # Everything on one core but for what is about two.
    os.sched_setaffinity(0, {0})
    prepare()
    figures: dict[str, Any] = {"benchmarks": benchmarks(), "m_m_1": others(), "start": start()}
    figures["month"] = child("month")
    os.sched_setaffinity(0, set(range(os.cpu_count() or 1)))
    figures["sweep"] = sweep()
    rates = {b["name"]: b for b in figures["benchmarks"]}
    fast, slow = (
        rates[f"test_standard[{m}]"]["requests_per_s"] for m in ("fast-24.0-3", "reference-0.1-3")
    )
    figures["standard"] = {"fast": fast, "reference": slow, "ratio": round(fast / slow)}
    record.save("speed", figures)


def benchmarks() -> list[dict[str, Any]]:
    """Medians of one pytest-benchmark run."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speed.json"
        subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "tests/evidence/speed_benchmarks.py",
             f"--benchmark-json={path}", "--benchmark-disable-gc"],
            cwd=ROOT, check=True,
        )  # fmt: skip
        found = json.loads(path.read_text())["benchmarks"]
    return [
        {
            "name": one["name"],
            "median_s": round(one["stats"]["median"], 3),
            "rounds": one["stats"]["rounds"],
            "requests_per_s": round(one["extra_info"]["requests"] / one["stats"]["median"]),
            **one["extra_info"],
        }
        for one in found
    ]


def others() -> dict[str, int]:
    """Customers/s of M/M/1 at ρ = 0.8, interleaved: plain SimPy, Ciw, and both of ours."""
    rates: dict[str, list[float]] = {"simpy": [], "ciw": [], "fast": []}
    for seed in range(3):
        rates["simpy"].append(_timed(lambda s=seed: _simpy(s), CUSTOMERS))
        rates["ciw"].append(_timed(lambda s=seed: _ciw(s), CUSTOMERS // 4))
        run = lambda s=seed: replicate(  # noqa: E731
            0.8, {1: exponential()}, requests=5_000_000, replications=1, seed=s
        )
        rates["fast"].append(_timed(run, 5_000_000))
    return {name: round(statistics.median(values)) for name, values in rates.items()}


def _timed(run: Any, customers: int) -> float:
    begin = time.perf_counter()
    run()
    return customers / (time.perf_counter() - begin)


def _simpy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    env = simpy.Environment()
    server = simpy.Resource(env, capacity=1)

    def customer() -> Iterator[Any]:
        with server.request() as turn:
            yield turn
            yield env.timeout(rng.exponential(1.0))

    def source() -> Iterator[Any]:
        for _ in range(CUSTOMERS):
            yield env.timeout(rng.exponential(1.25))
            env.process(customer())  # type: ignore[arg-type]

    env.process(source())  # type: ignore[arg-type]
    env.run()


def _ciw(seed: int) -> None:
    import ciw

    ciw.seed(seed)
    network = ciw.create_network(
        arrival_distributions=[ciw.dists.Exponential(0.8)],
        service_distributions=[ciw.dists.Exponential(1.0)],
        number_of_servers=[1],
    )
    ciw.Simulation(network).simulate_until_max_customers(CUSTOMERS // 4)


def start() -> dict[str, float]:
    """From the start of Python to a first result, with a warm cache and with none."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, extra in (
            ("cold", {"NUMBA_CACHE_DIR": folder}),
            ("warm", {"NUMBA_CACHE_DIR": folder}),
        ):
            begin = time.perf_counter()
            child("first", **extra)
            found[f"{name}_s"] = round(time.perf_counter() - begin, 2)
    return found


def child(what: str, **environment: str) -> Any:
    """Run one of the functions below in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.evidence.speed", what],
        cwd=ROOT, check=True, capture_output=True, text=True, env=os.environ | environment,
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


def first() -> dict[str, Any]:
    prepare()
    return {"requests": play(real_time(hours=0.01))[2].offered}


def month() -> dict[str, Any]:
    """Thirty days at 1,000 requests a second."""
    prepare()
    begin = time.perf_counter()
    _, tally, demand = play(real_time(24.0, days=30))
    seconds = time.perf_counter() - begin
    return {
        "requests": demand.offered,
        "done": tally["done"],
        "seconds": round(seconds, 1),
        "requests_per_s": round(demand.offered / seconds),
        "peak_memory_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def sweep() -> dict[str, Any]:
    """A thousand points on one and on two worker processes, twice each, interleaved."""
    jobs = [
        real_time(
            0.2 + point % 10 / 50, rate=200.0 + point, scaling={"name": "fixed", "replicas": 8}
        ).model_copy(update={"seed": point})
        for point in range(SWEEP_POINTS)
    ]
    times: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(2):
        for workers in times:
            begin = time.perf_counter()
            done = sum(1 for _ in LocalProcesses(workers).each(play_replication, jobs))
            times[workers].append(time.perf_counter() - begin)
            assert done == SWEEP_POINTS
    one, two = (statistics.median(times[workers]) for workers in (1, 2))
    return {
        "points": SWEEP_POINTS,
        "one_s": round(one, 1),
        "two_s": round(two, 1),
        "speed_up": round(one / two, 2),
    }


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps({"first": first, "month": month}[sys.argv[1]]()))
    else:
        main()
