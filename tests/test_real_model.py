"""The quickstart's model on its backend: fetched, loaded, run, and right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.errors import InputError
from bench.executor import here
from bench.hardware import Catalogue
from bench.measure import STEPS, measure_all
from bench.measure.backends import onnxruntime_cpu
from bench.measure.budget import BUDGETS
from bench.measure.clock import WallClock
from bench.measure.models import fetch
from bench.measure.tasks import ONE_STAGE, text_recognition
from bench.prepare import find_extensions
from bench.scenario import read_suite, resolve_suite
from bench.store import Header, Run
from tests.busy import HANG_S

pytestmark = pytest.mark.real
MODEL = text_recognition.MODELS["v6-small"]


@pytest.fixture(scope="module")
def model() -> Path:
    return fetch(MODEL)


def load(model: Path) -> Any:
    return onnxruntime_cpu.load(model, onnxruntime_cpu.Options(), 1, WallClock())


def test_photographed_words_are_read_right(model: Path) -> None:
    task = text_recognition.build(text_recognition.Options(labels=12))
    session = load(model)
    task.prepare({ONE_STAGE: session})
    samples = [s for s in task.samples if s.group == "photographed words"]
    outputs = session.run(task.preprocess(task.input(samples)))
    assert outputs[0].sum(axis=2) == pytest.approx(1, abs=1e-3)
    answers = task.postprocess(task.predict(outputs))
    assert [a["text"] for a in answers] == [s.truth for s in samples]


def test_a_batch_answers_as_its_items_do(model: Path) -> None:
    task = text_recognition.build(text_recognition.Options(labels=6))
    session = load(model)
    task.prepare({ONE_STAGE: session})
    feeds = task.preprocess(task.input(task.samples[:6]))
    together = session.run(feeds)[0]
    alone = [session.run({"x": feeds["x"][k : k + 1]})[0][0] for k in range(6)]
    np.testing.assert_allclose(together, alone, atol=1e-3)


class Named:
    """A session that says no more than its characters."""

    def metadata(self) -> dict[str, str]:
        return {"character": "a\nb"}


def test_ctc_drops_blanks_and_repeats() -> None:
    task = text_recognition.TextRecognition(MODEL, [])
    named: Any = Named()
    task.prepare({ONE_STAGE: named})
    path = np.array([0, 1, 1, 0, 1, 2, 2, 3, 0])
    answer = task._decode_path(path, np.ones(9, dtype=np.float32))
    assert answer == {"text": "aab ", "confidence": 1.0}


def test_character_error_rate_by_hand() -> None:
    from bench.measure.tasks import Sample

    task = text_recognition.TextRecognition(MODEL, [])
    pairs = [("abcd", "abed"), ("xy", "xyz")]
    answered = [(Sample(Path("f"), truth, "g"), {"text": read}) for truth, read in pairs]
    assert task.score(answered)[0].value == pytest.approx(2 / 6)


SUITE = """\
schema_version: 1
name: real
task: {name: text-recognition, labels: 24}
measure: {max_batch: 2}
arms: [{backend: onnxruntime-cpu, device: this-host-one-thread}]
"""


def test_a_real_run_is_valid_and_its_steps_add_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # All the queries of the budget, however long a busy machine takes over them.
    patient = BUDGETS["smoke"].model_copy(update={"limit_s": HANG_S})
    monkeypatch.setitem(BUDGETS, "smoke", patient)
    path = tmp_path / "suite.yaml"
    path.write_text(SUITE)
    read = read_suite(path)
    assert read is not None
    asked = resolve_suite(*read, Catalogue(), find_extensions())
    header = Header(scenario="real", seed=1, bench_version="0", created="", command="")
    run = Run.create(tmp_path / "out", header)
    record = measure_all(asked, run, 3, here, lambda done, total, what: None).arms[0]
    for row in record.steps:
        assert row.service.value is not None
        assert sum(row.steps.values()) == pytest.approx(row.service.value, rel=0.02)
    assert set(record.steps[0].steps) == set(STEPS)
    assert all(record.steps[0].steps[step] > 0 for step in STEPS)
    seen = record.replicates[0]
    assert seen.placements[0].nodes.keys() == {"CPUExecutionProvider"}
    assert {v.rule for v in record.verdicts if v.status == "invalid"} == set()
    single = record.load_result("single-stream")
    assert single is not None
    assert single.response["p99"].n >= 662
    assert 0 <= record.accuracy[0].value < 0.2
    assert record.agreement is not None
    assert record.agreement.share > 0.9
    assert len(run.table("requests.parquet")) == run.table("batches.parquet").batch_size.sum()
    assert seen.memory_peak_bytes >= seen.memory_loaded_bytes > 0
    assert all(r.energy_per_inference_j.value is not None or r.reason for r in record.power)


def test_a_folder_of_ones_own_images(tmp_path: Path) -> None:
    task = text_recognition.build(text_recognition.Options(labels=3))
    for number, sample in enumerate(task.samples[:3]):
        (tmp_path / f"{number}.jpg").write_bytes(sample.path.read_bytes())
    (tmp_path / "labels.csv").write_text(f"file,text\n0.jpg,{task.samples[0].truth}\n")
    own = text_recognition.build(text_recognition.Options(input=tmp_path))
    assert [s.truth for s in own.samples] == [task.samples[0].truth, None, None]


@pytest.mark.parametrize("content", [None, b"not an image"])
def test_a_folder_without_images(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(InputError, match="image"):
        text_recognition.build(text_recognition.Options(input=tmp_path))


def test_a_model_file_that_was_changed_is_refused(tmp_path: Path, model: Path) -> None:
    changed = tmp_path / "changed.onnx"
    changed.write_bytes(model.read_bytes()[:-1])
    file = MODEL.model_copy(update={"origin": f"file:{changed}"})
    with pytest.raises(InputError, match="SHA-256"):
        fetch(file)
