"""What is told of a server from outside: waves whose truth is known, and a live server that says nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest

from bench.batching import Rule, constant
from bench.errors import InputError, MeasurementInvalid
from bench.observe import OBSERVED, Observed
from bench.scenario import Choice
from bench.validate.batches import batches_of
from bench.validate.blocks import WAVE_OUTSIDE
from bench.validate.outside import split, told, told_rule
from bench.validate.validation import Block
from bench.validate.way import way_of
from tests.busy import until

MS = 1_000_000
FULL = 4


@dataclass(frozen=True)
class Truth:
    """A server with one worker, without any chance in it."""

    full: int = FULL
    wait: int = 5 * MS
    base: int = 10 * MS
    item: int = 3 * MS
    there: int = 2 * MS
    back: int = 1 * MS
    up: int = 200_000
    """Between requests of a wave, as they reach the server, …"""
    down: int = 100_000
    """… and between answers of a batch, as they reach whoever asked."""

    def service(self, size: int) -> int:
        return self.base + self.item * size

    def wave(self, count: int) -> Observed:
        """What is seen of so many requests that are sent together."""
        rows = np.zeros(count, OBSERVED)
        rows["queue"] = rows["service"] = rows["in_batch"] = rows["server"] = -1
        rows["status"] = 200
        reached = self.there + self.up * np.arange(count)
        first, free = 0, 0
        while first < count:
            closes = reached[first] + self.wait
            size = min(int(np.sum(reached[first:] <= closes)), self.full)
            last = first + size
            formed = reached[last - 1] if size == self.full else closes
            free = max(free, int(formed)) + self.service(size)
            rows["finished"][first:last] = free + self.back + self.down * np.arange(size)
            first = last
        return rows


def seen(truth: Truth, sizes: Sequence[int]) -> tuple[Block, Observed]:
    return Block(waves=list(sizes)), np.concatenate([truth.wave(size) for size in sizes])


ONCE = [*range(1, WAVE_OUTSIDE * FULL + 1), *[1] * FULL]


@pytest.mark.parametrize("wait_ms", [3, 5, 21, 23, 50])
@pytest.mark.parametrize("up", [0, 200_000])
def test_service_times_and_the_way_are_told(wait_ms: int, up: int) -> None:
    """Whether smaller batches wait for longer than a full one takes, or not; to the microsecond that there
    is of chance."""
    truth = Truth(wait=wait_ms * MS, up=up)
    block, rows = seen(truth, ONCE * 4)
    rows["finished"] += np.random.default_rng(1).integers(-500, 500, len(rows))
    (found,), said = told([block], [rows], constant(FULL, truth.wait))
    assert (said.left_out, said.doubts) == (0, [])
    assert said.waves == len(block.waves)
    batches = batches_of(found)
    for size in range(1, FULL + 1):
        np.testing.assert_allclose(batches.of_size(size), truth.service(size) / 1e9, atol=3e-6)
    way = way_of(np.split(found, np.cumsum(block.waves)[:-1]))
    np.testing.assert_allclose(way.alone, truth.there + truth.back, atol=2_000)
    np.testing.assert_allclose((way.up, way.down), (up, truth.down), atol=1_000)


def test_one_at_a_time_is_told_too() -> None:
    truth = Truth(full=1, wait=0)
    block, rows = seen(truth, [1, 2, 3] * 5)
    (found,), said = told([block], [rows], constant(1, 0))
    assert said.left_out == 0
    np.testing.assert_allclose(batches_of(found).of_size(1), truth.service(1) / 1e9, rtol=1e-6)


def test_what_was_seen_stays_as_it_was() -> None:
    block, rows = seen(Truth(), ONCE)
    before = rows.copy()
    told([block], [rows], constant(FULL, 5 * MS))
    assert (rows == before).all()


def test_blocks_of_load_are_left_alone() -> None:
    block, rows = seen(Truth(), ONCE)
    load = Truth().wave(6)
    (_, found), _ = told([block, Block(level=0.5)], [rows, load], constant(FULL, 5 * MS))
    assert (found == load).all()


@pytest.mark.parametrize("full", [1, 2, 3, 8])
def test_a_server_that_batches_otherwise_is_named(full: int) -> None:
    rng = np.random.default_rng(full)
    block, rows = seen(Truth(full=full, up=0, down=0), ONCE * 5)
    rows["finished"] += rng.integers(0, MS // 2, len(rows))
    with pytest.raises(MeasurementInvalid, match="does not batch as the scenario says"):
        told([block], [rows], constant(FULL, 5 * MS))


@pytest.mark.parametrize(
    ("wait_ms", "said"), [(20, "10 ms longer"), (0, "7 ms less long"), (10, None)]
)
def test_waiting_that_is_not_as_said_is_doubted(wait_ms: int, said: str | None) -> None:
    """A wait that is shorter is told as far as it would make the way negative."""
    block, rows = seen(Truth(wait=wait_ms * MS, up=0), ONCE * 3)
    _, found = told([block], [rows], constant(FULL, 10 * MS))
    assert [said in doubt for doubt in found.doubts if said] == [True] * (said is not None)
    assert bool(found.doubts) == (said is not None)


def test_a_wave_that_was_disturbed_is_left_out() -> None:
    block, rows = seen(Truth(), ONCE * 3)
    ends = np.cumsum(block.waves)
    eight = block.waves.index(8)
    rows["finished"][ends[eight] - 1] += 900 * MS
    six = block.waves.index(6)
    rows["status"][ends[six] - 1] = 503
    (found,), said = told([block], [rows], constant(FULL, 5 * MS))
    assert said.left_out == 1
    assert said.waves == len(block.waves) - 2
    batches = batches_of(found)
    for size in range(1, FULL + 1):
        np.testing.assert_allclose(batches.of_size(size), Truth().service(size) / 1e9, rtol=1e-6)


@pytest.mark.parametrize(
    ("rule", "count", "sizes"),
    [
        (constant(4, 5), 3, [3]),
        (constant(4, 5), 4, [4]),
        (constant(4, 5), 7, [4, 3]),
        (constant(4, 0), 1, [1]),
        (constant(4, 0), 7, [1, 4, 2]),
        (constant(1, 0), 2, [1, 1]),
    ],
)
def test_how_a_wave_is_split(rule: Rule, count: int, sizes: list[int]) -> None:
    assert split(rule, count) == sizes


@pytest.mark.parametrize(
    ("batching", "said"),
    [
        ({"name": "fixed", "batch": 4}, "has no bound"),
        ({"name": "deadline", "max_batch": 4, "deadline": 0.1}, "depends on their"),
    ],
)
def test_batching_that_cannot_be_told_from_outside(batching: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        told_rule(Choice.model_validate(batching))


# A live one --------------------------------------------------------------------------------------

LONG_S = 900.0
"""Nothing here takes so long, however busy the machine, and the simulator not yet compiled."""
SHARE = 0.1
"""Service times are told within it, of what the server itself saw."""
SCENARIO = """\
schema_version: 1
name: theirs
task: {name: tensors, samples: 8}
workload:
  sources: 1
  arrivals: {name: poisson, rate: 10/s}
objective: {response: {percentile: 99, limit: 100 ms}}
deployments:
  - name: theirs
    kind: real_time
    backend: {name: open-inference, url: "URL", model: m, headers: {X-Api-Key: "${MODEL_KEY}"}}
    device: this-host
    offer: civo/standard-2c-4g/any/on-demand
    batching: {name: dynamic, max_batch: 4, max_wait: 30 ms}
    scaling: {name: fixed, replicas: 1}
    start_up: {node: 60 s}
    network: {uplink: 1 Gbit/s, downlink: 1 Gbit/s, rtt: 1 ms}
"""
SECRET = "s3cr3t-of-theirs"  # noqa: S105


def scenario_of(url: str, batching: str | None = None) -> Path:
    path, text = Path("theirs.yaml"), SCENARIO.replace("URL", url)
    if batching is not None:
        text = text.replace("{name: dynamic, max_batch: 4, max_wait: 30 ms}", batching)
    path.write_text(text)
    return path


def asked(path: Path, *more: str, **how: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "bench", "validate", str(path), "--out", "run", *more],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "MODEL_KEY": SECRET}, **how,
    )  # fmt: skip


def serving(**how: Any) -> Any:
    pytest.importorskip("aiohttp", reason="the extra serve is not installed")
    from tests import batching_server

    return batching_server.serving(**{"wait_s": 0.03, "token": SECRET, **how})


@pytest.mark.slow
def test_a_server_of_others_is_validated_from_outside() -> None:
    from tests.batching_server import took

    with serving() as url:
        running = asked(scenario_of(url), "--minutes", "0.2", "--levels", "0.5", "--json")
        said, complaints = running.communicate(timeout=LONG_S)
        truth = took(url)
    assert running.returncode == 0, complaints
    found = json.loads(said)
    for size, seconds in found["service_s"].items():
        assert seconds == pytest.approx(np.mean(truth[int(size)]), rel=SHARE)
    (level,) = found["levels"]
    assert {one["figure"] for one in level["compared"]} == {
        "mean", "p50", "p90", "p95", "p99", "throughput", "slo_attainment",
    }  # fmt: skip
    assert found["service"] is None
    assert found["outside"]["waves"] > found["outside"]["left_out"]
    observed = json.loads(Path("run/observed.json").read_text())
    assert observed["inside"] is False
    table = pd.read_parquet("run/observed.parquet")
    assert set(table["service"]) == {-1}  # as it was seen; what is told from it is another matter
    assert set(table["status"]) == {200}
    assert "told from outside" in Path("run/validation.html").read_text()
    for path in Path("run").rglob("*"):
        assert path.is_dir() or SECRET.encode() not in path.read_bytes(), path


@pytest.mark.slow
def test_batching_that_the_server_does_not_do_is_said() -> None:
    with serving(most=1, wait_s=0.0) as url:
        running = asked(scenario_of(url), "--minutes", "0.2", "--levels", "0.5")
        _, said = running.communicate(timeout=LONG_S)
    assert running.returncode == 5
    assert "does not batch as the scenario says" in said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "batching", "words"),
    [
        ((), None, "cannot be reached"),
        (("--replicas", "2"), None, "which of several replicas"),
        ((), "{name: fixed, batch: 4}", "has no bound"),
    ],
)
def test_what_cannot_be_asked_is_said_before_anything_is_written(
    more: tuple[str, ...], batching: str | None, words: str
) -> None:
    path = scenario_of("http://127.0.0.1:9", batching)
    running = asked(path, "--deployment", "theirs", *more)
    _, said = running.communicate(timeout=LONG_S)
    assert running.returncode == 2
    assert words in " ".join(said.split())
    assert len(said.strip().splitlines()) == 1
    assert not Path("run").exists()


@pytest.mark.slow
def test_ctrl_c_leaves_no_process_behind() -> None:
    with serving() as url:
        running = asked(scenario_of(url), "--minutes", "5", start_new_session=True)
        children: list[psutil.Process] = []

        def asking() -> bool:
            children[:] = psutil.Process(running.pid).children(recursive=True)
            return bool(children)

        until(asking, "it asks", running)
        os.killpg(running.pid, signal.SIGINT)
        _, said = running.communicate(timeout=LONG_S)
    assert running.returncode == 130, said
    assert "interrupted" in said
    assert not psutil.wait_procs(children, timeout=LONG_S)[1]
