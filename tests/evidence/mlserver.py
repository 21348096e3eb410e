"""How far forecasts are from a real MLServer that is only seen from outside.

``python -m tests.evidence.mlserver``: ``--minutes`` for each session, ``--levels``, ``--arrivals``. MLServer
comes from PyPI into an environment of its own, or ``--python`` names one that has it, and ONNX Runtime.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
import venv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from bench.cores import divided, stay_on
from bench.measure.exports import exported
from bench.measure.tasks.text_embedding import RECIPE
from bench.prepare import Settings, prepare
from bench.simulate.run import prepare as compile_all
from bench.validate import checked, observe, session_of, validate
from tests.busy import until
from tests.evidence.fidelity import ARRIVALS, quiet
from tests.evidence.record import save

NEEDED = ("mlserver==1.7.1", "onnxruntime", "uvloop<0.22")
"""Its workers do not start with a newer uvloop, which makes no event loop before one runs."""
MODEL, MOST, WAIT_S = "embedding", 4, 0.01
TASK = Path(__file__).with_name("padded_embedding.py")
BATCHING = f"{{name: adaptive, max_batch: {MOST}, max_wait: {1000 * WAIT_S:g} ms}}"
"""As ``model-settings.json`` says it."""
LEVELS = [0.3, 0.5, 0.7, 0.8]
SCENARIO = """\
schema_version: 1
name: mlserver
task: {{name: "{task}"}}
workload:
  sources: 1
  arrivals: {arrivals}
objective: {{response: {{percentile: 99, limit: 100 ms}}}}
deployments:
  - name: theirs
    kind: real_time
    backend: {{name: open-inference, url: "{url}", model: {model}}}
    device: this-host
    offer: civo/standard-2c-4g/any/on-demand
    batching: {batching}
    scaling: {{name: fixed, replicas: 1}}
    start_up: {{node: 60 s}}
    network: {{uplink: 1 Gbit/s, downlink: 1 Gbit/s, rtt: 1 ms}}
"""
START = "from mlserver.cli import main; main()"
END_S = 30.0


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=6.0)
    parser.add_argument("--levels", type=float, nargs="+", default=LEVELS)
    parser.add_argument("--arrivals", nargs="+", choices=ARRIVALS, default=list(ARRIVALS))
    parser.add_argument("--python", type=Path, help="of an environment that has MLServer")
    parser.add_argument("--keep", type=Path, help="a folder for the rows that were observed")
    asked = parser.parse_args()
    compile_all()
    sessions = {}
    with tempfile.TemporaryDirectory() as place, serving(Path(place), asked.python) as url:
        for arrivals in asked.arrivals:
            name = f"MLServer, {arrivals}"
            sessions[name] = session(name, url, arrivals, asked.levels, asked.minutes, asked.keep)
            save("mlserver", {"batching": BATCHING, "sessions": sessions})


def session(
    name: str, url: str, arrivals: str, levels: Sequence[float], minutes: float, keep: Path | None
) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mlserver.yaml"
        path.write_text(
            SCENARIO.format(
                task=TASK, arrivals=ARRIVALS[arrivals], url=url, model=MODEL, batching=BATCHING
            )
        )
        scenario = prepare(path, Settings())
    asked = checked(scenario, session_of("theirs", levels, 60 * minutes, 1))
    record, table = observe(scenario, asked, int(time.time()), quiet)
    if keep is not None:
        table.to_parquet(keep / f"{name}.parquet")
        (keep / f"{name}.json").write_text(record.model_dump_json())
    found = validate(scenario, asked, record, table, 1, quiet)
    assert found.outside is not None
    return {
        "minutes": minutes,
        "drift": found.drift.spread,
        "capacity": record.capacity,
        "service_s": found.service_s,
        "way_s": found.way_s,
        "outside": found.outside.model_dump(mode="json"),
        "levels": [
            level.model_dump(mode="json", exclude={"live_curve_s", "simulated_curve_s"})
            for level in found.levels
        ],
    }


@contextmanager
def serving(folder: Path, python: Path | None) -> Iterator[str]:
    """A real MLServer with one worker, on loopback, as long as ``with`` lasts."""
    python = python or _environment(folder / "environment")
    http, grpc, metrics = _free_ports(3)
    _write(folder / "settings.json", {
        "host": "127.0.0.1", "http_port": http, "grpc_port": grpc, "metrics_port": metrics,
        "parallel_workers": 1, "debug": False,
    })  # fmt: skip
    _write(folder / "model-settings.json", {
        "name": MODEL, "implementation": "served_model.OnnxModel",
        "parameters": {"uri": exported(RECIPE, "onnx").origin.removeprefix("file:")},
        "max_batch_size": MOST, "max_batch_time": WAIT_S,
        "inputs": [
            {"name": name, "datatype": "INT64", "shape": [-1, -1]}
            for name in ("input_ids", "attention_mask")
        ],
        "outputs": [{"name": "sentence", "datatype": "FP32", "shape": [-1, 384]}],
    })  # fmt: skip
    log, url = folder / "log", f"http://127.0.0.1:{http}"
    with log.open("w") as said:
        server = subprocess.Popen(
            [python, "-c", START, "start", folder], stdout=said, stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        )  # fmt: skip
        try:
            try:
                until(lambda: _is_ready(url), "MLServer is ready", server)
            except AssertionError as error:
                raise SystemExit(f"{error}: {log.read_text()[-20000:]}") from None
            _set_apart(server.pid)
            yield url
        finally:
            server.terminate()
            server.wait(END_S)


def _set_apart(pid: int) -> None:
    """The worker on a core of its own, and all else on the others, as `bench serve` has it."""
    own, others = divided(1)
    if own is None or others is None:
        return
    server = psutil.Process(pid)
    for worker in server.children(recursive=True):
        worker.cpu_affinity(list(own))
    server.cpu_affinity(list(others))
    stay_on(others)


def _environment(place: Path) -> Path:
    """The Python of one that has MLServer, which holds other versions of packages than this project."""
    venv.create(place, with_pip=True)
    python = place / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", *NEEDED], check=True)
    return python


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _write(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document))


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/v2/models/{MODEL}/ready", timeout=10):  # noqa: S310
            return True
    except (urllib.error.URLError, OSError):
        return False


if __name__ == "__main__":
    main()
