"""How far the simulator is from live servers on this machine, and what each part of the model buys.

``python -m tests.evidence.fidelity``: three models, even and bursty arrivals, five utilisations;
``--minutes`` each, ``--only NAME`` for one; ``--planted`` for what must come out as off, and must not.
Every session is written as soon as it is done.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil

from bench.measure import environment
from bench.prepare import Settings, prepare
from bench.scenario import ResolvedScenario
from bench.simulate.run import prepare as compile_all
from bench.streams import Streams
from bench.validate import Observation, Session, Validation, observe, session_of, validate
from bench.validate.calibration import Drift
from bench.validate.verdict import Sorted, by_block
from bench.validate.way import Way
from tests.evidence.record import FOLDER, save

LEVELS = [0.3, 0.5, 0.7, 0.8, 0.9]
SCENARIO = """\
schema_version: 1
name: fidelity
task: {task}
workload:
  sources: 1
  arrivals: {arrivals}
objective: {{response: {{percentile: 99, limit: {limit}}}}}
deployments:
  - name: live
    kind: real_time
    backend: onnxruntime-cpu
    device: this-host-one-thread
    offer: civo/standard-2c-4g/any/on-demand
    batching: {batching}
    scaling: {{name: fixed, replicas: 1}}
    start_up: {{node: 60 s}}
    network: {{uplink: 1 Gbit/s, downlink: 1 Gbit/s, rtt: 1 ms}}
"""
MODELS = {
    "text recognition": {
        "task": "{name: text-recognition, labels: 48}",
        "batching": "{name: greedy, max_batch: 4}",
        "limit": "250 ms",
    },
    "text embedding": {
        "task": "{name: text-embedding}",
        "batching": "{name: dynamic, max_batch: 8, max_wait: 10 ms}",
        "limit": "100 ms",
    },
    "tabular": {
        "task": "{name: fraud, payments: 32000, together: 500}",
        "batching": "{name: dynamic, max_batch: 4, max_wait: 5 ms}",
        "limit": "60 ms",
    },
}
ARRIVALS = {"Poisson": "{name: poisson, rate: 10/s}", "bursty": "{name: gamma, rate: 10/s, cv: 2}"}
PLANTED = "text embedding", "Poisson"
WRONG = "{name: dynamic, max_batch: 8, max_wait: 30 ms}"
"""Of that model: a batching timer three times as long as the live one."""
STOPPED_S, EVERY_S = 0.05, 1.0
"""The hidden stall: the server stands still so long, so often, under load only."""
UNDER_LOAD = [0.5, 0.7]


Seen = tuple[Observation, pd.DataFrame]
OnStep = Callable[[int, int, str], None]


def quiet(done: int, total: int, what: str) -> None:
    return None


def scenario_of(model: str, arrivals: str, batching: str | None = None) -> ResolvedScenario:
    filled = {**MODELS[model], "arrivals": ARRIVALS[arrivals]}
    if batching is not None:
        filled["batching"] = batching
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fidelity.yaml"
        path.write_text(SCENARIO.format(**filled))
        return prepare(path, Settings())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=6.0)
    parser.add_argument("--only", default="")
    parser.add_argument("--planted", type=int, default=0)
    parser.add_argument("--stalled", type=int, default=4, help="beside one of so many; 0: none")
    parser.add_argument("--keep", type=Path, help="a folder for the rows that were observed")
    parser.add_argument("--again", type=Path, help="such a folder: judge its sessions once more")
    asked = parser.parse_args()
    compile_all()
    found = {"sessions": {}, **_kept("fidelity")}
    for model in MODELS:
        for arrivals in ARRIVALS:
            name = f"{model}, {arrivals}"
            if asked.planted or asked.only not in name:
                continue
            seen = (
                observed(name, scenario_of(model, arrivals), LEVELS, asked.minutes, asked.keep)
                if asked.again is None
                else read(asked.again, name)
            )
            found["sessions"][name] = session(scenario_of(model, arrivals), seen)
            found["judged_again"] = asked.again is not None
            save("fidelity", found)
    off_by_minutes = _kept("planted")
    for off_by_fault in planted(
        asked.planted, asked.minutes, asked.stalled, asked.keep, asked.again
    ):
        # Sessions of another length may have been on another machine.
        off_by_minutes[f"{asked.minutes:g}"] = {
            "cpu": environment.describe()["cpu"],
            "off": off_by_fault,
        }
        save("planted", off_by_minutes)


def _kept(name: str) -> dict[str, Any]:
    path = FOLDER / f"{name}.json"
    return dict(json.loads(path.read_text())["figures"]) if path.is_file() else {}


def observed(
    name: str,
    scenario: ResolvedScenario,
    levels: list[float],
    minutes: float,
    keep: Path | None,
    on_step: OnStep = quiet,
) -> Seen:
    """A live session."""
    asked = session_of("live", levels, 60 * minutes, 1)
    record, table = observe(scenario, asked, int(time.time()), on_step)
    if keep is not None:
        table.to_parquet(keep / f"{name}.parquet")
        (keep / f"{name}.json").write_text(record.model_dump_json())
    return record, table


def read(folder: Path, name: str) -> Seen:
    """One that was kept."""
    record = Observation.model_validate_json((folder / f"{name}.json").read_text())
    return record, pd.read_parquet(folder / f"{name}.parquet")


def session(scenario: ResolvedScenario, seen: Seen) -> dict[str, Any]:
    """The verdict, and the same observations simulated with less of the model."""
    record, table = seen
    asked = session_of("live", LEVELS, 60.0, 1)
    found = validate(scenario, asked, record, table, 1, quiet)
    assert found.service is not None
    return {
        "drift": found.drift.spread,
        "capacity": record.capacity,
        "service": found.service.model_dump(mode="json"),
        "levels": [
            level.model_dump(mode="json", exclude={"live_curve_s", "simulated_curve_s"})
            for level in found.levels
        ],
        "without": without(scenario, asked, record, table),
    }


# What each part buys ----------------------------------------------------------------------------


def without(
    scenario: ResolvedScenario, asked: Session, record: Observation, table: pd.DataFrame
) -> dict[str, dict[str, dict[str, float]]]:
    """Errors of mean and p99 by utilisation, with one part of the model left out at a time."""
    rows = by_block(table, len(record.blocks))
    found = {}
    for name, change in CHANGES.items():
        sorted_ = Sorted(scenario, asked, record, rows)
        change(sorted_)
        rng = Streams(1, 0).get("forecast")
        found[name] = {
            f"{level:g}": {
                one.figure: one.error.value or 0.0
                for one in sorted_.level(level, rng).compared
                if one.figure in ("mean", "p99")
            }
            for level in asked.levels
        }
    return found


def _no_way(one: Sorted) -> None:
    one.way = Way(np.zeros(1), np.zeros(1), 0.0, 0.0, 0.0)


def _no_queue_on_the_way(one: Sorted) -> None:
    one.way = replace(one.way, up=0.0, down=0.0)


def _no_rest(one: Sorted) -> None:
    """Whatever came before, a request meets what any alone met, and a batch takes what any took."""
    found = one.calibration
    one.way = replace(one.way, alone=np.random.default_rng(1).permutation(one.way.alone))
    anyhow = float(1 + found.batches.cooled.mean() * (found.rested - 1))
    found.steady = found.steady._replace(rested=1.0).slowed(anyhow)


def _no_drift(one: Sorted) -> None:
    one.calibration.drift = Drift(0.0, np.zeros(1))


def _no_sizes(one: Sorted) -> None:
    steady = one.calibration.steady
    one.calibration.steady = steady._replace(growth=np.zeros_like(steady.growth))


def _no_correlation(one: Sorted) -> None:
    one.calibration.steady = one.calibration.steady._replace(block=1)


def _means_only(one: Sorted) -> None:
    steady = one.calibration.steady
    values = steady.values.copy()
    for first, count in zip(steady.first[1:], steady.counts[1:], strict=True):
        values[first : first + count] = round(float(steady.values[first : first + count].mean()))
    one.calibration.steady = steady._replace(values=values)


CHANGES: dict[str, Callable[[Sorted], None]] = {
    "nothing": lambda one: None,
    "the way there and back": _no_way,
    "queueing on the way": _no_queue_on_the_way,
    "what rests falls asleep": _no_rest,
    "the machine's speed around the load": _no_drift,
    "sizes of requests": _no_sizes,
    "correlation of service times": _no_correlation,
    "the distribution of service times": _means_only,
}


# What must be off, and must not ------------------------------------------------------------------


def planted(
    sessions: int, minutes: float, stalled: int, keep: Path | None, again: Path | None
) -> Iterator[dict[str, list[list[str]]]]:
    """The same session again and again, unchanged, and judged with faults that are hidden from calibration:
    by fault, the figures of each session that are off.

    Args:
        stalled: a further session, of a server that stalls, beside one of so many; 0: none.
    """
    scenario, wrong = scenario_of(*PLANTED), scenario_of(*PLANTED, WRONG)
    asked = session_of("live", UNDER_LOAD, 60 * minutes, 1)
    counts: dict[str, list[list[str]]] = {
        name: [] for name in ("unchanged", "profile × 1.1", "max_wait × 3", "5 % stalled")
    }

    def judge(name: str, asked_of: ResolvedScenario, seen: Seen) -> None:
        counts[name].append(off(validate(asked_of, asked, *seen, 1, quiet)))

    def seen_as(name: str, on_step: OnStep = quiet) -> Seen:
        if again is not None:
            return read(again, name)
        return observed(name, scenario, UNDER_LOAD, minutes, keep, on_step)

    for number in range(sessions):
        record, table = seen_as(f"unchanged {number}")
        judge("unchanged", scenario, (record, table))
        judge("max_wait × 3", wrong, (record, table))
        judge("profile × 1.1", scenario, (record, _slower(table, record)))
        if stalled and number % stalled == 0:
            with _stalling() as on_step:
                judge("5 % stalled", scenario, seen_as(f"stalled {number}", on_step))
        yield counts


def off(found: Validation) -> list[str]:
    """The figures that are."""
    compared = [(f"{level.level:g}", one) for level in found.levels for one in level.compared]
    return [
        f"{one.figure} at {where}"
        for where, one in [*compared, ("all", found.service)]
        if one.verdict == "OFF"
    ]


def _slower(table: pd.DataFrame, record: Observation) -> pd.DataFrame:
    """As if calibration had seen service times of 1.1 times."""
    calibration = [number for number, block in enumerate(record.blocks) if block.level is None]
    found = table.copy()
    inside = found["block"].isin(calibration)
    more = (found.loc[inside, "service"] * 0.1).astype("int64")
    found.loc[inside, "service"] += more
    found.loc[inside, "finished"] += more
    return found


@contextmanager
def _stalling() -> Iterator[Callable[[int, int, str], None]]:
    """Stops the server's processes for a moment again and again while it is under load."""
    under_load, ended = threading.Event(), threading.Event()

    def on_step(done: int, total: int, what: str) -> None:
        (under_load.set if what.startswith("load") else under_load.clear)()

    def stall() -> None:
        while not ended.wait(EVERY_S - STOPPED_S):
            if under_load.is_set():
                _stop_for(_server(), STOPPED_S)

    thread = threading.Thread(target=stall)
    thread.start()
    try:
        yield on_step
    finally:
        ended.set()
        thread.join()


def _server() -> list[int]:
    """The live server and its replicas: the child of this process that has children."""
    for child in psutil.Process().children():
        if replicas := child.children():
            return [child.pid, *(one.pid for one in replicas)]
    return []


def _stop_for(processes: list[int], seconds: float) -> None:
    for pid in processes:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(seconds)
    for pid in processes:
        os.kill(pid, signal.SIGCONT)


if __name__ == "__main__":
    main()
