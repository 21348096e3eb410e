"""A live line of two stages: what goes on, what does not, and what becomes of it where a replica is lost."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import signal
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bench.admission import ADMIT_ALL, Admission
from bench.batching import constant
from bench.errors import InputError
from bench.measure import LiveAnswer
from bench.measure.loader import build_task
from bench.prepare import Settings, prepare
from bench.requests import Outcome
from bench.serve import line_of
from tests.busy import until
from tests.conftest import CASCADE, FAKE_SCENARIO
from tests.serving import Live, Played, body, comes, ends, playing, serving
from tests.test_chains import answered

pytest.importorskip("aiohttp", reason="the extra serve is not installed")
from bench.serve.line import Line, Passed, Stop

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no such server there")

TASK = Path(__file__).with_name("halves.py")
STAGE = """\
      - name: {stage}
        place: {place}
        task: {{stage: {stage}}}
        backend: {{name: fake, load: 0 s, first_call_extra: 0 s, base: {base}, per_item: 0 s, real_time: true}}
        device: this-host
        offer: civo/standard-2c-4g/any/on-demand
        scaling: {{name: fixed, replicas: 1}}
        start_up: {{node: 60 s}}
        network: {{uplink: 4 Mbit/s, downlink: 16 Mbit/s, rtt: 40 ms}}
"""


OF_SERVICE = STAGE[STAGE.index("        offer") :]


def line_scenario(
    folder: Path, more: str = "", find: str = "1 ms", read: str = "1 ms", place: str = "real_time"
) -> Path:
    """A line that finds halves, at a place, and reads those that there are; ``more`` is of the second stage."""
    path = folder / "line.yaml"
    text = FAKE_SCENARIO.replace("{name: synthetic, samples: 8, payload_bytes: 5000}", str(TASK))
    before, _, _ = text.partition("deployments:")
    first = (
        STAGE
        if place == "real_time"
        else STAGE.replace(OF_SERVICE, "        offer: edge/mini-pc\n        fleet: 4\n")
    )
    path.write_text(
        f"{before}deployments:\n  - name: cloud\n    kind: line\n    stages:\n"
        + first.format(stage="find", place=place, base=find)
        + STAGE.format(stage="read", place="real_time", base=read)
        + f"        takes: found\n        {more}\n"
    )
    return path


# Pools one after the other ------------------------------------------------------------------------


class TwoStages:
    """Pools of a scripted replica each."""

    def __init__(self, second: Admission = ADMIT_ALL, only_found: bool = True) -> None:
        self.first = Played(constant(1, 0))
        self.second = Played(constant(1, 0), admission=second)
        self.line = Line([Stop(self.first.pool), Stop(self.second.pool, only_found)])

    def take(self, *payloads: bytes) -> Sequence[asyncio.Task[Passed]]:
        return [asyncio.ensure_future(self.line.take(payload, 0)) for payload in payloads]

    async def find(self, found: bool) -> None:
        """The first stage answers its next batch."""
        await comes(lambda: self.first.pool.inside)
        (payload,) = self.first.replicas[0].batches[-1]
        self.first.pool.done(0, [LiveAnswer(payload.upper(), said=b"said", found=found)])


def test_what_was_found_goes_on_and_the_rest_is_answered() -> None:
    async def test() -> None:
        stages = TwoStages()
        (one,) = stages.take(b"a")
        await stages.find(True)
        await comes(lambda: stages.second.replicas[0].batches == [[b"A"]])
        stages.second.done()
        passed = await one
        assert (passed.outcome, passed.answer, len(passed.stops)) == (Outcome.DONE, b"A", 2)
        (other,) = stages.take(b"b")
        await stages.find(False)
        passed = await other
        assert (passed.outcome, passed.answer, len(passed.stops)) == (Outcome.DONE, b"said", 1)

    playing(test)


def test_a_stage_may_take_what_holds_nothing() -> None:
    async def test() -> None:
        stages = TwoStages(only_found=False)
        (one,) = stages.take(b"a")
        await stages.find(False)
        await comes(lambda: stages.second.replicas[0].batches)
        stages.second.done()
        assert (await one).answer == b"A"

    playing(test)


def test_who_is_turned_away_at_the_second_stage_ends_there() -> None:
    async def test() -> None:
        stages = TwoStages(Admission(queue_limit=0))
        asked = stages.take(b"a", b"b")
        await stages.find(True)
        await comes(lambda: stages.second.replicas[0].batches)
        await stages.find(True)
        assert (await asked[1]).outcome is Outcome.SHED
        stages.second.done()
        assert (await asked[0]).outcome is Outcome.DONE

    playing(test)


def test_what_leaves_a_stage_is_waited_for_at_the_next() -> None:
    async def test() -> None:
        stages = TwoStages()
        (one,) = stages.take(b"a")
        await comes(lambda: stages.first.pool.inside)
        empty = asyncio.ensure_future(stages.line.empty())
        await asyncio.sleep(0)
        await stages.find(True)
        await comes(lambda: stages.second.pool.inside)
        assert not empty.done()
        stages.second.done()
        await empty
        assert (await one).outcome is Outcome.DONE
        assert stages.line.inside == 0

    playing(test)


def test_who_hangs_up_goes_no_further() -> None:
    async def test() -> None:
        stages = TwoStages()
        (one,) = stages.take(b"a")
        await comes(lambda: stages.first.pool.inside)
        one.cancel()
        await stages.find(True)
        await stages.line.empty()
        assert stages.first.ended == [(b"a", Outcome.DONE)]
        assert stages.second.ended == []

    playing(test)


# Served -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with serving(line_scenario(tmp_path_factory.mktemp("line"))) as found:
        yield found


@pytest.mark.slow
def test_a_line_is_one_model_to_its_clients(live: Live) -> None:
    assert live.model == "halves"
    assert [live.ask(k) for k in range(4)] == [
        (200, {"half": 0.0}), (200, {"even": False}), (200, {"half": 1.0}), (200, {"even": False}),
    ]  # fmt: skip
    status, said = live.post(body(shape=[3], data=["1", "4", "8"]))
    assert status == 200
    assert said["outputs"][0]["data"] == ['{"even": false}', '{"half": 2.0}', '{"half": 4.0}']
    assert live.ask("nonsense")[0] == 400  # type: ignore[arg-type]


@pytest.mark.slow
def test_each_stage_says_what_a_request_met_there(live: Live) -> None:
    own = {"queue", "service", "batch", "replica"}
    answer, met = live.timed(4)
    assert answer == {"half": 2.0}
    assert set(met) == own | {f"{name}-2" for name in own}
    # The first of each batch of a line that nobody else asks was alone in it.
    assert met["batch"].endswith("/1")
    assert met["batch-2"].endswith("/1")
    assert float(met["service"]) >= 1
    assert float(met["service-2"]) >= 1
    answer, met = live.timed(5)
    assert answer == {"even": False}
    assert set(met) == own


def ended(live: Live, stage: str) -> dict[str, int]:
    said = live.get("/metrics")[1]
    found = re.findall(
        rf'^bench_requests_total{{outcome="(\w+)",stage="{stage}"}} (\S+)$', said, re.MULTILINE
    )
    return {outcome: int(float(value)) for outcome, value in found if float(value)}


def at(live: Live, stage: str, name: str) -> float:
    return live.metric(f'{name}{{stage="{stage}"}}')


@pytest.mark.slow
def test_what_a_killed_replica_of_the_second_stage_had_is_served_by_another(
    tmp_path: Path,
) -> None:
    with serving(line_scenario(tmp_path)) as live, ThreadPoolExecutor(8) as pool:
        first, second = live.replicas
        second.suspend()
        asked = [pool.submit(live.ask, k) for k in range(8)]
        until(lambda: at(live, "read", "requests_inside") == 4, "even numbers have gone on")
        second.kill()
        until(lambda: at(live, "read", "replica_restarts_total") == 1, "it is missed")
        expected: list[Any] = [{"even": False} if k % 2 else {"half": k / 2} for k in range(8)]
        assert [one.result() for one in asked] == [(200, said) for said in expected]
        assert ended(live, "find") == {"done": 8}
        assert ended(live, "read") == {"done": 4}
        assert at(live, "find", "replica_restarts_total") == 0
        assert first.is_running()
        live.process.send_signal(signal.SIGTERM)
        assert ends(live.process, live.replicas) == 0


@pytest.mark.slow
def test_without_replicas_of_one_stage_a_line_is_not_ready_and_is_drained_all_the_same(
    tmp_path: Path,
) -> None:
    path = line_scenario(tmp_path, "admission: {queue_limit: 1}")
    with serving(path) as live, ThreadPoolExecutor(8) as pool:
        second = live.replicas[1]
        second.suspend()
        asked = [pool.submit(live.ask, k) for k in range(0, 8, 2)]
        until(
            lambda: ended(live, "read").get("shed") == 2, "those who find the queue full are shed"
        )
        live.process.send_signal(signal.SIGINT)
        until(lambda: live.get("/v2/health/ready")[0] == 503, "it has heard")
        second.resume()
        assert sorted(one.result()[0] for one in asked) == [200, 200, 503, 503]
        assert ended_well(live)


def ended_well(live: Live) -> bool:
    return ends(live.process, live.replicas) == 0


@pytest.mark.real
def test_a_real_line_answers_as_one_program_does() -> None:
    scenario = Path(__file__).parents[1] / "scenarios" / "scene-text.yaml"
    task = build_task("scene-text", {"scenes": 6})
    expected = answered(task)
    with serving(scenario, deployment="all-in-cloud", stderr=Path("said")) as live:
        for sample, alone in expected:
            content = base64.b64encode(sample.path.read_bytes()).decode()
            entry = body(data=[content], parameters={"content_type": "base64"})
            status, said = live.post(entry)
            assert status == 200
            answer = json.loads(said["outputs"][0]["data"][0])
            found_nothing = answer == {"boxes": []}
            assert task.agrees(task._last.nothing() if found_nothing else answer, alone)


# What cannot be -----------------------------------------------------------------------------------


def test_lines_that_cannot_be_served_are_told_why(tmp_path: Path) -> None:
    path = tmp_path / "fake.yaml"
    path.write_text(FAKE_SCENARIO + CASCADE)
    with pytest.raises(InputError, match=r"cascade \(site\).*simulated only"):
        line_of(prepare(path, Settings()), "cascade")
    with pytest.raises(InputError, match=r"cloud \(find\).*no service of replicas"):
        line_of(prepare(line_scenario(tmp_path, place="edge"), Settings()), "cloud")
    path.write_text(FAKE_SCENARIO + CASCADE.replace("takes: {unsure: 30 %}", "takes: all"))
    with pytest.raises(InputError, match=r"cascade \(camera\).*no service of replicas"):
        line_of(prepare(path, Settings()), "cascade")
