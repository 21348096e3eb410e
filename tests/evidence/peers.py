"""Our times against other harnesses', same model, threads and batch, in turn in one run.

``benchmark_app`` comes with OpenVINO, ``litert-benchmark`` with LiteRT; a bare loop around ONNX
Runtime stands for no harness at all. Each pair is measured several times in alternating order, and
the medians of the pairs are compared, since this machine may be busy at any moment.
"""

from __future__ import annotations

import gc
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.measure.backends import Feeds, litert_cpu, onnxruntime_cpu, openvino_cpu
from bench.measure.clock import WallClock
from bench.measure.models import fetch
from bench.measure.open_loop import ask, null_service, poisson_schedule, response_s
from bench.measure.recorder import Recorder
from bench.measure.service import Service
from bench.measure.tasks import ONE_STAGE, note_transcription
from tests.evidence.record import save
from tests.plain_task import Plain

PAIRS = 5
THREADS = 2
SECONDS = 4.0
REQUESTS = 300
BIN = Path(sys.executable).parent
RATES = (1000, 2000, 5000, 10_000, 20_000, 30_000)


def feeds() -> Feeds:
    task = note_transcription.build(note_transcription.Options(clips=1))
    name = "serving_default_input_2:0"
    task._input = name
    return task.preprocess(task.input(task.samples))


def served(session: Any, fed: Feeds, seconds: float) -> tuple[float, float]:
    """Median latency of a request, and requests per second, through our loop."""
    service = Service(
        Plain(fed), {ONE_STAGE: session}, WallClock(), Recorder("a", 0),
        np.random.default_rng(0), lambda *_: None,
    )  # fmt: skip
    gc.disable()
    try:
        service.closed_loop("warm-up", 1, 20, 0, 5)
        service.closed_loop("measured", 1, 1, seconds, seconds)
    finally:
        gc.enable()
    table = service.recorder.batches()
    rows = [k for k, phase in enumerate(table["phase"]) if phase == "measured"]
    began = np.array(table["started_ns"])[rows]
    ended = np.array(table["finished_ns"])[rows]
    latency = float(np.median(ended - began)) / 1e9
    return latency, len(rows) / ((ended.max() - began.min()) / 1e9)


def in_turn(ours: Callable[[], Any], theirs: Callable[[], Any]) -> list[tuple[Any, Any]]:
    """Pairs in alternating order."""
    pairs = []
    for number in range(PAIRS):
        if number % 2:
            other = theirs()
            pairs.append((ours(), other))
        else:
            pairs.append((ours(), theirs()))
    return pairs


def against_benchmark_app() -> dict[str, Any]:
    """OpenVINO, synchronous, one stream."""
    path = fetch(note_transcription.ONNX)
    session = openvino_cpu.load(path, openvino_cpu.Options(), THREADS, WallClock())
    fed = feeds()
    command = [
        str(BIN / "benchmark_app"), "-m", str(path), "-d", "CPU", "-api", "sync", "-hint", "none",
        "-nstreams", "1", "-nthreads", str(THREADS), "-infer_precision", "f32",
        "-shape", "[1,43844,1]", "-t", f"{SECONDS:.0f}",
    ]  # fmt: skip

    def theirs() -> tuple[float, float]:
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        median = re.search(r"Median:\s+([0-9.]+) ms", said)
        count = re.search(r"Count:\s+([0-9]+) iterations", said)
        lasted = re.search(r"Duration:\s+([0-9.]+) ms", said)
        if not (median and count and lasted):
            raise RuntimeError(f"benchmark_app said something else: {said[-500:]}")
        # Its own FPS of a synchronous run is 1000 / median; this is what really went through.
        return float(median[1]) / 1e3, int(count[1]) / (float(lasted[1]) / 1e3)

    return compared(in_turn(lambda: served(session, fed, SECONDS), theirs))


def against_litert_benchmark() -> dict[str, Any]:
    """LiteRT on the CPU."""
    path = fetch(note_transcription.LITERT)
    session = litert_cpu.load(path, litert_cpu.Options(), THREADS, WallClock())
    fed = feeds()

    def theirs() -> tuple[float, float]:
        with tempfile.TemporaryDirectory() as folder:
            result = Path(folder) / "result.json"
            subprocess.run(
                [
                    str(BIN / "litert-benchmark"), "--model", str(path), "--num_threads",
                    str(THREADS), "--num_runs", str(REQUESTS), "--warmup_runs", "20",
                    "--result_json", str(result),
                ],
                capture_output=True, check=True,
            )  # fmt: skip
            return read_litert(json.loads(result.read_text()))

    return compared(in_turn(lambda: served(session, fed, SECONDS), theirs))


def read_litert(result: Mapping[str, Any]) -> tuple[float, float]:
    """Median latency in seconds and runs per second, from its JSON."""
    return result["latency"]["median_ms"] / 1e3, 1e3 / result["latency"]["avg_ms"]


def compared(pairs: Sequence[tuple[tuple[float, float], tuple[float, float]]]) -> dict[str, Any]:
    ours, theirs = zip(*pairs, strict=True)
    latency = [statistics.median(side[0] for side in sides) for sides in (ours, theirs)]
    rate = [statistics.median(side[1] for side in sides) for sides in (ours, theirs)]
    return {
        "latency_ratio": round(latency[0] / latency[1], 4),
        "throughput_ratio": round(rate[0] / rate[1], 4),
        "our_latency_ms": round(latency[0] * 1e3, 4),
        "their_latency_ms": round(latency[1] * 1e3, 4),
        "pairs": PAIRS,
    }


def against_a_bare_loop() -> dict[str, Any]:
    """ONNX Runtime: what a request costs in our loop beside the call itself."""
    path = fetch(note_transcription.ONNX)
    session = onnxruntime_cpu.load(path, onnxruntime_cpu.Options(), THREADS, WallClock())
    fed = dict(feeds())
    bare_session = session._session

    def bare() -> float:
        times = []
        for _ in range(20):
            bare_session.run(None, fed)
        for _ in range(REQUESTS):
            start = time.perf_counter_ns()
            bare_session.run(None, fed)
            times.append(time.perf_counter_ns() - start)
        return float(np.median(times)) / 1e9

    pairs = in_turn(lambda: served(session, fed, SECONDS)[0], bare)
    ours, theirs = (statistics.median(side) for side in zip(*pairs, strict=True))
    return {
        "difference_us": round((ours - theirs) * 1e6, 2),
        "our_latency_ms": round(ours * 1e3, 4),
        "their_latency_ms": round(theirs * 1e3, 4),
        "pairs": PAIRS,
    }


def open_loop_overhead() -> dict[str, Any]:
    """Response time on a backend that takes no time, and the rate at which the rules say no."""
    figures: dict[str, Any] = {}
    sustained = 0
    for rate in RATES:
        runs = []
        for seed in range(PAIRS):
            recorder = Recorder("null", 0)
            schedule = poisson_schedule(rate, 3.0, np.random.default_rng(seed))
            gc.collect()
            gc.disable()
            try:
                late = ask(null_service(recorder), "null", schedule)
            finally:
                gc.enable()
            response = response_s(recorder)
            runs.append((late, *np.quantile(response, [0.5, 0.99])))
        late, p50, p99 = (statistics.median(column) for column in zip(*runs, strict=True))
        figures[f"{rate}/s"] = {
            "p50_us": round(p50 * 1e6, 1),
            "p99_us": round(p99 * 1e6, 1),
            "late_share": round(late, 5),
        }
        if late <= 0.01 and p99 <= 0.005:
            sustained = rate
    return {"rates": figures, "sustained_per_s": sustained}


def main() -> None:
    save(
        "peers",
        {
            "onnxruntime_bare_loop": against_a_bare_loop(),
            "openvino_benchmark_app": against_benchmark_app(),
            "litert_benchmark": against_litert_benchmark(),
            "open_loop_null_backend": open_loop_overhead(),
        },
    )


if __name__ == "__main__":
    main()
