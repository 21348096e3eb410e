"""Chains: tasks that go on with what the one before has found, and deployments that place them apart."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.compare import Comparison
from bench.compare.objective import Placed, lasting
from bench.errors import InputError, MissingRequirement
from bench.gather import from_elsewhere, runs_of
from bench.hardware import Catalogue
from bench.measure import Measurement
from bench.measure.chain import HANDED, Chain, First, Following, packed, unpacked
from bench.measure.loader import build_task
from bench.measure.reference import plain_sessions, run_one
from bench.measure.tasks import Sample, Task
from bench.pipeline import run
from bench.prepare import Settings, prepare
from bench.profile import Growth, MeasuredSizes, Profile
from bench.requests import Answers
from bench.scenario import AccuracyLimit, Objective, ResponseLimit, Workload
from bench.simulate import Simulation, line
from bench.simulate.run import Job, play
from bench.streams import Streams
from tests.test_lines import NETWORK, job, stage
from tests.test_simulation import profile

# Tasks ----------------------------------------------------------------------------------------


class Halves(First):
    """Finds the halves of even numbers; a model that adds nothing."""

    files: Mapping[str, Any] = {"model": ()}

    def __init__(self, numbers: Sequence[int]) -> None:
        self.samples = [Sample(Path(str(n)), str(n), "numbers") for n in numbers]

    def input(self, samples: Sequence[Sample]) -> list[bytes]:
        return [str(sample.path).encode() for sample in samples]

    def preprocess(self, encoded: Sequence[bytes]) -> Any:
        return {"x": np.array([float(item) for item in encoded])}

    def execute(self, sessions: Any, feeds: Any) -> Any:
        return sessions["model"].run(feeds)

    def predict(self, outputs: Any) -> Any:
        return outputs[0]

    def postprocess(self, prediction: Any) -> list[dict[str, Any]]:
        return [{"even": x % 2 == 0, HANDED: x / 2} for x in prediction.tolist()]

    def sent(self, handed: float) -> list[bytes]:
        return [str(handed).encode()]

    def found(self, answer: Mapping[str, Any]) -> int:
        return int(answer["even"])

    def agrees(self, answer: Any, reference: Any) -> bool:
        return bool(answer == reference)


class HalvesAgain(Halves, Following):
    """In the middle of a chain: goes on with what it is handed."""

    def received(self, files: Sequence[bytes]) -> float:
        return float(files[0])

    def tensors(self, handed: Sequence[float]) -> Any:
        return {"x": np.array(handed)}

    def nothing(self) -> dict[str, Any]:
        return {"even": None}

    def preprocess(self, encoded: Sequence[bytes]) -> Any:
        return Following.preprocess(self, encoded)


class Identity:
    def run(self, feeds: Mapping[str, Any]) -> list[Any]:
        return [feeds["x"]]


def answers_of(task: Task, names: Sequence[str]) -> list[Any]:
    sessions: Any = {name: Identity() for name in names}
    outputs = task.execute(sessions, task.preprocess(task.input(task.samples)))
    return task.postprocess(task.predict(outputs))


def test_a_chain_asks_each_task_about_what_the_one_before_found() -> None:
    numbers = [1, 2, 4, 8, 12, 3, 16]
    chain = Chain({"a": Halves(numbers), "b": HalvesAgain([]), "c": HalvesAgain([])})
    assert chain.stages == ("a model", "b model", "c model")
    found = answers_of(chain, chain.stages)
    # A number reaches the third if it can be halved twice; its answer is then of a quarter of it.
    expected = [None if n % 4 else (n // 4) % 2 == 0 for n in numbers]
    assert [answer["even"] for answer in found] == expected


def test_a_chain_that_finds_nothing_asks_nobody() -> None:
    chain = Chain({"a": Halves([1, 3]), "b": HalvesAgain([])})
    assert answers_of(chain, ["a model"]) == [{"even": None}] * 2  # there is no session of b


def test_alone_the_next_task_reads_what_the_first_has_sent() -> None:
    first, second = Halves([4, 6]), HalvesAgain([])
    sent = first.output(answers_of(first, ["model"]))
    assert first.read(first.keep(sent[0])) == {"even": True}
    assert second.preprocess(sent)["x"].tolist() == [2.0, 3.0]
    (nothing,) = Halves([5]).output(answers_of(Halves([5]), ["model"]))
    assert unpacked(nothing)[1] == []


def _compressed() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("answer.json", "{}")
        archive.writestr("0", bytes(10_000_000))
    return buffer.getvalue()


@pytest.mark.parametrize("bad", [b"", b"no archive", packed({"a": 1}, [b"x"])[:-9], _compressed()])
def test_what_is_no_message_is_refused(bad: bytes) -> None:
    with pytest.raises(InputError, match="not a message"):
        unpacked(bad)


REAL = {
    "scene-text": ("detect", "recognise", {"scenes": 12}, "character_error_rate", 0.05),
    "voice": ("speech", "word", {"music": 4}, "false_alarm_rate", 0.2),
}


def answered(task: Task) -> list[tuple[Sample, Any]]:
    try:
        sessions, _ = plain_sessions(task, 2)
    except MissingRequirement as error:
        pytest.skip(str(error))
    found = []
    for sample in task.samples:
        outputs = run_one(task, sessions, sample)
        (sent,) = task.output(task.postprocess(task.predict(outputs)))
        found.append((sample, task.read(task.keep(sent))))
    return found


@pytest.mark.real
@pytest.mark.parametrize("name", REAL)
def test_a_real_chain_answers_as_its_tasks_do_one_after_the_other(name: str) -> None:
    first, second, options, metric, most = REAL[name]
    tasks = {one: build_task(name, {**options, "stage": one}) for one in (first, second, "all")}
    alone, apart, together = (answered(tasks[one]) for one in (first, second, "all"))
    counts = [tasks[first].found(answer) for _, answer in alone]
    assert 0 in counts
    assert sorted(tasks[second].skipped) == [k for k, count in enumerate(counts) if not count]
    rest = iter(answer for _, answer in apart)
    for count, (_, answer) in zip(counts, together, strict=True):
        expected = next(rest) if count else tasks["all"]._last.nothing()
        assert tasks["all"].agrees(answer, expected)
    scores = [
        {s.metric: s.value for s in tasks[one].score(found)}[metric]
        for one, found in ((second, apart), ("all", together))
    ]
    assert scores[0] == pytest.approx(scores[1])
    assert scores[0] <= most
    if name == "scene-text":
        (score,) = tasks[first].score(alone)
        assert score.value > 0.9
        # A scene is as large at the reader as it is where all is done by one program.
        rows = {s.truth: tasks[second].size(s) for s in tasks[second].samples}
        for sample in tasks["all"].samples:
            if sample.truth:
                assert tasks["all"].size(sample) == rows[sample.truth]


# Deployments -----------------------------------------------------------------------------------

FOUND = [0, 3, 0, 1, 2]
FLAT = Growth(work=1.0, rate=0.0)
SHORT = {
    "sources": 4,
    "arrivals": {"name": "poisson", "rate": 2.0},
    "active": {"start": 30_000.0, "end": 32_000.0},
}


def finder() -> Profile:
    return profile({1: [0.01]}, loop_overhead_s=0.0, found=FOUND)


def reader() -> Profile:
    """0.01 s for each thing found in an input."""
    sizes = MeasuredSizes(
        unit="things", joined="sum", inputs=[3.0, 1.0, 2.0], skipped=[0, 2], least=1.0, work={},
        growth={1: Growth(work=2.0, rate=0.5)}, input_bytes=FLAT, output_bytes=FLAT,
    )  # fmt: skip
    return profile({1: [0.02]}, loop_overhead_s=0.0, sizes=sizes)


def chain_job(place: str, method: str = "fast", **changes: Any) -> Job:
    at_edge = {"place": "edge", "fleet": 4} if place == "edge" else {}
    fixed = {"scaling": {"name": "fixed", "replicas": 4}} if place != "edge" else {}
    first = stage("find", **at_edge, **fixed)
    second = stage("read", takes="found", scaling={"name": "fixed", "replicas": 2})
    profiles = {"line (find)": finder(), "line (read)": reader()}
    fields = {"workload": Workload.model_validate(SHORT), "profiles": profiles} | changes
    return job(first, second, method=method, **fields)


def rows_of(one: Job) -> np.ndarray[Any, Any]:
    seen: list[Any] = []

    def watch(answers: Answers) -> None:
        seen.append(answers.copy())

    play(one, watch=watch)
    found = np.concatenate(seen)
    return found[np.argsort(found["number"])]


@pytest.mark.parametrize("place", ["edge", "real_time"])
def test_a_request_is_the_same_input_at_every_stage(place: str) -> None:
    found = rows_of(chain_job(place))
    inputs = (Streams(3, 0).luck("input", found["number"]) * len(FOUND)).astype(int)
    counts = np.array(FOUND)[inputs]
    read = found["size"] > 0
    assert (read == (counts > 0)).all()
    assert found["size"][read].tolist() == counts[read].tolist()
    assert read.mean() == pytest.approx(3 / 5, abs=0.02)
    # What was read took 0.01 s for each thing there, and nothing was lost on the way.
    took = (found["served"] - found["start"])[read] / 1e9
    assert took == pytest.approx(0.01 * counts[read])
    assert (found["outcome"] == 0).all()


def test_placements_of_a_chain_read_the_same_requests() -> None:
    edge, pool = rows_of(chain_job("edge")), rows_of(chain_job("real_time"))
    assert edge["number"].tolist() == pool["number"].tolist()
    assert edge["size"].tolist() == pool["size"].tolist()


def test_bounds_are_of_the_share_in_which_something_is_found() -> None:
    one = chain_job("real_time")
    limits = line.limits(one.deployment, one.profiles, one.workload)
    replicas = [limit.per_day for limit in limits if "replica" in limit.what]
    assert replicas == pytest.approx([4 * 86_400 / 0.01, 2 * 86_400 / 0.02 / (3 / 5)])
    # Something may be found in no request of a day: the quickest answer is that of the first stage.
    alone = job(stage("find"), profiles={"line (find)": finder()})
    assert line.quickest(one.deployment, one.profiles) == pytest.approx(
        line.quickest(alone.deployment, alone.profiles)
    )


def test_answers_in_which_nothing_is_found_go_back_over_the_network() -> None:
    slow = {**NETWORK, "rtt": 0.2}
    first = stage("find", network=slow)
    second = stage("read", takes="found")
    profiles = {"line (find)": finder(), "line (read)": reader()}
    found = rows_of(job(first, second, workload=Workload.model_validate(SHORT), profiles=profiles))
    back = (found["finished"] - found["served"]) / 1e9
    assert back[found["size"] == 0] == pytest.approx(0.1)
    assert back[found["size"] > 0] == pytest.approx(0.0)


def test_a_task_that_counts_nothing_cannot_be_followed_by_what_takes_found() -> None:
    plain = {"line (find)": profile({1: [0.01]}), "line (read)": reader()}
    with pytest.raises(InputError, match="counts nothing") as said:
        rows_of(chain_job("edge", profiles=plain))
    assert said.value.where == "takes"


@pytest.mark.slow
def test_what_was_found_stays_with_a_fleet_as_with_its_reference() -> None:
    fast, slow = (rows_of(chain_job("edge", method)) for method in ("fast", "reference"))
    assert fast.tolist() == slow.tolist()


# The whole way ---------------------------------------------------------------------------------

SCENARIO = """\
schema_version: 1
name: chain
task: {name: synthetic, samples: 40, found: [0, 2, 1]}
workload:
  arrivals: {name: poisson, rate: 5/s}
  active: {start: "08:00", end: "08:10"}
  sources: 2
objective:
  response: {percentile: 99, limit: 2 s}
  accuracy: {metric: error_rate, at_most: 1 %}
simulate: {replications: 2, profile_uncertainty: false}
deployments:
  - name: apart
    kind: line
    stages:
      - name: find
        place: edge
        backend: {name: fake, base: 2 ms}
        device: this-host
        offer: edge/mini-pc
        fleet: 2
      - name: read
        place: real_time
        takes: found
        backend: {name: fake, base: 4 ms}
        device: this-host
        offer: civo/standard-2c-4g/any/on-demand
        scaling: {name: fixed, replicas: 1}
        start_up: {node: 60 s}
        network: {uplink: 10 Mbit/s, downlink: 10 Mbit/s, rtt: 4 ms}
"""


@pytest.mark.slow
def test_a_run_counts_what_is_found_and_passes_on_as_much(tmp_path: Path) -> None:
    file = tmp_path / "chain.yaml"
    file.write_text(SCENARIO)
    done = run(file, tmp_path / "out", Settings(engine="inline"))
    for arm in done.load("measurement.json", Measurement).arms:
        assert arm.replicates[0].inputs.found == [[0, 2, 1][k % 3] for k in range(40)]
    day = done.load("simulation.json", Simulation).deployments[0].replications[0]
    served = {name: used.served for name, used in day.usage.items()}
    assert served["apart (find)"] == day.requests == day.done
    assert served["apart (read)"] == pytest.approx(26 / 40 * day.requests, rel=0.1)
    (entry,) = done.load("comparison.json", Comparison).ranking
    assert entry.feasible
    page = (done.path / "report.html").read_text()
    assert "65.00 %" in page  # of the requests, something is found in


def test_the_accuracy_is_that_of_what_answers() -> None:
    one = chain_job("edge")
    assert one.deployment.answering == ["line (read)"]
    spilling = job(stage("e", "edge", fleet=2), stage("c", takes={"unsure": 0.5}))
    assert spilling.deployment.answering == ["line (e)", "line (c)"]
    limit = AccuracyLimit(metric="error_rate", at_most=0.1)
    objective = Objective(response=ResponseLimit(limit=1.0), accuracy=limit)
    offer = Catalogue().offer("edge/mini-pc")
    answers, hands_on = (
        lasting(objective, [Placed(finder(), offer, None, None, answers=a)]) for a in (True, False)
    )
    assert len(answers) == 1  # it has no such metric
    assert "error_rate" in answers[0]
    assert hands_on == []


def test_a_part_of_a_chain_is_not_planned_as_if_it_were_the_whole(tmp_path: Path) -> None:
    """Nor does a device that is not here borrow what was found by another part of it."""
    file = tmp_path / "voice.yaml"
    text = SCENARIO.replace("{name: synthetic, samples: 40, found: [0, 2, 1]}", "{name: voice}")
    for name, backend in (("speech", "onnxruntime-cpu"), ("word", "litert-cpu")):
        base = {"speech": "2", "word": "4"}[name]
        text = text.replace(
            f"backend: {{name: fake, base: {base} ms}}",
            f"backend: {backend}\n        task: {{stage: {name}}}",
        )
    file.write_text(text.replace("error_rate", "false_alarm_rate"))
    asked = prepare(file, Settings())
    assert sorted(str(arm.stage) for arm in asked.distinct_arms) == ["speech", "word"]
    measured = {
        arm.name: profile({1: [0.01]}, arm=arm.name, task="voice") for arm in asked.distinct_arms
    }
    runs, _, _ = runs_of(asked, measured, Catalogue())
    assert runs == []
    found, refused = from_elsewhere(asked, measured, Catalogue())
    assert (found, refused) == ({}, {})
