"""Mutated inputs: none may end in a traceback, hang, or give an exit code outside the table.

``python -m tests.evidence.fuzz --count 10000 --seed 1``. Case ``n`` of a seed is always the same; what
fails is kept in ``--keep``, smallest input first, and printed with its number. Every case runs the
command line in a process of its own, forked from one that has compiled and imported everything.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import cli, pipeline
from bench.errors import BenchError, InputError, Interrupted, OutputClosed, WorkerLost
from bench.folders import data_folder
from bench.prepare import Settings
from bench.simulate.run import prepare as compile_all
from tests.conftest import CASCADE, FAKE_SCENARIO

LIMIT_S = 20
"""Of processor time, in one case; a busy machine takes longer by the clock."""
CODES = {
    0, 1, 2, 5,
    *(kind.exit_code for kind in (BenchError, InputError, WorkerLost, Interrupted, OutputClosed)),
}  # fmt: skip

RICH = """\
schema_version: 1
name: rich
task: {name: synthetic, samples: 8, payload_bytes: 5000, sizes: [1, 2, 5], found: [0, 1, 3]}
workload:
  sources: 4
  arrivals: {name: gamma, rate: 6/min, cv: 2.5}
  active: {start: "08:00", end: "08:30"}
  sizes: {name: lognormal, p50: 3, p99: 20, most: 50}
objective:
  response: {percentile: 95, limit: 400 ms}
  accuracy: {metric: error_rate, at_most: 0 %}
  residency: region
  countries: [USA, DEU]
simulate: {replications: 2, days: 1, start: midnight, profile_uncertainty: true}
deployments:
  - name: cloud
    kind: real_time
    backend: {name: fake, base: 4 ms, per_item: 1 ms}
    device: this-host
    offer: civo/standard-2c-4g/any/on-demand
    batching: {name: dynamic, max_batch: 8, max_wait: 5 ms}
    scaling: {name: hpa, min_replicas: 1, max_replicas: 4, target: 60 %, period: 5 min}
    admission: {queue_limit: 50, timeout: 2 s, shed: {begin: 10, end: 40}}
    failures: {mtbf: 3 h, mttr: 5 min}
    in_flight: lost
    per_node: 2
    start_up:
      node: {p50: 40 s, p90: 60 s, p99: 2 min}
      image_pull: 10 s
    network:
      uplink: 4 Mbit/s
      downlink: 16 Mbit/s
      rtt: {p50: 30 ms, p90: 40 ms, p99: 90 ms}
      jitter: 5 ms
      loss: 1 %
      retransmission: 200 ms
      sites: 2
      outages: {mtbf: 10 h, mttr: 1 min}
      price: $0.05/GB
  - name: edge
    kind: edge
    backend: {name: fake, base: 9 ms, per_item: 1 ms}
    device: this-host-one-thread
    offer: edge/mini-pc
    fleet: 4
    duty_cycle: {period: 1 s, on: 500 ms}
    power_mode: {slowdown: 1.5, active: 12 W}
    battery:
      {capacity: 50 Wh, idle: 2 W, active: 10 W, charger: 30 W, charging: [{start: "00:00", end: "06:00"}]}
  - name: night
    kind: batch
    backend: {name: fake, base: 4 ms, per_item: 1 ms}
    device: this-host
    offer: aws/c7i.xlarge/us-east-1/on-demand
    batching: {name: greedy, max_batch: 8}
    window: {opens: "22:00", closes: "04:00"}
    checkpoint: {every: 1 min, cost: 2 s}
    spot: {mean_life: 4 h, notice: 2 min}
    start_up: {node: 60 s}
    network: {uplink: 4 Mbit/s, downlink: 16 Mbit/s, rtt: 40 ms}
"""
RICH += CASCADE.replace("place: batch\n", "place: batch\n        takes: found\n")
ARRIVALS = (
    "{name: poisson, rate: 6/min}",
    "{name: weibull, rate: 6/min, cv: 2}",
    "{name: periodic, period: 10 s, jitter: 1 s}",
    "{name: backlog, count: 50, after: 1 min}",
    "{name: closed-loop, think: 10 s}",
    "{name: diurnal, rate: 6/min}",
    "{name: mmpp, states: [{rate: 1/min, mean_length: 5 min}, {rate: 20/min, mean_length: 1 min}]}",
    "{name: trace, file: trace.csv}",
    "{name: trace, file: trace.csv, rate: 1/s, window: 30 s}",
    "{name: trace, file: trace.csv, sizes: pages}",
)
SCALINGS = (
    "{name: fixed, replicas: 2}",
    "{name: queue, max_replicas: 4, per_replica: 5}",
    "{name: scale-to-zero, max_replicas: 2}",
    '{name: schedule, steps: [{at: "06:00", replicas: 2}, {at: "20:00", replicas: 1}]}',
)
OVERRIDES = """\
schema_version: 1
rates:
  civo/standard-2c-4g/any/on-demand: {price: $0.02/h, provenance: assumed, source: a contract}
purchases:
  edge/mini-pc: {price: $400, provenance: assumed, source: a quotation}
assumptions:
  electricity: {value: $0.21/kWh, source: the bill of October}
"""
TRACE = "time_s,other,pages\n" + "".join(f"{t * 7.3:.3f},x,{1 + t % 7}\n" for t in range(120))

SCALARS = (
    "", "~", "0", "-1", "1", "2", "1.5", "1e999", "-1e999", "1e308", "5e-324", "NaN", "inf", "true",
    "!!bool maybe", "!!int +", "!!float ''", "!!binary aGk=", "99999999999999999999", "9" * 5000,
    "[]", "{}", "[1, 2]", "{a: 1}", "'x'", '"\\e[31m"', '"\\ud800"', '"\\0"', "'ß→∞'", "&a x", "*a",
    "0 s", "1 ns", "15 us", "1e-9 s", "300 years", "1e300 h", "-5 ms", "5 GB", "$1e999/h", "$-1/h",
    "$0", "0 %", "100 %", "101 %", "1e9/s", "1e-12/s", "24:00", "25:61", "2026-02-30", "none", "null",
    "../../etc/passwd", "/dev/zero", "a.py", "x" * 500, "1 kbit/s", "1e30 W", "1_000", "0x10", "1:30",
)  # fmt: skip
ODD_BYTES = (
    b"\0",
    b"\x1b",
    b"\xff",
    b"\xc3",
    b"\t",
    b"\r",
    b"\xef\xbb\xbf",
    b"\xe2\x80\xae",
    b"\x85",
)

Draw = random.Random


@dataclass(frozen=True)
class Base:
    """What the cases are made of."""

    folder: Path
    """With ``run``, a finished run of the plain scenario, and ``killed``, one to go on with."""


def prepare_base(folder: Path) -> Base:
    """Compile, and make the runs that are mutated."""
    compile_all()
    scenario = folder / "fake.yaml"
    scenario.write_text(FAKE_SCENARIO.replace("5000}", "5000, sizes: [1, 2, 5]}"))
    done = pipeline.run(scenario, folder / "run", Settings(engine="inline"))
    shutil.copytree(done.path, folder / "killed")
    header = json.loads((folder / "killed" / "run.json").read_text())
    (folder / "killed" / "run.json").write_text(json.dumps({**header, "status": "incomplete"}))
    for name in ("simulation.json", "comparison.json", "report.html"):
        (folder / "killed" / name).unlink()
    return Base(folder)


# Mutations of text.


def mutated_text(text: str, draw: Draw) -> bytes:
    """One to three changes of a document, of its values or of its bytes."""
    data = text.encode()
    for _ in range(draw.choice((1, 1, 2, 3))):
        data = draw.choice((_values, _values, _values, _lines, _bytes))(data, draw)
    return data


def _values(data: bytes, draw: Draw) -> bytes:
    """Put another value in the place of one."""
    text = data.decode(errors="replace")
    places = [
        (
            i + 2,
            min((p for p in (text.find(c, i + 2) for c in ",}\n]") if p > 0), default=len(text)),
        )
        for i in range(len(text))
        if text.startswith(": ", i)
    ]
    if not places:
        return data
    start, end = draw.choice(places)
    old = text[start:end]
    new = draw.choice(SCALARS)
    if draw.random() < 0.4 and old[:1].isdigit():  # the same unit, another number
        number = old.split()[0].rstrip("smhd/in%")
        factor = draw.choice((0, 1e-12, 1e-3, 0.5, 2, 1e3, 1e6, 1e12, 1e300))
        try:
            new = old.replace(number, f"{float(number) * factor:g}", 1)
        except ValueError:
            new = draw.choice(SCALARS)
    return (text[:start] + new + text[end:]).encode()


def _lines(data: bytes, draw: Draw) -> bytes:
    lines = data.split(b"\n")
    place = draw.randrange(len(lines))
    kind = draw.choice(("drop", "twice", "cut", "swap", "indent"))
    if kind == "drop":
        del lines[place]
    elif kind == "twice":
        lines.insert(place, lines[place])
    elif kind == "cut":
        lines = lines[: place + 1]
    elif kind == "swap":
        other = draw.randrange(len(lines))
        lines[place], lines[other] = lines[other], lines[place]
    else:
        lines[place] = b"  " + lines[place]
    return b"\n".join(lines)


def _bytes(data: bytes, draw: Draw) -> bytes:
    if not data:
        return data
    place = draw.randrange(len(data))
    kind = draw.choice(("put", "flip", "cut", "drop"))
    if kind == "put":
        return data[:place] + draw.choice(ODD_BYTES) + data[place:]
    if kind == "flip":
        return data[:place] + bytes([data[place] ^ (1 << draw.randrange(8))]) + data[place + 1 :]
    return data[:place] if kind == "cut" else data[:place] + data[place + draw.randrange(1, 20) :]


# Mutations of files.


def mutate_file(path: Path, draw: Draw) -> str:
    """Change, or replace, a file of a run or of the catalogue; what was done."""
    kind = draw.choice(
        ("value",) * 6 + ("bytes",) * 2 + ("empty", "missing", "folder", "pipe", "zero")
    )
    if kind == "value" and path.suffix == ".json":
        _mutate_json(path, draw)
    elif kind in ("value", "bytes"):
        change = _bytes if path.suffix in (".parquet", ".json") else mutated_any
        path.write_bytes(change(path.read_bytes(), draw))
    else:
        path.unlink()
        if kind == "empty":
            path.touch()
        elif kind == "folder":
            path.mkdir()
        elif kind == "pipe":
            os.mkfifo(path)
        elif kind == "zero":
            path.symlink_to("/dev/zero")
    return f"{kind} {path.name}"


def mutated_any(data: bytes, draw: Draw) -> bytes:
    return mutated_text(data.decode(errors="replace"), draw)


JSON_VALUES = (
    None, True, 0, -1, 1, 1e300, -1e300, 10**30, 0.5, "", "x", "\x1b[2J", [], {}, [1], {"a": 1}, "1e999",
)  # fmt: skip


def _mutate_json(path: Path, draw: Draw) -> None:
    document = json.loads(path.read_text())
    places = list(_places(document))
    if not places:
        return
    inside, key = draw.choice(places)
    kind = draw.choice(("set", "set", "set", "scale", "drop"))
    old = inside[key]
    if kind == "drop":
        del inside[key]
    elif kind == "scale" and isinstance(old, int | float) and not isinstance(old, bool):
        inside[key] = old * draw.choice((-1, 0, 1e-9, 1e9))
    else:
        inside[key] = draw.choice(JSON_VALUES)
    path.write_text(json.dumps(document))


def _places(value: object) -> Iterator[tuple[object, object]]:  # type: ignore[misc]
    items = value.items() if isinstance(value, dict) else enumerate(value)  # type: ignore[arg-type]
    for key, inner in items:
        yield value, key
        if isinstance(inner, dict | list):
            yield from list(_places(inner))[:200]


# Cases: each writes its input into an empty folder, and gives the command line.


def a_scenario(here: Path, base: Base, draw: Draw) -> list[str]:
    text = draw.choice((RICH, RICH, FAKE_SCENARIO))
    if draw.random() < 0.5:
        text = text.replace("{name: gamma, rate: 6/min, cv: 2.5}", draw.choice(ARRIVALS))
    if draw.random() < 0.3:
        text = text.replace(
            "{name: hpa, min_replicas: 1, max_replicas: 4, target: 60 %, period: 5 min}",
            draw.choice(SCALINGS),
        )
    if draw.random() < 0.1:
        text += "sweep:\n  deployments.cloud.per_node: [1, 2]\n  workload.sources: [2, 4]\n"
    (here / "trace.csv").write_text(TRACE)
    (here / "s.yaml").write_bytes(mutated_text(text, draw))
    command = ["simulate", "s.yaml", "--profiles", str(base.folder / "run"), "--engine", "inline"]
    return command + draw.choice(([], [], ["--json"], ["--out", "out"], ["--method", "reference"]))


def a_trace(here: Path, base: Base, draw: Draw) -> list[str]:
    arrivals = draw.choice(ARRIVALS[-2:])
    text = FAKE_SCENARIO.replace("{name: poisson, rate: 6/min}", arrivals)
    (here / "s.yaml").write_text(text)
    (here / "trace.csv").write_text(TRACE)
    change = draw.choice((_bytes, _lines, _cells))
    for _ in range(draw.choice((1, 1, 3))):
        (here / "trace.csv").write_bytes(change((here / "trace.csv").read_bytes(), draw))
    if draw.random() < 0.1:
        mutate_file(here / "trace.csv", draw)
    return ["simulate", "s.yaml", "--profiles", str(base.folder / "run"), "--engine", "inline"]


def _cells(data: bytes, draw: Draw) -> bytes:
    lines = data.decode(errors="replace").split("\n")
    place = draw.randrange(len(lines))
    cell = draw.choice((*SCALARS, "2026-11-25 10:00:00", "1700000000000", "-5", "1e18", "1e300"))
    lines[place] = f"{cell},{lines[place].partition(',')[2]}"
    return "\n".join(lines).encode()


def an_override(here: Path, base: Base, draw: Draw) -> list[str]:
    (here / "o.yaml").write_bytes(mutated_text(OVERRIDES, draw))
    (here / "s.yaml").write_text(FAKE_SCENARIO)
    return [
        "simulate", "s.yaml", "--profiles", str(base.folder / "run"), "--engine", "inline",
        "--overrides", "o.yaml",
    ]  # fmt: skip


def a_catalogue(here: Path, base: Base, draw: Draw) -> list[str]:
    source = data_folder("hardware_profiles")
    shutil.copytree(source, here / "hardware_profiles", copy_function=os.link)
    files = sorted(
        p for p in (here / "hardware_profiles").rglob("*") if p.suffix in (".yaml", ".csv")
    )
    path = draw.choice(files)
    data = path.read_bytes()
    path.unlink()  # it is a link to the true one
    path.write_bytes(data)
    mutate_file(path, draw)
    os.environ["BENCH_DATA"] = str(here)
    (here / "s.yaml").write_text(FAKE_SCENARIO)
    return draw.choice(
        (
            ["simulate", "s.yaml", "--profiles", str(base.folder / "run"), "--engine", "inline"],
            ["list", "offers"],
            ["list", "devices"],
        )
    )


def a_run(here: Path, base: Base, draw: Draw) -> list[str]:
    which = draw.choice(("run", "killed"))
    shutil.copytree(base.folder / which, here / "R")
    files = sorted(p for p in (here / "R").rglob("*") if p.suffix in (".json", ".parquet"))
    mutate_file(draw.choice(files), draw)
    (here / "s.yaml").write_text(FAKE_SCENARIO)
    if which == "killed":
        return ["run", "--resume", "R", "--engine", "inline"]
    return draw.choice(
        (
            ["report", "R"],
            ["trace", "R", "--deployment", "cloud", "--start", "08:10", "--length", "10 s"],
            ["simulate", "s.yaml", "--profiles", "R", "--engine", "inline"],
        )
    )


KINDS: tuple[Callable[[Path, Base, Draw], list[str]], ...] = (
    a_scenario, a_scenario, a_scenario, a_trace, an_override, a_catalogue, a_run, a_run,
)  # fmt: skip


@dataclass(frozen=True)
class Fault:
    """A case that ended as none may."""

    number: int
    command: list[str]
    what: str
    said: str


def one(number: int, seed: int, base: Base, scratch: Path) -> Fault | None:
    """Play one case in a process of its own."""
    draw = random.Random(f"{seed}/{number}")  # noqa: S311
    here = scratch / str(number)
    here.mkdir()
    kind = draw.choice(KINDS)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        _child(kind, here, base, draw, write)
    os.close(write)
    with os.fdopen(read) as pipe:
        command = json.loads(pipe.readline() or "[]")
    status = _waited(child)
    said = (here / "stderr").read_text(errors="replace") if (here / "stderr").exists() else ""
    what = _fault(status, said)
    if what is None:
        shutil.rmtree(here, ignore_errors=True)
        return None
    return Fault(number, command, what, said[-2000:])


def _child(
    kind: Callable[[Path, Base, Draw], list[str]], here: Path, base: Base, draw: Draw, pipe: int
) -> None:
    code = 99
    try:
        os.chdir(here)
        command = kind(here, base, draw)
        os.write(pipe, (json.dumps(command) + "\n").encode())
        os.close(pipe)
        sys.argv = ["bench", *command]
        sys.stdin.close()
        sys.stdout = (here / "stdout").open("w")
        sys.stderr = (here / "stderr").open("w")
        resource.setrlimit(resource.RLIMIT_CPU, (LIMIT_S, LIMIT_S + 1))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        cli.main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 99
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _waited(child: int) -> int:
    """The status of the child, which is ended where it waits for something that never comes."""
    ends = time.monotonic() + 10 * LIMIT_S
    while time.monotonic() < ends:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return status
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


def _fault(status: int, said: str) -> str | None:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        slow = number in (signal.SIGXCPU, signal.SIGKILL)
        return f"hung for {LIMIT_S} s" if slow else f"ended by signal {number}"
    code = os.WEXITSTATUS(status)
    if code not in CODES:
        return f"exit code {code}"
    for sign in ("Traceback", "Warning:", "a fault of the program"):
        if sign in said:
            return f"says {sign!r}"
    return None


def play(numbers: range, seed: int, base: Base, keep: Path) -> list[Fault]:
    """All these cases; the input of a failed one stays in ``keep``."""
    keep.mkdir(parents=True, exist_ok=True)
    faults = []
    for number in numbers:
        if fault := one(number, seed, base, keep):
            faults.append(fault)
            print(
                f"{number}: {fault.what}: bench {' '.join(fault.command)}\n   {fault.said[-300:]}"
            )
    return faults


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--keep", type=Path, default=Path("fuzz-failures"))
    given = parser.parse_args()
    keep = given.keep.resolve()
    with tempfile.TemporaryDirectory() as folder:
        base = prepare_base(Path(folder))
        failed = sum(
            os.waitstatus_to_exitcode(os.waitpid(player, 0)[1])
            for player in [_player(job, given, base, keep) for job in range(given.jobs)]
        )
    print(f"{given.count:,} cases, {failed} failed" + (f": see {keep}" if failed else ""))
    if not failed:
        shutil.rmtree(keep, ignore_errors=True)
    sys.exit(1 if failed else 0)


def _player(job: int, given: argparse.Namespace, base: Base, keep: Path) -> int:
    """A process that plays every so many-th case; its exit code tells how many failed."""
    player = os.fork()
    if player == 0:
        numbers = range(given.first + job, given.first + given.count, given.jobs)
        failed = len(play(numbers, given.seed, base, keep))
        sys.stdout.flush()
        os._exit(min(failed, 100))
    return player


if __name__ == "__main__":
    main()
