"""Our times against other harnesses', same model, threads and batch, in turn in one run.

``benchmark_app`` comes with OpenVINO, ``litert-benchmark`` with LiteRT; a bare loop around ONNX
Runtime stands for no harness at all. Each pair is measured several times in alternating order, and
the median ratio of the pairs is reported, since this machine may be busy at any moment.
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
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.executor import isolated
from bench.measure.backends import Feeds, litert_cpu, onnxruntime_cpu, openvino_cpu
from bench.measure.clock import WallClock
from bench.measure.models import fetch
from bench.measure.open_loop import ask, null_service, poisson_schedule, response_s
from bench.measure.recorder import Recorder
from bench.measure.service import Service
from bench.measure.tasks import ONE_STAGE, note_transcription, wake_word
from tests.evidence.record import save
from tests.models import onnx_model
from tests.plain_task import Plain

PAIRS = 9
THREADS = 2
SECONDS = 4.0
WARM_UP_S = 2.0
REQUESTS = 300
BARE_REQUESTS = {"basic-pitch": 2500, "one layer": 20_000}
RUNS = 5
LITERT_BATCH = 32
BIN = Path(sys.executable).parent
RATES = (1000, 2000, 5000, 10_000, 20_000, 30_000, 50_000, 80_000, 120_000)


def feeds() -> Feeds:
    task = note_transcription.build(note_transcription.Options(clips=1))
    name = "serving_default_input_2:0"
    task._input = name
    return task.preprocess(task.input(task.samples))


def service_of(session: Any, fed: Feeds) -> Service:
    return Service(
        Plain(fed), {ONE_STAGE: session}, WallClock(), Recorder("a", 0),
        np.random.default_rng(0), lambda *_: None,
    )  # fmt: skip


def served(session: Any, fed: Feeds, seconds: float) -> tuple[float, float]:
    """Median latency of a request, and requests per second, through our loop."""
    service = service_of(session, fed)
    gc.disable()
    try:
        service.closed_loop("warm-up", 1, 5, WARM_UP_S, WARM_UP_S)
        service.closed_loop("measured", 1, 1, seconds, seconds)
    finally:
        gc.enable()
    table = service.recorder.batches()
    rows = [k for k, phase in enumerate(table["phase"]) if phase == "measured"]
    began = np.array(table["started_ns"])[rows]
    ended = np.array(table["finished_ns"])[rows]
    latency = float(np.median(ended - began)) / 1e9
    return latency, float(len(rows) / ((ended.max() - began.min()) / 1e9))


def in_turn(
    ours: Callable[[], Any], theirs: Callable[[], Any], pairs: int = PAIRS
) -> list[tuple[Any, Any]]:
    """Pairs in alternating order."""
    measured = []
    for number in range(pairs):
        if number % 2:
            other = theirs()
            measured.append((ours(), other))
        else:
            measured.append((ours(), theirs()))
    return measured


def against_benchmark_app() -> dict[str, Any]:
    """OpenVINO, synchronous, one stream, compiled for the one shape."""
    path = fetch(note_transcription.ONNX)
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

    def ours() -> tuple[float, float]:
        # A process of its own each time, as theirs has: how memory happens to lie is worth 2 %.
        measured: tuple[float, float] = isolated(_openvino_served, path, 120.0, lambda *_: None)
        return measured

    return compared(in_turn(ours, theirs))


def _openvino_served(path: Path, report: Callable[[str, float], None]) -> tuple[float, float]:
    options = openvino_cpu.Options(shapes="static")
    session = openvino_cpu.load(path, options, THREADS, WallClock())
    return served(session, feeds(), SECONDS)


def against_litert_benchmark() -> dict[str, Any]:
    """LiteRT on the CPU. Theirs times the invocation alone, ours the copies in and out as well."""
    path = fetch(wake_word.WakeWord([]).files["embedding"][0])
    session = litert_cpu.load(path, litert_cpu.Options(), THREADS, WallClock())
    spec = session.inputs[0]
    shape = (LITERT_BATCH, *(size or 1 for size in spec.shape[1:]))
    fed = {spec.name: np.random.default_rng(0).random(shape, dtype=np.float32)}

    with tempfile.TemporaryDirectory() as folder:
        pinned, result = Path(folder) / "pinned.tflite", Path(folder) / "result.json"
        pinned.write_bytes(with_batch(path.read_bytes(), LITERT_BATCH))
        command = [
            str(BIN / "litert-benchmark"), "--model", str(pinned), "--num_threads", str(THREADS),
            "--num_runs", str(REQUESTS), "--warmup_runs", "20", "--result_json", str(result),
        ]  # fmt: skip

        def theirs() -> tuple[float, float]:
            subprocess.run(command, capture_output=True, check=True)
            latency = json.loads(result.read_text())["latency"]
            return latency["median_ms"] / 1e3, LITERT_BATCH * 1e3 / latency["avg_ms"]

        def ours() -> tuple[float, float]:
            latency, batches_per_s = served(session, fed, SECONDS)
            return latency, batches_per_s * LITERT_BATCH

        return compared(in_turn(ours, theirs))


def with_batch(model: bytes, batch: int) -> bytes:
    """The same LiteRT model for a fixed batch, the only kind that ``litert-benchmark`` runs.

    Its times have two decimals of a millisecond, hence a batch that takes several.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    read = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(bytearray(model), 0))
    for tensor in (tensor for graph in read.subgraphs for tensor in graph.tensors):
        constant = read.buffers[tensor.buffer].data is not None
        if not constant and tensor.shape is not None and len(tensor.shape):
            tensor.shape = [batch, *tensor.shape[1:]]
        tensor.shapeSignature = None
    builder = flatbuffers.Builder(len(model))
    builder.Finish(read.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def compared(pairs: Sequence[tuple[tuple[float, float], tuple[float, float]]]) -> dict[str, Any]:
    latency, rate = ([(ours[k], theirs[k]) for ours, theirs in pairs] for k in (0, 1))
    return {
        "latency_ratio": round(statistics.median(o / t for o, t in latency), 4),
        "throughput_ratio": round(statistics.median(o / t for o, t in rate), 4),
        "our_latency_ms": round(statistics.median(o for o, _ in latency) * 1e3, 4),
        "their_latency_ms": round(statistics.median(t for _, t in latency) * 1e3, 4),
        "pairs": len(pairs),
    }


def against_a_bare_loop() -> dict[str, Any]:
    """ONNX Runtime: what a request costs in our loop beside the call itself.

    Requests alternate one by one, with a second bare loop that shows how far apart two of the same
    kind come out. The small model shows the cost with little noise, the real one that it does not
    grow with the tensors.
    """
    with tempfile.TemporaryDirectory() as folder:
        one_layer = onnx_model(Path(folder) / "one-layer.onnx")
        small = {"x": np.random.default_rng(0).random((1, 4), dtype=np.float32)}
        cases = {
            "basic-pitch": (fetch(note_transcription.ONNX), dict(feeds())),
            "one layer": (one_layer, small),
        }
        return {name: bare_difference(*case, BARE_REQUESTS[name]) for name, case in cases.items()}


def bare_difference(path: Path, fed: Feeds, requests: int) -> dict[str, Any]:
    session = onnxruntime_cpu.load(path, onnxruntime_cpu.Options(), THREADS, WallClock())
    service, bare = service_of(session, fed), session._session

    def ours() -> float:
        return service.serve("measured", service.take(1)).service_s

    def theirs() -> float:
        start = time.perf_counter_ns()
        bare.run(None, fed)
        return (time.perf_counter_ns() - start) / 1e9

    sides = [ours, theirs, theirs]
    took = np.empty((requests + 20, len(sides)))
    gc.collect()
    gc.disable()
    try:
        for number in range(len(took)):
            for turn in range(len(sides)):
                side = (number + turn) % len(sides)
                took[number, side] = sides[side]() * 1e6
    finally:
        gc.enable()
    first, second, again = took[20:].T
    return {
        "difference_us": round(float(np.median(first - (second + again) / 2)), 2),
        "two_bare_loops_us": round(float(np.median(again - second)), 2),
        "our_latency_us": round(float(np.median(first)), 2),
        "their_latency_us": round(float(np.median(second)), 2),
        "requests": requests,
    }


def open_loop_overhead() -> dict[str, Any]:
    """Response time on a backend that takes no time, and the rate at which the rules say no."""
    figures: dict[str, Any] = {}
    sustained = 0
    for rate in RATES:
        runs = []
        for seed in range(RUNS):
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
