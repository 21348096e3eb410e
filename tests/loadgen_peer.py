"""MLPerf LoadGen's scenarios on scripted service times, one after the other, in a process of its own.

LoadGen keeps global state, and an exception in a callback aborts the process. Reads a JSON object
from each line on stdin and prints one: what LoadGen's summary says, when its queries were due, and
how long each took.
"""

from __future__ import annotations

import json
import queue
import re
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import mlperf_loadgen as lg
import numpy as np

OFFLINE_BATCH = 8


def wait(seconds: float, spin_ns: int) -> None:
    """Sleep most of the way and look at the clock for the rest."""
    end = time.perf_counter_ns() + round(seconds * 1e9)
    while (left := end - time.perf_counter_ns()) > 0:
        if left > spin_ns:
            time.sleep((left - spin_ns) / 1e9)


def main(request: dict[str, Any]) -> dict[str, Any]:
    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
    rng = np.random.default_rng(0)

    def issue(samples: Any) -> None:
        waiting.put([sample.id for sample in samples])

    def work() -> None:
        while (query := waiting.get()) is not None:
            size = OFFLINE_BATCH if request["scenario"] == "Offline" else len(query)
            for first in range(0, len(query), size):
                batch = query[first : first + size]
                seconds = request["base_s"] + len(batch) * request["per_item_s"]
                wait(
                    seconds * (rng.exponential() if request["random"] else 1.0), request["spin_ns"]
                )
                lg.QuerySamplesComplete([lg.QuerySampleResponse(i, 0, 0) for i in batch])

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    settings = lg.TestSettings()
    settings.scenario = getattr(lg.TestScenario, request["scenario"])
    settings.mode = lg.TestMode.PerformanceOnly
    settings.min_duration_ms = 0
    settings.min_query_count = settings.max_query_count = request["queries"]
    settings.server_target_qps = request["rate"]
    settings.server_target_latency_ns = round(request["limit_s"] * 1e9)
    settings.offline_expected_qps = request["queries"]
    with tempfile.TemporaryDirectory() as folder:
        log = lg.LogSettings()
        log.log_output.outdir = folder
        log.log_output.copy_summary_to_stdout = False
        log.enable_trace = True
        sut = lg.ConstructSUT(issue, lambda: None)
        library = lg.ConstructQSL(1024, 1024, lambda _: None, lambda _: None)
        lg.StartTestWithLogSettings(sut, library, settings, log)
        waiting.put(None)
        worker.join()
        lg.DestroyQSL(library)
        lg.DestroySUT(sut)
        summary = (Path(folder) / "mlperf_log_summary.txt").read_text()
        trace = (Path(folder) / "mlperf_log_trace.json").read_text()
    return {**timeline(trace), **parse(summary)}


def timeline(trace: str) -> dict[str, list[Any]]:
    """When each query was due, and its latency, from LoadGen's trace (not JSON through and through).

    A query is answered with the last of its samples; Offline has one, so there it is the samples that
    are told.
    """
    begun = re.findall(
        r'"name":"Sample","cat":"default","ph":"b".*?"ts":([0-9.]+)'
        r'.*?"sample_seq":(\d+),"query_seq":(\d+).*?"complete_ns":(\d+)',
        trace,
    )
    by_query = len({query for _, _, query, _ in begun}) > 1
    due: dict[int, float] = {}
    latency: dict[int, int] = {}
    for microseconds, sample, query, ns in begun:
        number = int(query if by_query else sample)
        due[number] = float(microseconds) / 1e6
        latency[number] = max(latency.get(number, 0), int(ns))
    order = sorted(due)
    return {"scheduled_s": [due[k] for k in order], "latency_ns": [latency[k] for k in order]}


def parse(summary: str) -> dict[str, Any]:
    """The figures of LoadGen's summary, in seconds."""
    percentiles = re.findall(r"^([0-9.]+) percentile latency \(ns\)\s*: (\d+)", summary, re.M)
    estimates = re.findall(r"Early stopping ([0-9.]+)th percentile estimate: (\d+)", summary)
    verdict = re.search(r"Early stopping satisfied: (Yes|No)", summary, re.I)
    throughput = re.search(r"^Samples per second: ([0-9.]+)", summary, re.M)
    return {
        "percentiles_s": {f"{float(p):g}": int(ns) / 1e9 for p, ns in percentiles},
        "estimates_s": {f"{float(p):g}": int(ns) / 1e9 for p, ns in estimates},
        "early_stopping": verdict.group(1) == "Yes" if verdict else None,
        "throughput": float(throughput.group(1)) if throughput else None,
        "summary": summary,
    }


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(main(json.loads(line))), flush=True)
